"""Sheets: many pictures on a page with what they are written beside them, for people who choose among them.

Pictures are enlarged by whole factors, pixel by pixel, and lie over light checks where they are transparent; those of
a few hundred pixels are made smaller. What does not fit on a page goes on the next. Programs that want nothing but
pixels ask for a sheet without labels (``Look``), or read where the pictures lie in the text ``Layout`` of a page.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from core.images import Images, enlarged, from_pillow, over_checkerboard, sheet, to_pillow
from core.lettering import font_for, legible, one_line, shortened, width_of
from core.ours import of_any_size

Cell = Images | Path | None  # a picture (h, w, c), a file of one, or nothing

PAGE = "Page"  # the name of a text of every page: which it is, of how many
_LONGEST, _SHORTEST = 128, 64  # pixels of the longer side as shown, where a page has room, and where it has not
_REDUCED = 256  # pictures from twice this on are shown smaller
_SIDE, _MOST_SIDE, _AT_LEAST = 1600, 4096, 8  # pixels of a page; of one of large pictures, and how many should fit
_BARE = 4096  # pictures on a page without labels
_MARGIN, _GAP, _LINE = 10, 8, 17  # pixels
_NAME, CAPTION = 220, 110  # pixels of a text before a row, over a column, below a picture
_WIDEST_TITLE = 420
_PAGE, _INK = (246, 246, 246), (32, 32, 32)


@dataclass(frozen=True)
class Look:
    """How a sheet is drawn: each pixel ``scale`` pixels wide, None as suits the page.

    Without ``labels`` the bare grid, edge to edge and with its transparency, each pixel once unless there is a scale.
    """

    scale: int | None = None
    labels: bool = True


AUTO = Look()


@dataclass(frozen=True)
class Sheet:
    """Pictures row by row, all of one size, and what is written: a ``caption`` below each, or headings of a table.

    A sheet with ``columns`` is a table, as wide as these. Others are ``across`` pictures wide where a page has that
    room, about square unless given. ``corner`` says what the columns' headings are; ``title`` is what holds for all,
    ``legend`` what numbers in the captions stand for.
    """

    cells: Sequence[Cell]
    across: int | None = None
    columns: Sequence[str] = ()
    rows: Sequence[str] = ()
    captions: Sequence[str] = ()
    corner: str = ""
    title: Sequence[str] = ()
    legend: Mapping[str, str] = field(default_factory=dict)


class Page(NamedTuple):
    """A picture ``(H, W, c)``, RGB where it has labels, and the texts that go into its file."""

    picture: Images
    facts: dict[str, str]

    def image(self) -> Image.Image:
        """The same for Pillow, with its texts in ``info``."""
        image = to_pillow(self.picture)
        for name, text in self.facts.items():
            image.info[name] = text
        return image


@dataclass(frozen=True)
class _Grid:
    """Where pictures lie on a page: the first, the steps to the next, how large they are shown and how many there are.

    ``wide`` is how many pictures of the sheet are in a row, ``across`` and ``down`` how many of a block of it, of which
    a page has a ``stack``.
    """

    scale: int
    reduce: int
    size: tuple[int, int]  # width, height of a picture as shown
    left: int
    top: int
    step: tuple[int, int]
    wide: int
    across: int
    down: int
    stack: int = 1


class Pages(Sequence[Page]):
    """The pages of a sheet, each drawn when it is asked for; ``size`` is the (height, width) of every picture.

    ``legend`` says what the numbers stand for that are written in place of names. ``one`` page holds everything.
    """

    def __init__(self, drawn: Sheet, size: tuple[int, int], look: Look = AUTO, one: bool = False) -> None:
        self._sheet, self._look = drawn, look
        heads = [*dict.fromkeys(drawn.columns)]  # what is said of several columns is written over each
        written, more = legible(heads, max(CAPTION, _sides(size, _scales(size, look)[0])[0]))
        self._columns = [dict(zip(heads, written, strict=True))[name] for name in drawn.columns]
        self._rows, self.legend = legible(drawn.rows, _NAME)
        self.legend |= {**more, **drawn.legend}
        self._widest = max(map(width_of, [*drawn.captions, *self._columns]), default=0)
        plans = (self._planned(size, scale, reduce, one) for scale, reduce in _scales(size, look))
        for self._grid in plans:
            if len(self) == 1 and self._is_within:
                break

    def __len__(self) -> int:
        grid = self._grid
        return max(ceil(ceil(grid.wide / grid.across) * ceil(self._lines / grid.down) / grid.stack), 1)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        facts = {
            PAGE: f"{index + 1} of {len(self)}",
            "Layout": json.dumps(self._layout(index), separators=(",", ":")),
        }
        if self.legend and self._look.labels:
            facts["Legend"] = "; ".join(f"{number} {name}" for number, name in self.legend.items())
        return Page(self._drawn(index) if self._look.labels else self._bare(index), facts)

    @property
    def _is_within(self) -> bool:
        """Whether a page that has to hold everything is as large as others are."""
        across, down = self._grid.step
        return self._grid.across * across <= _budget(across) + _GAP and self._grid.down * down <= _budget(down) + _GAP

    @property
    def _lines(self) -> int:
        return ceil(len(self._sheet.cells) / self._grid.wide)

    def _planned(self, size: tuple[int, int], scale: int, reduce: int, one: bool) -> _Grid:
        """Where everything lies, at a scale."""
        drawn, count = self._sheet, max(len(self._sheet.cells), 1)
        width, height = _sides(size, (scale, reduce))
        square = ceil(sqrt(count))
        if not self._look.labels:
            wide = len(drawn.columns) or drawn.across or square
            return _Grid(scale, 1, (width, height), 0, 0, (width, height), wide, wide, max(_BARE // wide, 1))

        # A cell: the picture, and below it what is written of it
        cell = max(width, min(self._widest, max(width, CAPTION)))
        step = cell + _GAP, height + _GAP + (_LINE if drawn.captions else 0)
        names = [*self._rows, *([f"{drawn.corner}:"] if drawn.corner else [])]
        left = _MARGIN + max((min(width_of(name), _NAME) + _GAP for name in names), default=0)

        # How many fit on a page; what goes on over several is cut into equal parts
        fits = [max((_budget(each) + _GAP) // each, 1) if not one else count for each in step]
        wide = len(drawn.columns) or min(drawn.across or square, fits[0])
        if not drawn.columns and ceil(count / wide) > fits[1]:
            wide = min(fits[0], count)  # whole pages
        across = ceil(wide / ceil(wide / fits[0]))
        lines = ceil(count / wide)
        down = ceil(lines / ceil(lines / fits[1])) if drawn.columns else min(lines, fits[1])
        grid = _Grid(scale, reduce, (width, height), left, _MARGIN, step, wide, across, down)
        if wide > across and lines <= down:  # a few long rows
            stack = (_budget(step[1]) + _GAP) // (down * step[1] + _LINE + _GAP)
            grid = replace(grid, stack=max(min(stack, ceil(wide / across)), 1))
        several = ceil(wide / across) * ceil(lines / down) > grid.stack
        head = len(self._title(grid, "page 000 of 000" if several else "")) * _LINE
        return replace(grid, top=_MARGIN + head + (_GAP if head else 0) + (_LINE if drawn.columns else 0))

    def _title(self, grid: _Grid, page: str) -> list[str]:
        """What holds for all pictures of a page, in lines."""
        large = f"{grid.scale} times as large" if grid.scale > 1 else ""
        small = f"at a {grid.reduce}th of their size" if grid.reduce > 1 else ""
        numbers = "what # stands for is in this file's text Legend" if self.legend else ""
        parts = [one_line(part) for part in (*self._sheet.title, large or small, numbers, page) if part]
        room, lines = self._width(grid) - 2 * _MARGIN, [""]
        for part in (shortened(part, room) for part in parts if font_for(part)):
            joined = f"{lines[-1]} · {part}" if lines[-1] else part
            lines[-1:] = [joined] if width_of(joined) <= room else [lines[-1], part]
        return [line for line in lines if line]

    def _width(self, grid: _Grid) -> int:
        """Of a page, in pixels: as its pictures are, or as wide as it takes to read what is written above them."""
        title = max(map(width_of, self._sheet.title), default=0)
        return max(grid.left + grid.across * grid.step[0] - _GAP, min(title, _WIDEST_TITLE) + _MARGIN) + _MARGIN

    def _places(self, index: int) -> Iterator[tuple[int, int, int, int]]:
        """The pictures of a page: column and row of the sheet, and where their cells begin, in pixels."""
        grid, right = self._grid, ceil(self._grid.wide / self._grid.across)

        for below, block in enumerate(range(index * grid.stack, (index + 1) * grid.stack)):
            first_row, first = block // right * grid.down, block % right * grid.across
            top = grid.top + below * (grid.down * grid.step[1] + _LINE + _GAP)
            for row in range(first_row, min(first_row + grid.down, self._lines)):
                for column in range(first, min(first + grid.across, grid.wide)):
                    if row * grid.wide + column < len(self._sheet.cells):
                        yield (
                            column,
                            row,
                            grid.left + (column - first) * grid.step[0],
                            top + (row - first_row) * grid.step[1],
                        )

    def _bare(self, index: int) -> Images:
        cells, wide = self._sheet.cells, self._grid.wide
        start = index * self._grid.down * wide
        shown = [pixels_of(cell) for cell in cells[start : start + self._grid.down * wide]]
        some = next(each for each in shown if each is not None)
        page = sheet(np.stack([np.zeros_like(some) if each is None else each for each in shown]), wide)
        return enlarged(page, self._grid.scale)

    def _drawn(self, index: int) -> Images:
        grid, drawn, places = self._grid, self._sheet, list(self._places(index))
        bottom = max((y for _, _, _, y in places), default=grid.top) + grid.step[1] - _GAP + _MARGIN
        page = Image.new("RGB", (self._width(grid), bottom), _PAGE)
        pen, room, (width, height) = ImageDraw.Draw(page), grid.step[0] - _GAP, grid.size

        # Above: what holds for all
        number = f"page {index + 1} of {len(self)}" if len(self) > 1 else ""
        for line, text in enumerate(self._title(grid, number)):
            _write(pen, text, (_MARGIN, _MARGIN + line * _LINE + _LINE // 2), "lm")
        for column, row, x, y in places:
            first_column, first_row = column % grid.across == 0, row % grid.down == 0

            # Headings
            if drawn.corner and first_column and first_row:
                _write(pen, f"{drawn.corner}:", (x - _GAP, y - _LINE // 2), "rm")
            if self._columns and first_row:
                _write(pen, self._columns[column], (x + room // 2, y - _LINE // 2), "mm")
            if first_column and row < len(self._rows):
                _write(pen, self._rows[row], (_MARGIN, y + height // 2), "lm")

            # The picture, and what is said of it alone
            which = row * grid.wide + column
            if (picture := pixels_of(drawn.cells[which])) is not None:
                page.paste(_shown(picture, grid.scale, grid.reduce), (x + (room - width) // 2, y))
            if drawn.captions:
                _write(pen, shortened(drawn.captions[which], room), (x + room // 2, y + height + _LINE // 2 + 1), "mm")
        return from_pillow(page, 3)

    def _layout(self, index: int) -> dict[str, Any]:
        """Where the pictures of a page lie, in the order of their rows: pixels from the left and from above."""
        grid = self._grid
        side = (grid.step[0] - _GAP - grid.size[0]) // 2 if self._look.labels else 0
        places = [(x + side, y) for _, _, x, y in self._places(index)]
        scale = grid.scale if grid.reduce == 1 else 1 / grid.reduce
        size = {"width": grid.size[0], "height": grid.size[1]}
        return {**size, "scale": scale, "across": grid.across, "places": places}


def small(size: tuple[int, int]) -> Look:
    """For sheets that are looked at side by side, or one after the other, of pictures of (height, width)."""
    return Look(_scales(size, AUTO)[-1][0] if max(size) < 2 * _REDUCED else None)


def _scales(size: tuple[int, int], look: Look) -> list[tuple[int, int]]:
    """How much larger and smaller pictures may be shown, the one that shows most first."""
    longest = max(size)
    if not look.labels or look.scale:
        return [(look.scale or 1, 1)]
    if longest >= 2 * _REDUCED:
        return [(1, longest // _REDUCED)]
    return [(scale, 1) for scale in range(max(_LONGEST // longest, 1), max(ceil(_SHORTEST / longest), 1) - 1, -1)]


def _sides(size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture of (height, width) as shown."""
    larger, smaller = scale
    return ceil(size[1] * larger / smaller), ceil(size[0] * larger / smaller)


def _budget(step: int) -> int:
    """How many pixels of a page there are for steps of that many: more for large pictures, so that some fit."""
    return max(_SIDE, min(_AT_LEAST * step, _MOST_SIDE))


def pixels_of(cell: Cell) -> Images | None:
    """The picture of a cell, read from its file where it is one."""
    if not isinstance(cell, Path):
        return cell
    with of_any_size(), Image.open(cell) as picture:
        return from_pillow(picture, len(picture.getbands()))


def _shown(picture: Images, scale: int, reduce: int) -> Image.Image:
    """A picture as it lies on a page: over checks of whole pixels of its own, enlarged or reduced."""
    large = enlarged(picture, scale)
    square = (scale * max(round(8 / scale), 1)) * reduce
    return to_pillow(over_checkerboard(large, square)).reduce(reduce)


def _write(pen: ImageDraw.ImageDraw, text: str, place: tuple[int, int], anchor: str) -> None:
    if font := font_for(text):
        pen.text(place, text, _INK, font, anchor=anchor)
