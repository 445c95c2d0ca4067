"""Where rectangles lie on pages. One list of sizes always gives one layout, whatever order it came in."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rectpack import SORT_NONE, PackingBin, SkylineBlWm, newPacker

from core.errors import AssetError
from serving.assets.settings import check_flag, check_whole
from serving.assets.steps.sizes import power_of_two

LARGEST_SIDE = 16_384  # of a texture, in every engine that runs on a desk
Rects = tuple[tuple[int, int], ...]  # widths and heights


@dataclass(frozen=True)
class Packing:
    """How sprites are packed. Lengths are in pixels. Nothing is ever rotated: half of the engines cannot read it."""

    size: int = 2048  # the longest side of a page
    padding: int = 2  # transparent, between sprites
    extrude: int = 0  # each border is repeated so often outside itself, against seams between tiles
    trim: bool = True  # transparent margins are cut off, and remembered
    power_of_two: bool = True  # the sides of pages
    square: bool = False
    grid: bool = False  # all in cells of one size, in order of their names, as tile sets are; nothing is trimmed

    def __post_init__(self) -> None:
        check_whole("size", self.size, 1, LARGEST_SIDE)
        check_whole("padding", self.padding, 0, 256)
        check_whole("extrude", self.extrude, 0, 256)
        for name in ("trim", "power_of_two", "square", "grid"):
            check_flag(name, getattr(self, name))
        if self.power_of_two and self.size != power_of_two(self.size):
            raise AssetError(f"size is {self.size}: give a power of two, or say power_of_two = false")


@dataclass(frozen=True)
class Layout:
    """The pages' widths and heights, and for each rectangle its page, left and top."""

    pages: tuple[tuple[int, int], ...]
    places: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=16)
def layout(rects: Rects, packing: Packing) -> Layout:
    """The layout of rectangles, extruded and padded as ``packing`` says; places are of what is inside.

    By the skyline algorithm, with waste map (Jylänki 2010, "A thousand ways to pack the bin"), the longest sides first.
    Pages are filled one after another; the last is as small as it can be. Raises AssetError for what fits no page.
    """
    around = 2 * packing.extrude
    for width, height in rects:
        if max(width, height) + around > packing.size:
            extruded = f", with {packing.extrude} extruded on each side" if packing.extrude else ""
            raise AssetError(
                f"a sprite of {width}x{height}{extruded} fits no page of {packing.size}: give a larger size"
            )
    boxes = [(w + around + packing.padding, h + around + packing.padding) for w, h in rects]
    if packing.grid:
        return _grid(boxes, packing)

    left = sorted(range(len(boxes)), key=lambda i: (-max(boxes[i]), -min(boxes[i]), boxes[i], i))
    places: dict[int, tuple[int, int, int]] = {}
    pages: list[tuple[int, int]] = []
    while left:
        size, found = _page([(index, boxes[index]) for index in left], packing)
        for index, (x, y) in found.items():
            places[index] = len(pages), x + packing.extrude, y + packing.extrude
        pages.append(size)
        left = [index for index in left if index not in found]
    return Layout(tuple(pages), tuple(places[index] for index in range(len(rects))))


Boxes = list[tuple[int, tuple[int, int]]]  # by number
Found = dict[int, tuple[int, int]]  # lefts and tops, by number


def _page(boxes: Boxes, packing: Packing) -> tuple[tuple[int, int], Found]:
    """The smallest page that takes all, or the largest there may be, and what lies where on it."""
    for width, height in _sizes(boxes, packing):
        found = _pack(boxes, width, height, packing, PackingBin.BNF)  # which ends where one does not fit
        if len(found) == len(boxes):
            break
    else:
        found = _pack(boxes, packing.size, packing.size, packing, PackingBin.BFF)
    return _cut([(found[index], box) for index, box in boxes if index in found], packing), found


def _sizes(boxes: Boxes, packing: Packing) -> Iterator[tuple[int, int]]:
    """Widths and heights to try, the smallest first, the largest in any case."""
    area = sum(width * height for _, (width, height) in boxes)
    widest, tallest = (max(box[axis] for _, box in boxes) - packing.padding for axis in (0, 1))
    sides = [min(2**n, packing.size) for n in range(math.ceil(math.log2(packing.size)) + 1)]
    if not packing.power_of_two:
        rough = math.ceil(math.sqrt(area))
        sides = [min(math.ceil(max(rough, widest, tallest) * share), packing.size) for share in (1.03, 1.08, 1.2, 1.5)]
    tries = {(w, h) for w in sides for h in sides if w == h or (w == 2 * h and not packing.square)}
    fit = [
        (w, h)
        for w, h in tries
        if w >= widest and h >= tallest and (w + packing.padding) * (h + packing.padding) >= area
    ]
    yield from sorted(fit, key=lambda size: (size[0] * size[1], size))
    yield packing.size, packing.size


def _pack(boxes: Boxes, width: int, height: int, packing: Packing, bins: int) -> Found:
    """What of the boxes fits, and where. Each has its padding to the right and below, which may leave the page."""
    packer = newPacker(bin_algo=bins, pack_algo=SkylineBlWm, sort_algo=SORT_NONE, rotation=False)
    packer.add_bin(width + packing.padding, height + packing.padding)
    for index, box in boxes:
        packer.add_rect(*box, rid=index)
    packer.pack()
    return {index: (x, y) for _, x, y, _, _, index in packer.rect_list()}


def _cut(placed: list[tuple[tuple[int, int], tuple[int, int]]], packing: Packing) -> tuple[int, int]:
    """The size of the page of boxes at these places: as small as powers of two and squares allow."""
    wide = max(x + box[0] for (x, _), box in placed) - packing.padding
    tall = max(y + box[1] for (_, y), box in placed) - packing.padding
    if packing.power_of_two:
        wide, tall = power_of_two(wide), power_of_two(tall)
    return (max(wide, tall), max(wide, tall)) if packing.square else (wide, tall)


def _grid(boxes: list[tuple[int, int]], packing: Packing) -> Layout:
    """Rows of equal cells, left to right; full ones on every page but the last."""
    if len(set(boxes)) != 1:
        raise AssetError("a grid takes sprites of one size: pad them to it, or leave grid out")
    (width, height), room = boxes[0], packing.size + packing.padding
    columns = min(room // width, math.ceil(math.sqrt(len(boxes) * height / width)))
    if packing.power_of_two:  # the page will be wider: then its rows are full
        columns = (power_of_two(columns * width - packing.padding) + packing.padding) // width
    rows = room // height
    places = [
        (index // (columns * rows), index % columns * width + packing.extrude,
         index // columns % rows * height + packing.extrude)
        for index in range(len(boxes))
    ]  # fmt: skip
    pages = []
    for page in range(places[-1][0] + 1):
        here = [((x - packing.extrude, y - packing.extrude), boxes[0]) for p, x, y in places if p == page]
        pages.append(_cut(here, packing))
    return Layout(tuple(pages), tuple(places))
