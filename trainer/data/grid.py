"""A sprite sheet cut into cells, and signs that it was cut in the wrong places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ConfigError, DataError
from core.images import clear_hidden_colour, drop_idle_alpha, from_pillow

Pair = tuple[int, int]  # of the width and the height, in pixels
Grid = Pair

MISFIT = "does not divide into"  # what is said of a sheet begins with
_WIDEST_SPACING = 8  # that is looked for where none was given
_ALIKE = 24  # levels: two pixels of one thing
_BLEEDING = 0.25  # of the borders between cells: below, sprites that fill their cell touch now and then
_GOES_ON = 0.6  # of what lies across any other line: sprites that fill their cells only touch at their borders
_BACKGROUND = 0.05  # of a sheet: a tile set without any has no sprites to be cut through


def parse_grid(text: str, flag: str = "--grid") -> Grid:
    """``"32x24"`` (cells 32 pixels wide and 24 high) or ``"32"`` (square) as (width, height)."""
    return _parse_pair(flag, text, least=1)


def parse_gap(flag: str, text: str) -> Pair:
    """``"2"`` or ``"2x1"`` (2 pixels beside, 1 above) as (width, height), for ``--margin`` and ``--spacing``."""
    return _parse_pair(flag, text, least=0)


def _parse_pair(flag: str, text: str, least: int) -> Pair:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() and int(side) >= least for side in sides):
        what, like = ("a cell size", "32x32") if least else ("a gap", "2")
        raise ConfigError(f"{flag} {text} is not {what}: write WIDTHxHEIGHT in pixels, {like}")
    return int(sides[0]), int(sides[-1])


@dataclass(frozen=True)
class Layout:
    """How a sheet's cells lie: their size, what is around all of them and what is between two, (width, height)."""

    cell: Pair
    margin: Pair = (0, 0)
    spacing: Pair = (0, 0)

    def starts(self, sheet: Image.Image) -> tuple[range, range]:
        """Where columns and rows of cells begin. Raises DataError with a short reason if they do not fill the sheet."""
        found = [_starts(side, *sizes) for side, sizes in zip(sheet.size, self._axes(), strict=True)]
        if None in found:
            around = f", margin {_said(self.margin)}" if any(self.margin) else ""
            between = f", spacing {_said(self.spacing)}" if any(self.spacing) else ""
            cells = f"cells of {self.cell[0]}x{self.cell[1]}{around}{between}"
            raise DataError(f"{MISFIT} {cells} ({sheet.width}x{sheet.height} pixels)")
        columns, rows = found
        assert columns is not None and rows is not None
        return columns, rows

    def cells(self, sheet: Image.Image) -> Iterator[Image.Image]:
        """The cells of a sheet, row by row."""
        columns, rows = self.starts(sheet)
        width, height = self.cell
        for top in rows:
            for left in columns:
                yield drop_idle_alpha(sheet.crop((left, top, left + width, top + height)))

    def _axes(self) -> list[tuple[int, int, int]]:
        return list(zip(self.cell, self.margin, self.spacing, strict=True))


def doubts(sheet: Image.Image, layout: Layout) -> str | None:
    """What speaks against cutting a sheet like this, in a few words: sprites that go on beyond their cells."""
    shown = _foreground(sheet)
    if shown is None:
        return None
    crossed, borders = _crossings(shown, layout, sheet)
    if not borders or crossed <= _BLEEDING * borders or not _goes_on(sheet, shown, layout):
        return None
    said = f"sprites go over {crossed} of {borders} borders between its cells"
    better = _better(sheet, shown, layout)
    return f"{said}: try {better}" if better else f"{said}: check --grid, --margin and --spacing"


def cutting_nothing(sheet: Image.Image, layouts: Sequence[Layout]) -> list[Layout]:
    """Those of the layouts, all of which divide the sheet, under which nothing that is drawn is cut through or off.

    Of those with equal cells that comes first under which what is drawn lies most in the middle of them.
    """
    shown = _foreground(sheet)
    if shown is None or not shown.any():
        return []
    cells = [layout.cell for layout in layouts]
    whole = [each for each in layouts if not _crossings(shown, each, sheet)[0] and not _in_gaps(shown, each, sheet)]
    return sorted(whole, key=lambda layout: (cells.index(layout.cell), _off_centre(shown, layout, sheet)))


def is_empty(cell: Image.Image) -> bool:
    """Whether nothing is in it: fully transparent, or a single colour."""
    pixels = clear_hidden_colour(from_pillow(cell, 4))
    return bool((pixels == pixels[0, 0]).all())


