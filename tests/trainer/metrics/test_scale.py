"""The scale of a pack: what spoiling does to images, and that it is done once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.images import Images
from tests.trainer.conftest import blobs
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import chosen_reals, real_features
from trainer.metrics.kid import kid
from trainer.metrics.scale import coarser, noise_like, scale_of, to_compute


def pixels(images: Images) -> torch.Tensor:
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255)


@pytest.fixture
def sharp() -> Extractor:
    return Extractor("pixels", {}, pixels)


@pytest.fixture
def discs(tmp_path: Path) -> Pack:
    return write_pack(tmp_path / "pack", blobs(80), None, PackInfo("discs", 16, 16, 4))


def test_coarser_images_have_the_means_of_blocks_and_hide_nothing_under_alpha() -> None:
    random = np.random.RandomState(0)
    grey = random.randint(0, 256, (2, 8, 12, 1)).astype(np.uint8)
    means = grey.reshape(2, 2, 4, 3, 4, 1).mean(axis=(2, 4))  # by 4
    for image, mean, coarse in zip(grey, means, coarser(grey, 4), strict=True):
        small = Image.fromarray(np.round(mean[..., 0]).astype(np.uint8))
        expected = np.asarray(small.resize((12, 8), Image.Resampling.BILINEAR))
        assert np.abs(coarse[..., 0].astype(int) - expected).max() <= 1
        assert coarse.shape == image.shape
    hidden = np.zeros((1, 8, 8, 4), np.uint8)
    hidden[0, :4] = (255, 0, 0, 255)
    hidden[0, 4:] = (0, 255, 0, 0)  # green that nobody sees
    for channels in (hidden, coarser(hidden, 2)):
        seen = channels[channels[..., 3] > 0]
        assert (seen[:, 1] == 0).all() and (seen[:, 0] == 255).all()
    flat = np.full((1, 3, 2, 3), 77, np.uint8)
    assert np.array_equal(coarser(flat, 4), flat)


def test_noise_is_uniform_and_the_same_every_time() -> None:
    noise = noise_like(np.zeros((20, 16, 16, 4), np.uint8))
    assert np.array_equal(noise, noise_like(np.zeros((20, 16, 16, 4), np.uint8)))
    assert noise.mean() == pytest.approx(127.5, abs=2)
    assert noise.std() == pytest.approx(255 / 12**0.5, abs=2)


def test_the_scale_is_kid_of_spoiled_images_against_the_others_and_is_taken_once(discs: Pack, sharp: Extractor) -> None:
    seen: list[int] = []

    def counting(images: Images) -> torch.Tensor:
        seen.append(len(images))
        return pixels(images)

    told: list[tuple[int, int]] = []
    counted, reals = replace(sharp, features=counting), real_features(discs, sharp)
    assert to_compute(discs, counted, 80) == 120
    scale = scale_of(discs, counted, reals, lambda *done: told.append(done))
    images = discs.gather(chosen_reals(discs)[:40])
    assert scale.half == pytest.approx(kid(pixels(coarser(images, 2)), reals[40:]))
    assert scale.quarter == pytest.approx(kid(pixels(coarser(images, 4)), reals[40:]))
    assert scale.half < scale.quarter < scale.noise
    assert sum(seen) == 120
    assert told == [(32, 120), (40, 120), (72, 120), (80, 120), (112, 120), (120, 120)]
    assert to_compute(discs, counted, 80) == 0
    assert scale_of(discs, counted, reals) == scale
    assert sum(seen) == 120
    Pack.open(discs.path).verify()
