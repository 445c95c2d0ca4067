"""What every way of sampling is asked with, and what its pictures are called."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.lettering import legible
from core.sheets import AUTO, Look, Sheet
from core.system import usable_name
from serving.client.sampler import Sampler
from serving.protocol.picture_texts import describe, number
from serving.sampling.naming import Naming, digits_of_index, names_of_classes, text_in_names
from serving.sampling.sheet import SheetFiles

ALL = "all"  # in place of a label: every class in turn

_TITLE = 300  # pixels of a class's name above a sheet

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """What every way of sampling needs: whom to ask, for which class, and where the files go.

    ``codes`` are the same for all images; ``progress`` hears how many of how many images are there. ``every`` asks for
    each class in turn, as does the ``label`` ALL where no class is called so. ``names`` is the pattern of the files'
    names (naming.py); pictures that are there are only replaced by others where ``overwrite``. ``look`` is how
    the sheet is drawn.
    """

    sampler: Sampler
    out: Path
    sheet: Path | None = None
    label: str | None = None
    progress: Callable[[int, int], None] | None = None
    codes: NDArray[np.float32] | None = None
    names: str | None = None
    overwrite: bool = False
    every: bool = False
    look: Look = AUTO

    @property
    def every_class(self) -> bool:
        """Whether each class is made in turn."""
        return self.every or (self.label == ALL and ALL not in self.sampler.spec.classes)

    def facts(self, truncation: str | float) -> dict[str, str]:
        """The text chunks of all pictures."""
        sampler = self.sampler
        return describe(sampler.spec, sampler.model, sampler.version, truncation, self._one_class, self.codes)

    def title(self, *more: str) -> list[str]:
        """What the sheet says of all its pictures."""
        sampler, label = self.sampler, self._one_class
        parts = [f"{sampler.model}, version {sampler.version}", *more]
        if label in sampler.spec.classes:
            parts.append(f"class {legible(sampler.spec.classes, _TITLE)[0][sampler.spec.classes.index(label)]}")
        given = enumerate(() if self.codes is None else self.codes)
        return parts + [f"code {index} at {number(value)}" for index, value in given if value]

    def sheet_files(self, drawn: Sheet) -> SheetFiles:
        """Where the sheet goes, if there is to be one."""
        spec, label = self.sampler.spec, self._one_class
        above = {number: name for number, name in legible(spec.classes, _TITLE)[1].items() if name == label}
        return SheetFiles(
            replace(drawn, legend={**drawn.legend, **above}),
            (spec.height, spec.width),
            self.sheet,
            self.look,
            self.overwrite,
        )

    @property
    def _one_class(self) -> str | None:
        return None if self.every_class else self.label

    def counted(self, items: Iterable[T], total: int) -> Iterator[T]:
        """The items as they are, while ``progress`` hears of them."""
        for done, item in enumerate(items, 1):
            yield item
            if self.progress:
                self.progress(done, total)

    @cached_property
    def in_names(self) -> dict[str, str]:
        """Each class as a part of a file's name."""
        return names_of_classes(self.sampler.spec.classes)


class Names:
    """The names of the pictures of an order, one after the other: by its own pattern, else by ``usual``.

    ``usual`` begins with the class where there is one. ``same`` are fields that all pictures share, ``varying`` those
    that are given for each.
    """

    def __init__(self, order: Order, usual: str, same: dict[str, str], varying: Sequence[str], total: int) -> None:
        sampler = order.sampler
        self._same = {"model": text_in_names(sampler.model), "version": text_in_names(sampler.version)} | same
        if order.label is not None and not order.every_class:
            self._same["label"] = order.in_names.get(order.label, "")
        if order.codes is not None and len(order.codes):
            self._same.setdefault("codes", ",".join(map(number, order.codes)))
        labelled = order.every_class or "label" in self._same
        pattern = order.names or (f"{{label}}_{usual}" if labelled else usual)
        many = [field for field in varying if total > 1]
        self._naming = Naming(pattern, {*self._same, *varying}, many)
        self._index, self._digits = 0, digits_of_index(total)

    def next(self, **values: str) -> str:
        """The name of the next picture."""
        self._index += 1
        return self.of(self._index - 1, **values)

    def file_name(self, usual: str) -> str:
        """The name of a file about all pictures, such as an animation: ``usual``, behind the class if there is one."""
        return usable_name(f"{self._same['label']}_{usual}" if "label" in self._same else usual)

    def of(self, index: int, **values: str) -> str:
        """The name of the picture with that number."""
        return self._naming.name(self._same | values | {"index": f"{index:0{self._digits}}"})


def seed_in_names(seed: int) -> str:
    """A seed in names: they sort as seeds do."""
    return f"{seed:010d}"


def said(paths: Sequence[Path], what: str, place: Path, sheet: SheetFiles) -> str:
    """What was written, in a line."""
    return f"{len(set(paths)):,} {what} in {place}{sheet.said()}"
