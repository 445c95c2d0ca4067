"""How sources are made of images: on pixels, and the same ones for the same random numbers."""

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import ConfigError
from core.images import over_background
from core.spec import SourceSpec
from tests.trainer.conftest import blobs
from trainer.objective.corruption import WAYS, Corruption

RGBA = torch.from_numpy(blobs(6))
RGB = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (6, 16, 24, 3)).astype(np.uint8))


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.parametrize("images", [RGB, RGBA], ids=["RGB", "RGBA"])
def test_a_source_is_what_its_spec_says(kind: str, images: torch.Tensor) -> None:
    corruption = Corruption.of({"kind": kind})
    made = corruption.corrupt(images, draws())
    source = corruption.source_of(*images.shape[1:])
    assert made.dtype == torch.uint8 and made.shape == (6, source.height, source.width, source.channels)
    assert torch.equal(made, corruption.corrupt(images, draws()))
    assert Corruption.parse(source.origin) == corruption
    if made.shape[-1] == 4:
        assert not made[made[..., 3] == 0].any()


def test_noise_has_the_deviation_that_was_asked_for_and_alpha_none() -> None:
    grey = torch.full((8, 64, 64, 3), 128, dtype=torch.uint8)
    made = Corruption("noise", 20.0).corrupt(grey, draws()).float()
    assert made.std() == pytest.approx(20, rel=0.01)
    assert made.mean() == pytest.approx(128, abs=0.3)
    assert torch.equal(Corruption("noise", 50.0).corrupt(RGBA, draws())[..., 3], RGBA[..., 3])


def test_what_is_smaller_has_the_means_of_its_squares() -> None:
    made = Corruption("smaller", 2.0).corrupt(RGB).numpy().astype(float)
    wanted = RGB.numpy().astype(float).reshape(6, 8, 2, 12, 2, 3).mean(axis=(2, 4))
    assert np.abs(made - wanted).max() <= 0.5 + 1e-3


def test_colours_go_and_lightness_stays() -> None:
    made = Corruption("colourless", 1.0).corrupt(RGB)
    exact = RGB.numpy() @ np.array([0.299, 0.587, 0.114])
    assert np.abs(made[..., 0].numpy() - exact).max() <= 0.5 + 1e-4
    alpha = Corruption("colourless", 1.0).corrupt(RGBA)
    assert torch.equal(alpha[..., 0], alpha[..., 2]) and torch.equal(alpha[..., 3], RGBA[..., 3])


def test_a_hole_is_a_box_of_its_size_within_the_image() -> None:
    made = Corruption("hole", 0.25).corrupt(torch.full_like(RGB, 7), draws())
    for image in made:
        rows, columns = np.nonzero((image == 128).all(dim=-1).numpy())
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)) == (4, 6, 24)
        assert set(image.unique().tolist()) == {7, 128}


def test_a_jpeg_is_what_pillow_makes_of_it_on_white(tmp_path: object) -> None:
    made = Corruption("jpeg", 30.0).corrupt(RGBA)
    path = tmp_path / "one.jpg"
    Image.fromarray(over_background(RGBA.numpy())[2]).save(path, quality=30)
    assert np.array_equal(made[2].numpy(), np.asarray(Image.open(path)))


def test_sizes_and_channels_that_do_not_go() -> None:
    with pytest.raises(ConfigError, match="3 times smaller"):
        Corruption("smaller", 3.0).source_of(16, 16, 3)
    with pytest.raises(ConfigError, match="no colour to learn"):
        Corruption("colourless", 1.0).source_of(16, 16, 1)
    assert Corruption("smaller", 4.0).source_of(16, 32, 4) == SourceSpec(4, 8, 4, origin="smaller 4")


@pytest.mark.parametrize("origin", ["sources", "images"])
def test_sources_that_nothing_made(origin: str) -> None:
    assert Corruption.parse(origin) is None


def test_an_origin_of_another_version() -> None:
    with pytest.raises(ConfigError, match="nobody here makes"):
        Corruption.parse("noise loud")
    with pytest.raises(ConfigError, match="choose from"):
        Corruption.parse("fog 3")
