"""What ``translate`` does: pictures in files to pictures in files, of the same names, and a sheet of both."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import DataError, RequestRefused
from core.fitting import fit, resampling_for
from core.images import Images, encode_png, to_pillow
from core.places import shown
from core.sheets import AUTO, Look, Sheet
from core.sizes import Size
from serving.client.sampler import Translator
from serving.protocol.picture_texts import describe, of_source
from serving.sampling.files import Keeper, make_places
from serving.sampling.inputs import Given, find_inputs
from serving.sampling.order import said
from serving.sampling.sheet import SheetFiles

Read = Callable[[Path], Image.Image]  # a picture, upright, L, RGB or RGBA; raises DataError with a reason

MOST_ON_SHEET = 4096  # pictures
_SHEET_BYTES = 1 << 28  # of them in memory


@dataclass(frozen=True)
class Translation:
    """Whom to ask, how, and where the files go.

    ``tile``, ``overlap`` and ``margins`` are those of ``Translator.translate``. A file that ``read`` cannot read is
    left out, or with ``strict`` ends it before anything is asked; ``progress`` hears how many of how many are done.
    """

    translator: Translator
    out: Path
    read: Read
    sheet: Path | None = None
    look: Look = AUTO
    tile: bool = False
    overlap: int | None = None
    margins: bool = False
    strict: bool = False
    overwrite: bool = False
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """What was done, in a line, and the files that were left out, each with the reason."""

    said: str
    skipped: Sequence[tuple[Path, str]]


def translate(order: Translation, inputs: Sequence[str]) -> Outcome:
    """Write the translation of every picture that ``inputs`` name (serving/sampling/inputs.py), as they come.

    Raises RequestRefused for inputs that cannot be, and where no file is a picture, or with ``strict`` one is not;
    otherwise as ``Keeper.save`` and ``Translator.translate`` do.
    """
    given = find_inputs(inputs, order.out)
    work = _Work(order, given)
    if order.strict:
        work.check()
    paths = work.write()
    if not paths:
        (path, why), *others = work.skipped
        more = f", and {len(others)} more are none" if others else ""
        raise RequestRefused(f"nothing was translated: {path} is no picture ({why}){more}")
    return Outcome(said(paths, "pictures", order.out, work.sheet) + work.left_off, work.skipped)


class _Work:
    """One command's files, as they are read, translated and written."""

    def __init__(self, order: Translation, given: Sequence[Given]) -> None:
        self._order, self._given = order, given
        translator = order.translator
        self._facts = describe(translator.spec, translator.model, translator.version)
        self._keeper = Keeper(order.overwrite, "another --out")
        self._waiting: deque[int] = deque()  # what was asked for and is not there yet
        self._shown: list[Images] = []  # on the sheet: nothing where a file is no picture
        self._done = 0
        self.skipped: list[tuple[Path, str]] = []
        self.sheet = self._sheet()

    @property
    def left_off(self) -> str:
        """What of the sheet was left off, as the end of a sentence."""
        left = len(self._given) - len(self._shown)
        return f" (of the first {len(self._shown):,})" if self.sheet.paths and left else ""

    def check(self) -> None:
        """Raise RequestRefused unless every file is a picture."""
        for each in self._given:
            try:
                self._read(each.path)
            except DataError as fault:
                raise RequestRefused(
                    f"{each.path} is no picture ({fault}): mend it, take it away, or leave --strict out"
                ) from None

    def write(self) -> list[Path]:
        """Translate and write every picture, then the sheet; the files of the pictures."""
        order, paths = self._order, []
        make_places(order.out, *self.sheet.paths)
        results = order.translator.translate(
            self._pictures(), tile=order.tile, overlap=order.overlap, margins=order.margins
        )

        # Pictures as they come, in the order of their files.
        for result in results:
            index = self._waiting.popleft()
            self._save(self._given[index], result)
            paths.append(self._given[index].result)
            self._show(index, to_pillow(result), 1)
            self._step()

        # The sheet, once all of them are there.
        sheet = self.sheet.of(self._facts)
        if paths and sheet.paths:
            for path, data in zip(sheet.paths, sheet.make(self._shown), strict=True):
                self._keeper.save(path, data)
            self.sheet.delete_older()
        return paths

    def _pictures(self) -> Iterator[Image.Image]:
        """Every file that is a picture; the others are noted."""
        for index, each in enumerate(self._given):
            try:
                picture = self._read(each.path)
            except DataError as fault:
                self.skipped.append((each.path, str(fault)))
                self._step()
                continue
            self._waiting.append(index)
            self._show(index, picture, 0)
            yield picture

    def _read(self, path: Path) -> Image.Image:
        if not path.is_file():  # what reads a pipe may wait for ever
            raise DataError("not a file")
        return self._order.read(path)

    def _save(self, given: Given, result: Images) -> None:
        if not given.result.parent.is_dir():
            make_places(given.result.parent)
        facts = of_source(self._facts, shown(given.path.name))
        self._keeper.save(given.result, encode_png(result, facts))

    def _step(self) -> None:
        self._done += 1
        if self._order.progress:
            self._order.progress(self._done, len(self._given))

    def _sheet(self) -> SheetFiles:
        """Where the sheet goes: each picture beside what was made of it, as large as the translator makes them."""
        spec, translator = self._order.translator.spec, self._order.translator
        size = (spec.height, 2 * spec.width)
        most = min(MOST_ON_SHEET, max(_SHEET_BYTES // (size[0] * size[1] * 4), 1)) if self._order.sheet else 0
        given = self._given[:most]
        self._shown = [np.zeros((*size, 4), np.uint8) for _ in given]
        names = [shown(each.result.relative_to(self._order.out).as_posix()) for each in given]
        title = [f"{translator.model}, version {translator.version}", "each picture and its translation"]
        sheet = Sheet(self._shown, captions=names, title=title)
        return SheetFiles(sheet, size, self._order.sheet, self._order.look, self._order.overwrite)

    def _show(self, index: int, picture: Image.Image, place: int) -> None:
        """Put a picture, or at the second ``place`` its translation, on the sheet, fitted to the size of results."""
        if index < len(self._shown):
            spec = self._order.translator.spec
            size = Size(spec.height, spec.width, spec.height, spec.width, 0)
            fitted = fit(picture, size, "pad", resampling_for(picture, size, "pad"))
            self._shown[index][:, place * spec.width : (place + 1) * spec.width] = fitted
