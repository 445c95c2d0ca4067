"""The sheet of a command: where its pages go is looked at before the work, and they are drawn after it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from core.errors import RequestRefused
from core.images import encode_png
from core.ours import is_ours, of_any_size
from core.sheets import AUTO, PAGE, Cell, Look, Pages, Sheet
from serving.sampling.files import Overview

LARGEST_SCALE = 64
_LEGEND = 6  # names that are said; all are in the file


def parse_scale(text: str) -> int | None:
    """``auto``, which is None, or a whole number from 1. Raises RequestRefused for anything else."""
    if text.strip().lower() == "auto":
        return None
    if text.strip().isdecimal() and 1 <= int(text) <= LARGEST_SCALE:
        return int(text)
    raise RequestRefused(f"--sheet-scale '{text}' is no whole factor: write auto, or 1 to {LARGEST_SCALE}")


class SheetFiles:
    """The pages of a sheet of ``(height, width)`` pictures: ``path``, or, where they are several, path-1, path-2, …

    ``drawn`` has as many cells as there will be. Raises RequestRefused where pages of a longer sheet lie in between,
    unless ``overwrite``, which deletes them: nobody is to take them for pages of this one.
    """

    def __init__(
        self, drawn: Sheet, size: tuple[int, int], path: Path | None, look: Look = AUTO, overwrite: bool = False
    ) -> None:
        self._drawn, self._size, self._look, self._path = drawn, size, look, path
        self._pages = Pages(drawn, size, look)
        self.paths = _paths(path, len(self._pages)) if path and drawn.cells else []
        self._older = _older(path, self.paths) if path else []
        if self._older and not overwrite:
            raise RequestRefused(
                f"{self._older[0]} is a page of another sheet: choose another --sheet, or give --overwrite, "
                "which deletes it"
            )

    def of(self, facts: Mapping[str, str]) -> Overview:
        """The pages as files beside the pictures on them."""
        return Overview(self.paths, lambda cells: self._pages_of(cells, facts))

    def _pages_of(self, cells: Sequence[Cell], facts: Mapping[str, str]) -> Iterator[bytes]:
        for page in Pages(replace(self._drawn, cells=cells), self._size, self._look):
            yield encode_png(page.picture, {**facts, **page.facts})

    def delete_older(self) -> None:
        """Delete pages of a longer sheet, once this one is written."""
        for path in self._older:
            path.unlink()

    def said(self) -> str:
        """Where it is, and what names on it are short for, as the end of a sentence."""
        if not self.paths:
            return ""
        pages = f" of {len(self.paths)} pages" if len(self.paths) > 1 else ""
        last = f" to {self.paths[-1].name}" if pages else ""
        named = [f"{number} is {name}" for number, name in self._pages.legend.items()]
        more = f" and {len(named) - _LEGEND} more" if len(named) > _LEGEND else ""
        legend = f" (on it {', '.join(named[:_LEGEND])}{more})" if named and self._look.labels else ""
        return f", sheet{pages} in {self.paths[0]}{last}{legend}"


def _paths(path: Path, count: int) -> list[Path]:
    return [path] if count == 1 else [_page(path, number) for number in range(1, count + 1)]


def _page(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def _older(path: Path, ours: Sequence[Path]) -> list[Path]:
    """Pages of other sheets of that name that are there beside ``ours``."""
    numbered = re.compile(rf"{re.escape(path.stem)}(-[1-9][0-9]*)?{re.escape(path.suffix)}")
    there = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    return [each for each in there if each not in ours and numbered.fullmatch(each.name) and _is_page(each)]


def _is_page(path: Path) -> bool:
    if not path.is_file() or not is_ours(path):
        return False
    with of_any_size(), Image.open(path) as picture:
        return PAGE in picture.info
