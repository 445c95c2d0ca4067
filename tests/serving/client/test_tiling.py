"""Tiles: where they lie, that their weights sum to one, and that what changes nothing changes nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RequestRefused
from core.images import to_pillow
from serving.client.tiling import Tiled, premultiplied, starts, straight, usual_overlap, weights
from tests.serving.translators import translator_spec


def drawn(height, width, channels, seed=0):
    """Any pixels, whose colour is 0 where nobody sees it."""
    picture = np.random.RandomState(seed).randint(0, 256, (height, width, channels), np.uint8)
    if channels == 4:
        picture[::3, :, 3] = 0
        picture[1::3, :, 3] //= 100  # the hardest: colour that a level or two of alpha is left of
        picture *= picture[..., 3:] > 0
    return picture


@given(st.integers(1, 40), st.data())
def test_tiles_cover_the_length_and_overlap_as_far(side, data):
    overlap, length = data.draw(st.integers(0, side - 1)), data.draw(st.integers(side, 300))
    found = starts(length, side, overlap)
    assert (found[0], found[-1] + side) == (0, length)
    steps = [after - before for before, after in itertools.pairwise(found)]
    assert all(0 < step <= side - overlap for step in steps)
    assert len(found) == 1 or (len(found) - 1) * (side - overlap) + overlap < length  # one fewer would not do
    assert max(steps, default=0) - min(steps, default=0) <= 1


@given(st.integers(1, 40), st.data())
def test_weights_sum_to_one_and_fall_towards_where_tiles_overlap(side, data):
    begins = starts(data.draw(st.integers(side, 200)), side, data.draw(st.integers(0, side - 1)))
    total, found = np.zeros(begins[-1] + side), weights(begins, side)
    for begin, share in zip(begins, found, strict=True):
        assert share.min() > 0
        total[begin : begin + side] += share
    assert np.abs(total - 1).max() < 1e-12


def test_a_weight_is_a_sine_squared():
    left, right = weights([0, 12], 16)
    ramp = np.sin(np.pi / 8 * np.array([0.5, 1.5, 2.5, 3.5])) ** 2
    assert left == pytest.approx([1] * 12 + [*ramp[::-1]], abs=1e-12)
    assert right == pytest.approx([*ramp] + [1] * 12, abs=1e-12)


@given(st.integers(1, 30), st.integers(1, 40), st.sampled_from([1, 3, 4]), st.integers(1, 3), st.data())
def test_what_changes_nothing_changes_nothing(height, width, channels, times, data):
    """Of any size, smaller than a tile, too, with any overlap; the result a whole number of times as large."""
    spec = translator_spec(8, 12, channels, times, channels)
    picture = drawn(height, width, channels)
    plan = Tiled(to_pillow(picture), spec, data.draw(st.none() | st.integers(0, 7)))
    tiles = list(plan.sources())
    assert {tile.shape for tile in tiles} == {(8, 12, channels)}
    result = plan.made_of(tile.repeat(times, axis=0).repeat(times, axis=1) for tile in tiles)
    assert (result == picture.repeat(times, axis=0).repeat(times, axis=1)).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiles_that_differ_are_blended_as_all_at_once(channels):
    """Every pixel of every tile, weighed and added up in one array as large as the picture, premultiplied."""
    spec, shape = translator_spec(8, 12, channels, 1, channels), (19, 30, channels)
    plan = Tiled(to_pillow(drawn(*shape)), spec, 3)
    results = [drawn(8, 12, channels, seed) for seed, _ in enumerate(plan.sources(), 1)]
    total = np.zeros(shape)
    rows, columns = starts(19, 8, 3), starts(30, 12, 3)
    places = itertools.product(
        zip(rows, weights(rows, 8), strict=True), zip(columns, weights(columns, 12), strict=True)
    )
    for ((top, down), (left, across)), image in zip(places, results, strict=True):
        values = image.astype(float)
        if channels == 4:
            values[..., :3] *= values[..., 3:]
        total[top : top + 8, left : left + 12] += values * np.outer(down, across)[..., None]
    if channels == 4:
        total[..., :3] = np.where(total[..., 3:] >= 0.5, total[..., :3] / total[..., 3:].clip(1e-9), 0)
    assert np.abs(plan.made_of(iter(results)).astype(float) - np.rint(total)).max() <= 1
    assert (np.abs(plan.made_of(iter(results)).astype(float) - np.rint(total)) > 0).mean() < 1e-3


def test_hidden_colour_never_bleeds_into_a_blend():
    red, nothing = np.array([[[255, 0, 0, 200]]], np.uint8), np.array([[[0, 255, 0, 0]]], np.uint8)
    assert straight((premultiplied(red) + premultiplied(nothing)) / 2).tolist() == [[[255, 0, 0, 100]]]
    assert straight(premultiplied(nothing)).tolist() == [[[0, 0, 0, 0]]]


def test_the_edge_of_a_lower_picture_is_reflected():
    picture = np.arange(3 * 12).astype(np.uint8).reshape(3, 12, 1)
    (tile,) = Tiled(to_pillow(picture), translator_spec(8, 12, 1, 1, 1)).sources()
    assert tile[:, 0, 0].tolist() == [12, 0, 0, 12, 24, 24, 12, 0]


def test_overlaps_and_sizes_that_cannot_be_are_refused():
    picture = to_pillow(drawn(20, 20, 4))
    assert usual_overlap(translator_spec(8, 12)) == 2
    for overlap in (-1, 8):
        with pytest.raises(RequestRefused, match=f"an overlap of {overlap} pixels: it must be 0 to 7"):
            Tiled(picture, translator_spec(8, 12), overlap)
    spec = translator_spec(8, 12)
    object.__setattr__(spec, "height", 12)
    with pytest.raises(RequestRefused, match="of 12x8 to 12x12 pixels cannot be tiled: only to whole multiples"):
        Tiled(picture, spec)
