"""Which sizes can be reached."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SpecError
from core.sizes import LARGEST_SIDE, nearest_sizes, parse_sides, parse_size, plan_size


@pytest.mark.parametrize(
    ("height", "width", "base", "doublings"),
    [
        (64, 64, (4, 4), 4),
        (96, 64, (6, 4), 4),
        (28, 28, (7, 7), 2),
        (32, 128, (4, 16), 3),
        (8, 8, (4, 4), 1),
        (48, 80, (6, 10), 3),
        (1024, 1024, (4, 4), 8),
    ],
)
def test_bases_and_doublings(height: int, width: int, base: tuple[int, int], doublings: int) -> None:
    size = plan_size(height, width)
    assert ((size.base_height, size.base_width), size.doublings) == (base, doublings)


@pytest.mark.parametrize(
    ("height", "width", "near"),
    [(100, 64, "64x96 or 64x112"), (70, 70, "64x64 or 80x80"), (30, 30, "32x32 or 28x28"), (5, 5, "8x8 or 10x8")],
)
def test_refuses_naming_the_nearest_sizes(height: int, width: int, near: str) -> None:
    with pytest.raises(SpecError, match=f"use {near}$"):
        plan_size(height, width)


@given(st.integers(-3, 3000), st.integers(-3, 3000))
def test_every_size_is_reached_exactly_or_refused_with_sizes_that_are(height: int, width: int) -> None:
    try:
        size = plan_size(height, width)
    except SpecError:
        near = nearest_sizes(height, width)
        assert near
        assert all(str(plan_size(*pair)) == f"{pair[1]}x{pair[0]}" for pair in near)
    else:
        factor = 2**size.doublings
        assert (size.base_height * factor, size.base_width * factor) == (height, width)
        assert 4 <= min(size.base_height, size.base_width) <= 7
        assert max(height, width) <= LARGEST_SIDE


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), ("64x96", (96, 64)), (" 28X28 ", (28, 28))])
def test_sizes_as_people_write_them(text: str, size: tuple[int, int]) -> None:
    parsed = parse_size(text)
    assert (parsed.height, parsed.width) == size


@pytest.mark.parametrize("text", ["", "x", "64x", "64x64x3", "-64", "6.4", "large", "٦٤x!", "0", "0x4", "9" * 5000])
def test_what_is_not_a_size_is_said_so(text: str) -> None:
    with pytest.raises(SpecError, match="is not a size"):
        parse_size(text)


def test_sides_of_pictures_that_are_not_ours_are_any_width_and_height() -> None:
    assert parse_sides("28x14") == (14, 28)
    assert parse_sides("7") == (7, 7)


def test_every_base_and_no_other_is_doubled_up_to_the_limit() -> None:
    """Odd sides and those below 8 are the end of halving, so each of these is reached in one way or not at all."""
    assert LARGEST_SIDE == 2048
    for short, more, doublings in itertools.product((4, 7, 9), (0, 25, 26, 28, 29), (0, 1, 2, 6, 7, 8, 9)):
        height, width = short << doublings, (short + more) << doublings
        allowed = short < 8 and short + more <= 32 and doublings > 0 and width <= 2048
        for pair in ((height, width), (width, height)):
            assert (pair in nearest_sizes(*pair, count=1)) == allowed


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(4, 7), st.integers(4, 32), st.integers(1, 6))
def test_no_allowed_size_is_nearer(height: int, width: int, short: int, long: int, doublings: int) -> None:
    def ratio(size: tuple[int, int]) -> float:
        """Of heights, of widths and of shapes, each as a factor above 1, multiplied."""
        factors = size[0] / height, size[1] / width, size[0] * width / size[1] / height
        return math.prod(max(factor, 1 / factor) for factor in factors)

    first, second = nearest_sizes(height, width)
    other = plan_size(max(short, long) << doublings, short << doublings)
    assert ratio(first) <= ratio(second) * (1 + 1e-9)
    assert (other.height, other.width) == first or ratio(second) <= ratio((other.height, other.width)) * (1 + 1e-9)


def test_a_side_below_one_pixel_is_taken_for_one() -> None:
    assert nearest_sizes(-3, 1) == nearest_sizes(1, 1) == [(8, 8), (8, 10)]
    assert nearest_sizes(2, 0) == nearest_sizes(2, 1) == [(8, 8), (10, 8)]
