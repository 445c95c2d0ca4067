"""Grids that would fit a sheet where the one that was asked for does not."""

import math
from collections.abc import Iterator

from PIL import Image

from core.errors import DataError
from trainer.data.grid import Layout, Pair, cutting_nothing

_WIDEST_GAP = 8  # pixels that are looked for between cells and around them
_SMALLEST = 4  # pixels of a cell
_NEAR = 2  # times as long or as short as what was asked for
_LOOKED_AT = 24  # cell sizes whose borders are looked at, the nearest first
_NAMED = 3
_LARGEST = 1 << 22  # pixels of a sheet that is looked at; of a larger one the arithmetic has to do


def fitting(sheet: Image.Image, asked: Layout) -> str:
    """The options that would cut ``sheet``, most likely first, as a person types them; "" if there are none.

    First the cells that were asked for with a margin and a spacing, then cells that divide the sheet, those under
    which no sprite is cut through before the others.
    """
    gaps = [layout for layout in dict.fromkeys(_with_gaps(asked)) if _fits(sheet, layout)]
    cells = [Layout(cell) for cell in _dividing(sheet.size, asked.cell)[:_LOOKED_AT]]
    small = sheet.width * sheet.height <= _LARGEST
    whole = cutting_nothing(sheet, (*gaps, *cells)) if small else []
    likely = [*whole, *(layout for layout in (*gaps[:1], *cells) if layout not in whole)]
    return " or ".join(_said(layout) for layout in likely[:_NAMED])


def _with_gaps(asked: Layout) -> Iterator[Layout]:
    """The cells that were asked for, with gaps, the narrowest first; a margin is as wide as a gap, half, or alone."""
    for gap in range(1, _WIDEST_GAP + 1):
        for spacing, margin in ((gap, 0), (gap, gap), (gap, gap // 2), (0, gap)):
            yield Layout(asked.cell, (margin, margin), (spacing, spacing))


def _dividing(sides: Pair, asked: Pair) -> list[Pair]:
    """Cell sizes that divide a sheet, those nearest to what was asked for first, by size and by shape."""
    widths, heights = ([each for each in range(_SMALLEST, side + 1) if side % each == 0] for side in sides)

    def distance(cell: Pair) -> float:
        wider, higher = (math.log2(one / other) for one, other in zip(cell, asked, strict=True))
        return abs(wider) + abs(higher) + abs(wider - higher)

    near = [(width, height) for width in widths for height in heights if (width, height) != sides]
    near = [cell for cell in near if all(1 / _NEAR <= one / two <= _NEAR for one, two in zip(cell, asked, strict=True))]
    return sorted(near, key=distance)


def _fits(sheet: Image.Image, layout: Layout) -> bool:
    try:
        layout.starts(sheet)
    except DataError:
        return False
    return True


def _said(layout: Layout) -> str:
    said = f"--grid {layout.cell[0]}x{layout.cell[1]}"
    said += f" --spacing {layout.spacing[0]}" if any(layout.spacing) else ""
    return said + (f" --margin {layout.margin[0]}" if any(layout.margin) else "")
