"""Pairs of sources and targets, of one part of a pack: what translators are judged and chosen by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import DataError
from core.images import Images
from core.spec import GeneratorSpec
from trainer.corruption import IMAGES, Corruption
from trainer.data.pack import Pack

Rows = NDArray[np.int64]
Shape = tuple[int, int, int]  # height, width, channels

MOST = 10_000  # pairs of a part are looked at, drawn at random but always the same
_AT_ONCE = 64


@dataclass(frozen=True)
class Pairs:
    """The pairs of some ``rows`` of a pack, read when they are asked for.

    ``sources`` and ``targets`` give those of rows, ``(n, H, W, C)`` and ``(n, h, w, c)``, and of the same row always
    the same; ``shape`` is ``(h, w, c)``, and ``wanted`` says which pictures of the pack the targets are.
    """

    rows: Rows
    sources: Callable[[Rows], Images]
    targets: Callable[[Rows], Images]
    shape: Shape
    wanted: str = "images"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Images, Images]]:
        for start in range(0, len(self), _AT_ONCE):
            rows = self.rows[start : start + _AT_ONCE]
            yield self.sources(rows), self.targets(rows)

    def all(self) -> tuple[Images, Images]:
        """Sources and targets of all of them at once."""
        return self.sources(self.rows), self.targets(self.rows)

    def first(self, most: int) -> "Pairs":
        """The first ``most`` of them, or all."""
        return replace(self, rows=self.rows[:most])


def has_pairs(pack: Pack, spec: GeneratorSpec) -> bool:
    """Whether it is known what each source of the translator is to become: the pack says so, or it is made of that."""
    return pack.info.paired or _corruption(spec) is not None


def pairs_of(pack: Pack, spec: GeneratorSpec, part: str, most: int = MOST) -> Pairs:
    """At most ``most`` pairs of a ``part`` of the pack, as the translator of ``spec`` takes and makes them.

    They are in random order, so that the first of them are a fair sample. Raises DataError where the pack has no pairs,
    or pictures of other sizes.
    """
    corruption = _corruption(spec)
    if corruption is None and not pack.info.paired:
        raise DataError(
            f"the pack {pack.info.name} holds no pairs: 'data import TARGETS PACK --sources FOLDER' makes some"
        )
    check_sides(pack, spec)
    rows, what = pack.rows(part), "sources" if _is_back(spec) else "images"
    some = rows[np.random.RandomState(0).permutation(len(rows))[:most]]
    return Pairs(some, *sides_of(pack, spec), shape_made(spec), what)


def sides_of(pack: Pack, spec: GeneratorSpec) -> tuple[Callable[[Rows], Images], Callable[[Rows], Images]]:
    """What gives the sources of rows of the pack, and what gives the images they are to be like."""
    if (corruption := _corruption(spec)) is not None:
        return lambda rows: _corrupted(corruption, pack.gather(rows), rows), pack.gather
    if _is_back(spec):
        return pack.gather, pack.gather_sources
    return pack.gather_sources, pack.gather


def check_sides(pack: Pack, spec: GeneratorSpec) -> None:
    """Raise DataError unless the pictures of the pack are of the sizes that the translator takes and makes."""
    info, corruption = pack.info, _corruption(spec)
    images = info.height, info.width, info.channels
    if corruption is not None:
        pairs = {"makes": (shape_made(spec), images, "images")}
    elif info.sources is None:
        raise DataError(
            f"the pack {info.name} has no sources to translate: 'data import TARGETS PACK --sources FOLDER' makes pairs"
        )
    else:
        sources = info.sources.height, info.sources.width, info.sources.channels
        given, wanted = ((images, "images"), (sources, "sources"))[:: 1 if _is_back(spec) else -1]
        pairs = {"takes": (shape_taken(spec), *given), "makes": (shape_made(spec), *wanted)}
    for verb, (own, there, what) in pairs.items():
        if own != there:
            raise DataError(
                f"the translator {verb} pictures of {_said(own)}, the pack {info.name} holds {what} of {_said(there)}: "
                "import the data again in the sizes and channels that it was trained with"
            )


def shape_taken(spec: GeneratorSpec) -> Shape:
    """Of the pictures that a translator takes."""
    assert spec.source is not None
    return spec.source.height, spec.source.width, spec.source.channels


def shape_made(spec: GeneratorSpec) -> Shape:
    """Of those that it makes."""
    return spec.height, spec.width, spec.channels


def _corruption(spec: GeneratorSpec) -> Corruption | None:
    assert spec.source is not None
    return Corruption.parse(spec.source.origin)


def _is_back(spec: GeneratorSpec) -> bool:
    """Whether it makes sources of the pack's images."""
    return spec.source is not None and spec.source.origin == IMAGES


def _corrupted(corruption: Corruption, images: Images, rows: Rows) -> Images:
    """What becomes of ``images``, of each by its own row alone."""
    made = [
        corruption.corrupt(torch.from_numpy(image[None]), torch.Generator().manual_seed(int(row)))[0].numpy()
        for image, row in zip(images, rows, strict=True)
    ]
    return np.stack(made)


def _said(shape: Shape) -> str:
    height, width, channels = shape
    return f"{width}x{height} in {channels} channels"
