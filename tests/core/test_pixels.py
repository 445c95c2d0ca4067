"""Pixels survive the way into a network and out again, as far as anyone can see."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.images import clear_hidden_colour, over_background
from core.pixels import to_pixels, to_values

RANGES = st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-3.0, 5.0), (0.0, 255.0)])


@st.composite
def images(draw, channels):
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)))
    seed = draw(st.integers(0, 2**32 - 1))
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, channels), dtype=np.uint8)
    ends = draw(st.sampled_from([None, 0, 1, 2, 254, 255]))
    if ends is not None:
        pixels[..., -1] = ends
    return pixels


def round_trip(pixels, value_range):
    return to_pixels(to_values(torch.from_numpy(pixels), value_range), value_range).numpy()


@given(st.sampled_from([1, 3]).flatmap(images), RANGES)
def test_grey_and_rgb_come_back_exactly(pixels, value_range):
    assert np.array_equal(round_trip(pixels, value_range), pixels)


@given(images(4), RANGES)
def test_alpha_comes_back_exactly_and_visible_colour_too(pixels, value_range):
    back = round_trip(pixels, value_range)
    visible = pixels[..., 3] > 0
    assert np.array_equal(back[..., 3], pixels[..., 3])
    # Float32 keeps a premultiplied colour to 24 bits, so that only rounding could differ.
    assert np.abs(back[visible].astype(int) - pixels[visible]).max(initial=0) <= 1
    assert (back[~visible] == 0).all()


@given(images(4), RANGES, st.tuples(*[st.integers(0, 255)] * 3))
def test_what_anyone_sees_is_unchanged_on_any_background(pixels, value_range, background):
    seen, back = (over_background(p, background).astype(int) for p in (pixels, round_trip(pixels, value_range)))
    assert np.abs(seen - back).max() <= 1


@given(images(4), RANGES)
def test_hidden_colour_never_reaches_a_network(pixels, value_range):
    cleared = clear_hidden_colour(pixels)
    values = [to_values(torch.from_numpy(p), value_range) for p in (pixels, cleared)]
    assert torch.equal(*values)


def test_all_of_the_256_x_256_colours_and_alphas():
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.stack([colour, colour, colour, alpha], axis=-1)[None].astype(np.uint8)
    back = round_trip(pixels, (-1.0, 1.0))
    visible = alpha > 0
    assert np.array_equal(back[0][visible], pixels[0][visible])


@settings(max_examples=200)
@given(st.floats(0, 0.1), st.floats(0, 0.1), st.floats(-1e-6, 1e-6), st.floats(-1e-6, 1e-6))
def test_a_rounding_error_stays_one_near_alpha_0(colour, alpha, colour_error, alpha_error):
    """Continuity: dividing by alpha must not turn the last bits of a float into levels."""
    near = torch.tensor([colour, alpha]), torch.tensor([colour + colour_error, alpha + alpha_error])
    first, second = (to_pixels(torch.stack([c, c, c, a]).reshape(1, 4, 1, 1), (0.0, 1.0)) for c, a in near)
    assert (first.int() - second.int()).abs().max() <= 1


@given(st.floats(0, 1), st.floats(0, 2 / 255))
def test_no_colour_hides_under_alpha_0(colour, alpha):
    *colours, opacity = to_pixels(torch.tensor([colour] * 3 + [alpha]).reshape(1, 4, 1, 1), (0.0, 1.0)).flatten()
    assert opacity > 0 or not any(colours)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_values_outside_the_range_are_clamped(channels):
    assert (to_pixels(torch.full((1, channels, 2, 2), 1e9), (-1.0, 1.0)) == 255).all()
    assert (to_pixels(torch.full((1, channels, 2, 2), -1e9), (-1.0, 1.0)) == 0).all()


def test_colour_brighter_than_its_alpha_is_white_not_garbage():
    values = torch.tensor([0.9, 0.2, 0.0, 0.4]).reshape(1, 4, 1, 1)  # premultiplied red may not exceed alpha
    assert to_pixels(values, (0.0, 1.0)).flatten().tolist() == [255, 128, 0, 102]


def test_shapes_and_types():
    values = to_values(torch.zeros(2, 5, 7, 4, dtype=torch.uint8), (-1.0, 1.0))
    assert values.shape == (2, 4, 5, 7)
    assert values.dtype == torch.float32
    assert to_pixels(values.bfloat16(), (-1.0, 1.0)).shape == (2, 5, 7, 4)
    assert to_pixels(values, (-1.0, 1.0)).dtype == torch.uint8


def test_half_precision_is_widened_before_it_is_scaled():
    values = torch.linspace(-1.0, 1.0, 1024).bfloat16().reshape(1, 1, 32, 32)
    assert torch.equal(to_pixels(values, (-1.0, 1.0)), to_pixels(values.float(), (-1.0, 1.0)))