def _starts(side: int, cell: int, margin: int, spacing: int) -> range | None:
    """Where cells begin along one side; None unless they fill it. A margin or a gap at the end may be missing."""
    count = (side - margin + spacing) // (cell + spacing)
    left = side - margin - count * (cell + spacing) + spacing
    if count < 1 or left not in (0, spacing, margin, margin + spacing):
        return None
    return range(margin, margin + count * (cell + spacing), cell + spacing)


def _foreground(sheet: Image.Image) -> NDArray[np.bool_] | None:
    """What is drawn ``(height, width)``; None if there is no background to tell it from."""
    pixels = clear_hidden_colour(from_pillow(sheet, 4))
    if sheet.mode == "RGBA":
        shown = pixels[..., 3] > 0
    else:
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        colours, counts = np.unique(edge, axis=0, return_counts=True)
        shown = (pixels != colours[counts.argmax()]).any(axis=-1)
    return shown if 1 - shown.mean() >= _BACKGROUND else None


def _crossings(shown: NDArray[np.bool_], layout: Layout, sheet: Image.Image) -> tuple[int, int]:
    """How many borders between two neighbouring cells something lies across without a gap, and how many there are."""
    columns, rows = layout.starts(sheet)
    width, height = layout.cell
    crossed = 0
    for left in columns[1:]:
        across = shown[:, left - layout.spacing[0] - 1 : left + 1].all(axis=1)
        crossed += sum(bool(across[top : top + height].any()) for top in rows)
    for top in rows[1:]:
        across = shown[top - layout.spacing[1] - 1 : top + 1].all(axis=0)
        crossed += sum(bool(across[left : left + width].any()) for left in columns)
    return crossed, (len(columns) - 1) * len(rows) + (len(rows) - 1) * len(columns)


def _goes_on(sheet: Image.Image, shown: NDArray[np.bool_], layout: Layout) -> bool:
    """Whether the drawing goes on in its colours over the borders of cells nearly as it does inside them."""
    if any(layout.spacing):
        return True

    # How many neighbours are alike across the borders of cells, and across all other lines
    pixels = from_pillow(sheet, 4).astype(np.int16)
    at_borders, elsewhere = list[float](), list[float]()
    for axis, starts in zip((1, 0), layout.starts(sheet), strict=True):
        near = np.abs(np.diff(pixels, axis=axis)).max(axis=-1) <= _ALIKE
        both = np.delete(shown, 0, axis) & np.delete(shown, -1, axis) & near
        lines = both.sum(axis=1 - axis)  # of what lies across the line before each pixel but the first
        borders = np.array(starts[1:], np.int64) - 1
        at_borders += lines[borders].tolist()
        elsewhere += np.delete(lines, borders).tolist()
    return float(np.mean(at_borders)) > _GOES_ON * float(np.mean(elsewhere or [0]))


def _better(sheet: Image.Image, shown: NDArray[np.bool_], layout: Layout) -> str:
    """The options under which nothing is cut through, if a margin and a spacing do it; "" if none do."""
    for gap in range(1, _WIDEST_SPACING + 1):
        for margin in dict.fromkeys((0, gap, gap // 2, layout.margin[0])):
            other = Layout(layout.cell, (margin, margin), (gap, gap))
            try:
                crossed, borders = _crossings(shown, other, sheet)
            except DataError:
                continue
            if borders and not crossed and not _in_gaps(shown, other, sheet):
                return f"--spacing {gap}" + (f" --margin {margin}" if margin else "")
    return ""


def _in_gaps(shown: NDArray[np.bool_], layout: Layout, sheet: Image.Image) -> bool:
    """Whether anything is drawn between the cells."""
    columns, rows = layout.starts(sheet)
    outside = shown.copy()
    for top in rows:
        for left in columns:
            outside[top : top + layout.cell[1], left : left + layout.cell[0]] = False
    return bool(outside.any())


def _off_centre(shown: NDArray[np.bool_], layout: Layout, sheet: Image.Image) -> int:
    """How many pixels nearer to one edge of its cell than to the other is what is drawn, over all cells."""
    columns, rows = layout.starts(sheet)
    width, height = layout.cell
    drawn = np.zeros((height, width), bool)
    for top in rows:
        for left in columns:
            drawn |= shown[top : top + height, left : left + width]
    off = 0
    for line in (drawn.any(axis=0), drawn.any(axis=1)):
        places = np.flatnonzero(line)
        off += abs(int(places[0]) - (len(line) - 1 - int(places[-1])))
    return off


def _said(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
