"""Which image sizes a generator can reach: a small base, doubled a whole number of times.

People read and write WIDTHxHEIGHT, as image tools do; arrays and arguments have the height first, as NumPy does.
"""

import math
from dataclasses import dataclass

from core.errors import SpecError

# A network starts from a base whose shorter side is 4 to 7 pixels and doubles it. Four bases an octave
# put an allowed size within 12 % of any other, and 28 (7 doubled twice) is among them.
SHORTEST_BASE = range(4, 8)
LONGEST_BASE = 32
LARGEST_SIDE = 2048
_MOST_DIGITS = 5


@dataclass(frozen=True)
class Size:
    """An allowed image size. ``height == base_height * 2**doublings``, and so for the width."""

    height: int
    width: int
    base_height: int
    base_width: int
    doublings: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


# Every allowed size, 1,409 of them, by height and width.
_ALLOWED = {
    (height << doublings, width << doublings): Size(height << doublings, width << doublings, height, width, doublings)
    for short in SHORTEST_BASE
    for long in range(short, LONGEST_BASE + 1)
    for height, width in ((short, long), (long, short))
    for doublings in range(1, (LARGEST_SIDE // long).bit_length())
}


def plan_size(height: int, width: int) -> Size:
    """The base and the number of doublings that reach ``height`` x ``width`` pixels.

    Raises SpecError, naming the nearest sizes that can be reached, if there is none.
    """
    size = _ALLOWED.get((height, width))
    if size is None:
        near = " or ".join(f"{w}x{h}" for h, w in nearest_sizes(height, width))
        raise SpecError(f"no network can make {width}x{height} images by doubling from a small base: use {near}")
    return size


def parse_size(text: str) -> Size:
    """``"64"`` (square) or ``"64x96"`` (64 wide, 96 high), as an allowed size."""
    return plan_size(*parse_sides(text))


def parse_sides(text: str) -> tuple[int, int]:
    """``"64"`` or ``"64x96"`` (64 wide, 96 high), as height and width of any length. Raises SpecError."""
    sides = [side.strip() for side in text.lower().split("x")]
    if len(sides) > 2 or not all(side.isdecimal() and len(side) <= _MOST_DIGITS and int(side) for side in sides):
        raise SpecError(f"{text[:80]!r} is not a size: write a side in pixels, 64, or WIDTHxHEIGHT, 64x96")
    return int(sides[-1]), int(sides[0])


def nearest_sizes(height: int, width: int, count: int = 2) -> list[tuple[int, int]]:
    """The ``count`` allowed sizes nearest to the one asked for, nearest first, in pixels."""
    return _by_distance(height, width)[:count]


def sizes_around(height: int, width: int) -> tuple[Size | None, Size | None]:
    """The nearest allowed size that holds ``height`` x ``width`` pixels, and the nearest that lies in them."""
    near = [_ALLOWED[sides] for sides in _by_distance(height, width)]
    holds = next((size for size in near if size.height >= height and size.width >= width), None)
    inside = next((size for size in near if size.height <= height and size.width <= width), None)
    return holds, inside


def _by_distance(height: int, width: int) -> list[tuple[int, int]]:
    asked = max(height, 1), max(width, 1)

    def distance(size: tuple[int, int]) -> float:
        """In octaves: of the height, of the width, and of the shape between them."""
        taller, wider = math.log2(size[0] / asked[0]), math.log2(size[1] / asked[1])
        return abs(taller) + abs(wider) + abs(taller - wider)

    return sorted(_ALLOWED, key=lambda size: (distance(size), size))
