import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.latents import latents
from serving.sampling.interpolation import Place, follow, lerp, slerp, walk

shares = st.floats(0, 1)
dims = st.integers(2, 64)


def angle(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))


@given(st.integers(2, 9), st.integers(0, 40), st.booleans())
def test_a_walk_has_that_many_frames_and_meets_every_corner_once_in_order(corners, more, loop):
    frames = corners + more
    places = walk(corners, frames, loop)
    assert len(places) == frames
    assert [place.start for place in places if place.share == 0] == list(range(corners))
    assert all(place.end == (place.start + 1) % corners for place in places if place.share)


@given(st.integers(2, 9), st.integers(0, 40), st.booleans())
def test_the_frames_of_a_walk_are_spread_evenly(corners, more, loop):
    places = walk(corners, corners + more, loop)
    ways = corners if loop else corners - 1
    positions = np.array([place.start + place.share for place in places])
    steps = np.diff([*positions, corners] if loop else positions)
    even = ways / len(steps)
    assert steps.min() > 0
    counts = np.bincount([place.start for place in places], minlength=ways)[:ways]
    assert np.ptp(counts) <= 1
    if len(steps) % ways == 0:
        assert steps == pytest.approx(even)


def test_walks_by_hand():
    assert walk(2, 3) == [Place(0, 1, 0), Place(0, 1, 0.5), Place(1, 1, 0)]
    assert walk(2, 4, loop=True) == [Place(0, 1, 0), Place(0, 1, 0.5), Place(1, 0, 0), Place(1, 0, 0.5)]
    assert [place.share for place in walk(3, 4)] == [0, 0, 0.5, 0]


def test_corners_are_exact_bit_for_bit():
    points = latents([3, 9, 4], 32)
    for between in (slerp, lerp):
        path = follow(points, walk(3, 11), between)
        assert path.shape == (11, 32)
        assert path.dtype == np.float32
        assert (path[[0, 5, 10]] == points).all()
        assert not (path[1:5] == points[:1]).all(axis=1).any()


@given(st.integers(0, 1000), st.integers(1001, 2000), dims, shares)
def test_slerp_is_shoemakes_formula(first, second, dim, share):
    a, b = latents([first, second], dim)
    omega = angle(a, b)
    if not 0.01 < omega < np.pi - 0.01:
        return
    unit_a, unit_b = (v.astype(np.float64) / np.linalg.norm(v.astype(np.float64)) for v in (a, b))
    direction = (np.sin((1 - share) * omega) * unit_a + np.sin(share * omega) * unit_b) / np.sin(omega)
    expected = direction * ((1 - share) * np.linalg.norm(a) + share * np.linalg.norm(b))
    assert slerp(a, b, share) == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 1000), dims, shares, st.sampled_from([1e-2, 1e-4, 1e-6, 1e-7, 1e-8, 0]), st.sampled_from([1, -1]))
def test_slerp_turns_evenly_between_nearly_parallel_and_nearly_opposite_latents(seed, dim, share, apart, sign):
    a, other = latents([seed, seed + 5000], dim)
    b = (sign * (a.astype(np.float64) + apart * other)).astype(np.float32)
    point = slerp(a, b, share)
    assert np.isfinite(point).all()
    assert angle(a, point) == pytest.approx(share * angle(a, b), abs=2e-3)
    length = (1 - share) * np.linalg.norm(a) + share * np.linalg.norm(b)
    assert np.linalg.norm(point) == pytest.approx(length, rel=1e-5)
    assert slerp(a, b, 1.0) == pytest.approx(b, abs=1e-5)


def test_opposite_latents_are_met_on_the_same_arc_every_time():
    (a,) = latents([1], 16)
    halfway = slerp(a, -a, 0.5)
    assert angle(a, halfway) == pytest.approx(np.pi / 2, abs=1e-6)
    assert (halfway == slerp(a, -a, 0.5)).all()


def test_one_dimension_and_zero_are_gone_through_on_the_line():
    one = np.ones(1, np.float32)
    assert np.isfinite(slerp(one, -one, 0.5)).all()
    assert slerp(one, 3 * one, 0.5) == pytest.approx(2 * one)
    assert slerp(np.zeros(3, np.float32), np.ones(3, np.float32), 0.25) == pytest.approx(np.full(3, 0.25))


