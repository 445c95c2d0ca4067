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


def plan_size(height: int, width: int) -> Size:
    """The base and the number of doublings that reach ``height`` x ``width`` pixels.

    Raises SpecError, naming the nearest sizes that can be reached, if there is none.
    """
    size = _reach(height, width)
    if size is None:
        near = " or ".join(f"{w}x{h}" for h, w in nearest_sizes(height, width))
        raise SpecError(f"no network can make {width}x{height} images by doubling from a small base: use {near}")
    return size


def parse_size(text: str) -> Size:
    """``"64"`` (square) or ``"64x96"`` (64 wide, 96 high), as an allowed size."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise SpecError(f"'{text}' is not a size: write a side in pixels, 64, or WIDTHxHEIGHT, 64x96")
    sides = [int(part) for part in parts]
    return plan_size(height=sides[-1], width=sides[0])


def nearest_sizes(height: int, width: int, count: int = 2) -> list[tuple[int, int]]:
    """The ``count`` allowed sizes nearest to the one asked for, nearest first, in pixels."""
    height, width = max(height, 1), max(width, 1)
    candidates = {
        (side_h * 2**n, side_w * 2**n)
        for n in range(1, LARGEST_SIDE.bit_length())
        for side_h in _neighbours(height, n)
        for side_w in _neighbours(width, n)
    }
    reachable = [(h, w) for h, w in candidates if _reach(h, w) is not None]
    if not reachable:
        # Too long and thin, or too large: the nearest squares are still an answer.
        side = min(max(min(height, width), 8), LARGEST_SIDE)
        return nearest_sizes(side, side, count)
    return sorted(reachable, key=lambda size: (_distance(size, (height, width)), size))[:count]


def _distance(size: tuple[int, int], wanted: tuple[int, int]) -> float:
    """How far two sizes are, in octaves: of the height, of the width, and of the shape between them."""
    taller, wider = math.log2(size[0] / wanted[0]), math.log2(size[1] / wanted[1])
    return abs(taller) + abs(wider) + abs(taller - wider)


def _neighbours(side: int, doublings: int) -> set[int]:
    """The bases whose doubled side lies just below and just above ``side``."""
    base = max(side // 2**doublings, 1)
    return {base, base + 1}


def _reach(height: int, width: int) -> Size | None:
    if min(height, width) < 1 or max(height, width) > LARGEST_SIDE:
        return None
    base_h, base_w, doublings = height, width, 0
    while base_h % 2 == 0 and base_w % 2 == 0 and min(base_h, base_w) // 2 >= SHORTEST_BASE.start:
        base_h, base_w, doublings = base_h // 2, base_w // 2, doublings + 1
    fits = min(base_h, base_w) in SHORTEST_BASE and max(base_h, base_w) <= LONGEST_BASE and doublings > 0
    return Size(height, width, base_h, base_w, doublings) if fits else None
