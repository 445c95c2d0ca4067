from itertools import pairwise

import numpy as np
import pytest

from trainer.data import alike
from trainer.data.alike import ALIKE, nearly_alike


def thing(seed, side=24, channels=4):
    """Blocks of random colours on a transparent ground."""
    picture = np.zeros((side, side, channels), np.uint8)
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, channels), np.uint8)
    if channels == 4:
        blocks[..., 3] = 255
    picture[4:20, 4:20] = blocks.repeat(2, axis=0).repeat(2, axis=1)
    return picture


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_changed_eye_is_nearly_alike_and_another_thing_is_not(channels):
    changed = thing(0, channels=channels)
    changed[8:10, 8:10] = 255
    pictures = [thing(0, channels=channels), thing(1, channels=channels), changed, thing(2, channels=channels)]
    assert nearly_alike(pictures) == [(2, 0)]
    assert nearly_alike(pictures[:1]) == [] and nearly_alike([]) == []


def test_one_shape_in_other_colours_is_another_thing():
    disc = (np.indices((24, 24)) - 11.5).__pow__(2).sum(axis=0) < 100
    coins = np.zeros((3, 24, 24, 4), np.uint8)
    coins[:, disc] = np.array([[220, 40, 40, 255], [40, 40, 220, 255], [225, 45, 35, 255]], np.uint8)[:, None]
    assert nearly_alike(coins) == [(2, 0)]


def test_the_threshold_is_a_share_of_what_there_is_to_see():
    """Stripes, and stripes a share weaker: the difference is that share of them."""
    stripes = np.tile([[0], [200]], (8, 16))[..., None]
    for share, near in ((ALIKE - 0.03, True), (ALIKE + 0.05, False)):
        weaker = np.rint(stripes * (1 - share)).astype(np.uint8)
        ratio = share / np.sqrt((1 + (1 - share) ** 2) / 2)  # of the root mean square of both
        assert (ratio <= ALIKE) == near
        assert bool(nearly_alike([stripes.astype(np.uint8), weaker])) is near


def test_what_is_flat_is_like_nothing():
    assert nearly_alike(np.full((3, 8, 8, 3), 90, np.uint8)) == []


def test_batches_and_the_reach_backwards_make_no_difference_but_the_reach(monkeypatch):
    pictures = [thing(seed % 5) for seed in range(20)]
    whole = nearly_alike(pictures)
    assert [row for row, _ in whole] == list(range(5, 20)) and all((row - other) % 5 == 0 for row, other in whole)
    monkeypatch.setattr(alike, "_AT_ONCE", 3)
    assert [row for row, _ in nearly_alike(pictures)] == list(range(5, 20))
    monkeypatch.setattr(alike, "_BEFORE", 4)
    assert {row for row, _ in nearly_alike(pictures)} < set(range(5, 20))
    monkeypatch.setattr(alike, "_BEFORE", 5)
    assert [row for row, _ in nearly_alike(pictures)] == list(range(5, 20))


@pytest.mark.parametrize("shape", [(9, 28, 1), (8, 10, 3), (40, 16, 4)])
def test_the_reduced_picture_is_the_mean_of_its_areas(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if shape[2] == 4:
        picture[..., 3] = 255
    height, width = min(shape[0], 16), min(shape[1], 16)
    edges = [
        [index * side // many for index in range(many + 1)]
        for side, many in zip(shape[:2], (height, width), strict=True)
    ]
    means = [
        picture[top:bottom, left:right].astype(float).mean(axis=(0, 1))
        for top, bottom in pairwise(edges[0])
        for left, right in pairwise(edges[1])
    ]
    expected = np.array(means)
    if shape[2] == 4:
        expected[:, 3] /= 2
    found = alike._reduced(picture).reshape(-1, shape[2])
    assert np.allclose(found, expected - expected.mean(axis=0), atol=1e-3)