def test_lerp_is_the_line():
    a, b = latents([1, 2], 8).reshape(2, 2, 4)
    assert lerp(a, b, 0.25) == pytest.approx(0.75 * a + 0.25 * b, abs=1e-6)


def test_the_line_by_hand():
    """In double precision on the way: in single, 100,000,000 + (1 - 100,000,000) is 0."""
    far, near = np.array([1e8, 0, 2], np.float32), np.array([1, 4, -2], np.float32)
    assert lerp(far, near, 1.0).tolist() == [1, 4, -2]
    assert lerp(far, near, 0.0).tolist() == far.tolist()
    assert lerp(far, near, 0.25)[1:].tolist() == [1, 1]
    assert lerp(far, near, 0.25).dtype == np.float32


def test_the_arc_by_hand():
    """A right angle, of lengths 1 and 3: after a third of the way 30 degrees and a length of 5/3."""
    a, b = np.array([1, 0], np.float32), np.array([0, 3], np.float32)
    third = slerp(a, b, 1 / 3)
    assert third.dtype == np.float32
    assert third == pytest.approx(5 / 3 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)]), rel=1e-7)
    huge = slerp(a * np.float32(1e25), b * np.float32(1e25), 1 / 3)  # whose squares are too large for single precision
    assert huge == pytest.approx(third.astype(np.float64) * 1e25, rel=1e-6)


def test_how_short_a_latent_is_does_not_change_the_way():
    """1 and a billionth at right angles: half way there the direction is half of both."""
    a, b = np.array([1, 0, 0], np.float32), np.array([0, 0, 1e-9], np.float32)
    for first, second in ((a, b), (b, a)):
        assert slerp(first, second, 0.5) == pytest.approx(0.5 / np.sqrt(2) * np.array([1, 0, 1]), abs=1e-7)


def test_between_opposite_latents_the_way_leads_along_the_shortest_axis():
    a = np.array([-2, 0, 0], np.float32)
    assert slerp(a, -a, 0.5) == pytest.approx([0, 2, 0], abs=1e-6)
    slanted = np.array([-3, -4, 0], np.float32)
    assert slerp(slanted, -slanted, 0.5) == pytest.approx([0, 0, 5], abs=1e-6)
    assert slerp(slanted, -slanted, 0.25) == pytest.approx(np.array([-3, -4, 5]) / np.sqrt(2), abs=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_only_the_result_is_rounded(share):
    """To the same bits as the textbook's formula in double precision."""
    a, b = latents([1, 2], 256)
    lengths = [np.linalg.norm(v.astype(np.float64)) for v in (a, b)]
    unit_a, unit_b = a.astype(np.float64) / lengths[0], b.astype(np.float64) / lengths[1]
    omega = np.arccos(unit_a @ unit_b)
    direction = (np.sin((1 - share) * omega) * unit_a + np.sin(share * omega) * unit_b) / np.sin(omega)
    expected = direction * ((1 - share) * lengths[0] + share * lengths[1])
    assert (slerp(a, b, share) == expected.astype(np.float32)).all()


def test_one_end_that_is_0_is_met_on_the_line():
    zero, one = np.zeros(2, np.float32), np.array([4, 8], np.float32)
    assert slerp(one, zero, 0.25).tolist() == [3, 6]
    assert slerp(zero, one, 0.25).tolist() == [1, 2]


def test_what_is_followed_is_asked_for_in_order():
    points = np.array([[0.0], [1.0], [5.0]], np.float32)
    asked = []

    def between(a, b, share):
        asked.append((a.item(), b.item(), share))
        return a + b

    path = follow(points, [Place(0, 1, 0.0), Place(1, 2, 0.25), Place(2, 0, 0.5)], between)
    assert path.tolist() == [[0], [6], [5]]
    assert asked == [(1, 5, 0.25), (5, 0, 0.5)]


def test_longer_walks_by_hand():
    assert walk(3, 6, loop=True) == [Place(way, (way + 1) % 3, step / 2) for way in range(3) for step in range(2)]
    assert walk(3, 5) == [*(Place(way, way + 1, step / 2) for way in range(2) for step in range(2)), Place(2, 2, 0.0)]
    assert walk(2, 2, loop=True) == [Place(0, 1, 0.0), Place(1, 0, 0.0)]
    assert walk(2, 2) == [Place(0, 1, 0.0), Place(1, 1, 0.0)]
