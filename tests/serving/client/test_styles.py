"""Styles through a real Triton, held against numpy."""

import numpy as np
import pytest

from core.contract import latent_inputs
from core.difference import MOST_LEVELS, levels_apart
from core.errors import RequestRefused, ServingError
from core.latents import LAST_SEED, latents
from serving.client.sampler import Sampler
from serving.client.styles import mixed, parse_layers
from tests.serving.conftest import (
    LAYERS,
    NOISY,
    SPEC,
    STYLE_DIM,
    images_of_styles,
    style_weights,
    styles_of,
)

SEEDS = [5, 0, LAST_SEED, *range(100, 120)]
FIRST, SECOND = style_weights()


@pytest.fixture
def sampler(style_server):
    with Sampler("styled", style_server.url, batch=8, in_flight=3) as sampler:
        yield sampler


def test_whether_a_model_has_styles_is_found_by_asking(style_server, sampler):
    assert sampler.version == "2"
    assert sampler.style_shape == (LAYERS, STYLE_DIM)
    with Sampler("tiny", style_server.url) as other:
        assert other.style_shape is None


@pytest.mark.parametrize("truncation", [1.0, 0.25])
def test_styles_of_seeds_are_those_of_the_mapping_truncated(sampler, truncation):
    w = np.stack(list(sampler.styles(SEEDS, truncation)))
    assert w.dtype == np.float32
    assert np.allclose(w, styles_of(FIRST, latents(SEEDS, 8), truncation), atol=1e-5)


def test_images_of_styles_are_those_of_the_synthesis_in_their_order(sampler):
    w = np.random.RandomState(0).standard_normal((23, LAYERS, STYLE_DIM)).astype(np.float32)
    images = np.stack(list(sampler.sample_styles(w)))
    assert levels_apart(images, images_of_styles(SPEC, SECOND, w)) <= MOST_LEVELS
    assert len(np.unique(images, axis=0)) == 23


def test_both_parts_in_turn_are_the_whole(sampler):
    whole = np.stack([image for _, image in sampler.sample(SEEDS, 0.7)])
    w = np.stack(list(sampler.styles(SEEDS, 0.7)))
    assert levels_apart(np.stack(list(sampler.sample_styles(w))), whole) <= MOST_LEVELS


def test_noise_is_the_seeds_own_or_none_or_ones_own(style_server):
    first, second = style_weights(NOISY)
    given = latent_inputs(NOISY, SEEDS)
    w = styles_of(first, given["z"])
    with Sampler("noisy", style_server.url) as sampler:
        of_seeds = np.stack([image for _, image in sampler.sample(SEEDS)])
        of_latents = [np.stack(list(sampler.sample_latents(given["z"], noise=n))) for n in (given["noise"], None)]
        of_styles = [np.stack(list(sampler.sample_styles(w, n))) for n in (given["noise"], None)]
        assert np.allclose(np.stack(list(sampler.styles(SEEDS))), w, atol=1e-5)
        with pytest.raises(RequestRefused, match="for 23 images"):
            sampler.sample_styles(w, given["noise"][:-1])
        with pytest.raises(RequestRefused, match=r"noise values have shape \(23, 6\): 'noisy' takes \(n, 7\)"):
            sampler.sample_styles(w, given["noise"][:, :6])
    own = images_of_styles(NOISY, second, w, given["noise"])
    none = images_of_styles(NOISY, second, w, np.zeros_like(given["noise"]))
    assert levels_apart(own, none) > 10
    for images in (of_seeds, of_latents[0], of_styles[0]):
        assert levels_apart(images, own) <= MOST_LEVELS
    for images in (of_latents[1], of_styles[1]):
        assert levels_apart(images, none) <= MOST_LEVELS


def test_noise_for_a_model_without_is_refused(sampler):
    with pytest.raises(RequestRefused, match="noise"):
        sampler.sample_latents(latents([1], 8), noise=np.zeros((1, 3)))


def test_a_model_without_styles_says_what_works_instead(style_server):
    with Sampler("tiny", style_server.url) as sampler:
        for asked in (lambda: sampler.styles([1]), lambda: sampler.sample_styles(np.zeros((1, LAYERS, STYLE_DIM)))):
            with pytest.raises(RequestRefused, match=r"'tiny' version 1 has no styles.* --interpolate work") as raised:
                asked()
            assert "\n" not in str(raised.value)


def test_a_part_asked_for_as_a_model_names_its_whole(style_server):
    with pytest.raises(ServingError, match="'styled_mapping' is the mapping of 'styled': ask for 'styled' itself"):
        Sampler("styled_mapping", style_server.url)


@pytest.mark.parametrize(
    ("w", "said"),
    [
        (np.zeros((2, LAYERS, STYLE_DIM + 1)), rf"'styled' takes \(n, {LAYERS}, {STYLE_DIM}\)"),
        (np.zeros((LAYERS, STYLE_DIM)), "shape"),
        (np.float32(0), "shape"),
        (np.full((1, LAYERS, STYLE_DIM), np.nan), "NaN"),
        (np.full((1, LAYERS, STYLE_DIM), 1e39), "infinity"),
    ],
)
def test_styles_that_cannot_be_are_refused(sampler, w, said):
    with pytest.raises(RequestRefused, match=said):
        sampler.sample_styles(w)


@pytest.mark.parametrize(
    ("text", "layers", "expected"),
    [
        ("coarse", 8, (0, 3)),  # 32x32: 4, 8, 8
        ("middle", 8, (3, 5)),  # 16, 16
        ("fine", 8, (5, 8)),  # 32, 32 and the last image
        ("coarse", 10, (0, 3)),  # 64x64: 4, 8, 8
        ("middle", 10, (3, 7)),  # 16, 16, 32, 32
        ("fine", 10, (7, 10)),
        ("coarse", 3, (0, 1)),
        ("0-3", 8, (0, 4)),
        (" 2 - 2 ", 8, (2, 3)),
        ("7", 8, (7, 8)),
    ],
)
def test_layers_by_name_and_by_number(text, layers, expected):
    assert parse_layers(text, layers) == slice(*expected)


@pytest.mark.parametrize("layers", range(3, 20))
def test_thirds_share_out_all_layers(layers):
    coarse, middle, fine = (parse_layers(text, layers) for text in ("coarse", "middle", "fine"))
    assert (coarse.start, coarse.stop, middle.stop, fine.stop) == (0, middle.start, fine.start, layers)


@pytest.mark.parametrize("text", ["", "big", "1-", "-1", "1-2-3", "0,1", "3-1", "0-8", "8", "1.5"])
def test_layers_that_are_none_are_refused_in_one_line_with_the_range(text):
    with pytest.raises(RequestRefused, match="0-7") as raised:
        parse_layers(text, 8)
    assert "\n" not in str(raised.value)


def test_a_third_of_too_few_layers_is_refused():
    with pytest.raises(RequestRefused, match="0-1"):
        parse_layers("middle", 2)


def test_mixing_takes_those_layers_and_no_others():
    a, b = np.zeros((2, 6, 3), np.float32), np.ones((2, 6, 3), np.float32)
    result = mixed(a, b, slice(2, 4))
    assert (result[:, 2:4] == 1).all()
    assert result.sum() == 2 * 2 * 3
    assert a.sum() == 0
