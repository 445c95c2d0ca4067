"""Which sizes can be reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SpecError
from core.sizes import LARGEST_SIDE, nearest_sizes, parse_size, plan_size


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
    [(100, 64, "64x96 or 64x112"), (70, 70, "64x64 or 80x80"), (30, 30, "32x32 or 28x28"), (5, 5, "8x8")],
)
def test_refuses_naming_the_nearest_sizes(height: int, width: int, near: str) -> None:
    with pytest.raises(SpecError, match=f"use {near}"):
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


@pytest.mark.parametrize("text", ["", "x", "64x", "64x64x3", "-64", "6.4", "large", "٦٤x!"])
def test_what_is_not_a_size_is_said_so(text: str) -> None:
    with pytest.raises(SpecError, match="is not a size"):
        parse_size(text)
