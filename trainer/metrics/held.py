"""Pictures of one part of a pack, and pairs of them: what translators are judged and chosen by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.contract import SOURCE, Inputs
from core.errors import DataError
from core.images import Images
from core.spec import BACK, IMAGES, GeneratorSpec
from trainer.data.pack import PARTS, Pack
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import MOST_REALS, Progress, inputs_like, keep, read_kept, real_features
from trainer.objective.corruption import SOURCES, Corruption

Rows = NDArray[np.int64]
Shape = tuple[int, int, int]  # height, width, channels

LEAST_HELD = 8  # that a KID can be taken of
_AT_ONCE = 64


@dataclass(frozen=True)
class Domain:
    """One side of a pack, its images or its sources, which is its ``name``."""

    pack: Pack
    name: str

    def rows(self, part: str, most: int = MOST_REALS) -> Rows:
        """At most ``most`` of a part, in random order, so that the first of them are a fair sample, always the same."""
        rows = self.pack.rows(part) if self.name == IMAGES else self.pack.source_rows(part)
        some: Rows = rows[np.random.RandomState(0).permutation(len(rows))[:most]]
        return some

    def best_part(self) -> str:
        """The part to show it by: what is held out, else what training is judged by, else what it sees itself."""
        return next(part for part in reversed(PARTS) if len(self.rows(part, 1)))

    def gather(self, rows: Rows) -> Images:
        """The pictures at ``rows``, ``(n, h, w, c)``."""
        return self.pack.gather(rows) if self.name == IMAGES else self.pack.gather_sources(rows)

    def features(self, part: str, extractor: Extractor, progress: Progress = lambda *_: None) -> Tensor:
        """Features ``(n, d)`` of a part, kept in the pack."""
        rows = self.rows(part)
        what = f"{len(rows)} {self.name} of {part}"
        if (kept := read_kept(self.pack, extractor, what, len(rows))) is not None:
            return kept
        return keep(self.pack, extractor, what, len(rows), lambda some: self.gather(rows[some]), progress)


@dataclass(frozen=True)
class Pairs:
    """The pairs of some ``rows`` of a pack, read when they are asked for.

    ``sources`` gives those of rows, ``(n, H, W, C)``, and of the same row always the same; the targets are of
    ``wanted``, and of the ``shape`` ``(h, w, c)``.
    """

    rows: Rows
    sources: Callable[[Rows], Images]
    wanted: Domain
    shape: Shape

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Images, Images]]:
        for start in range(0, len(self), _AT_ONCE):
            rows = self.rows[start : start + _AT_ONCE]
            yield self.sources(rows), self.wanted.gather(rows)

    def all(self) -> tuple[Images, Images]:
        """Sources and targets of all of them at once."""
        return self.sources(self.rows), self.wanted.gather(self.rows)

    def first(self, most: int) -> "Pairs":
        """The first ``most`` of them, or all."""
        return replace(self, rows=self.rows[:most])


def has_pairs(pack: Pack, spec: GeneratorSpec) -> bool:
    """Whether it is known what each source of the translator is to become: the pack says so, or it is made of that."""
    return pack.info.paired or _corruption(spec) is not None


def pairs_of(pack: Pack, spec: GeneratorSpec, part: str, most: int = MOST_REALS) -> Pairs:
    """At most ``most`` pairs of a ``part`` of the pack, as the translator of ``spec`` takes and makes them.

    They are in random order, so that the first of them are a fair sample. Raises DataError where the pack has no pairs,
    or pictures of other sizes.
    """
    corruption = _corruption(spec)
    if corruption is None and not pack.info.paired:
        raise DataError(
            f"the pack {pack.info.name} holds no pairs: 'data import TARGETS PACK --sources FOLDER' makes some"
        )
    _, makes = domains_of(pack, spec)
    return Pairs(makes.rows(part, most), partial(_sources, pack, spec), makes, shape_made(spec))


def examples_of(pack: Pack, spec: GeneratorSpec, most: int) -> tuple[Images, str]:
    """At most ``most`` sources ``(n, H, W, C)`` to travel with the translator of ``spec``, and the part they are of.

    They are of what is held out, or, where nothing is, of what it is trained on. Raises DataError where the pack has
    none that fit.
    """
    takes, _ = domains_of(pack, spec)
    part = takes.best_part()
    return _sources(pack, spec, takes.rows(part, most)), part


def _sources(pack: Pack, spec: GeneratorSpec, rows: Rows) -> Images:
    """The sources at ``rows``, as they are in the pack or made of its images."""
    if (corruption := _corruption(spec)) is not None:
        return _corrupted(corruption, pack, rows)
    return domains_of(pack, spec)[0].gather(rows)


def domains_of(pack: Pack, spec: GeneratorSpec) -> tuple[Domain, Domain]:
    """What the translator of ``spec`` takes, and what it makes. Raises DataError where they do not fit the pack."""
    _check_sides(pack, spec)
    sources, images = Domain(pack, SOURCES), Domain(pack, IMAGES)
    if _corruption(spec) is not None:
        return images, images
    return (images, sources) if is_back(spec) else (sources, images)


def judged_by(pack: Pack, spec: GeneratorSpec, most: int, extractor: Extractor) -> tuple[Inputs, Tensor]:
    """What another form of a generator is judged by: inputs for ``most`` images, and features of the real ones that
    these are compared with, ``(n, d)``.

    Seeds against the pack's images; a translator's held-out sources against what there is to train on of the domain
    that it makes. Raises DataError where pack and generator do not fit, or nothing is held out.
    """
    if spec.source is None:
        return inputs_like(pack, spec, range(most)), real_features(pack, extractor)

    takes, makes = domains_of(pack, spec)
    if has_pairs(pack, spec):
        sources = pairs_of(pack, spec, "held", most).all()[0]
    else:
        sources = takes.gather(takes.rows("held", most))
    if len(sources) < LEAST_HELD:
        raise DataError(
            f"the pack {pack.info.name} holds out {len(sources)} pictures, and judging by them needs at least "
            f"{LEAST_HELD}: import it again with --held"
        )
    return {SOURCE: sources}, makes.features("train", extractor)


def _check_sides(pack: Pack, spec: GeneratorSpec) -> None:
    """Raise DataError unless the pictures of the pack are of the sizes that the translator takes and makes."""
    info = pack.info
    corruption = _corruption(spec)

    # What it takes and makes, each beside the side of the pack that it is compared with
    images = info.height, info.width, info.channels
    if corruption is not None:
        pairs = {"makes": (shape_made(spec), images, "images")}
    elif info.sources is None:
        raise DataError(
            f"the pack {info.name} has no sources to translate: 'data import TARGETS PACK --sources FOLDER' makes pairs"
        )
    else:
        sources = info.sources.height, info.sources.width, info.sources.channels
        given, wanted = ((images, "images"), (sources, "sources"))[:: 1 if is_back(spec) else -1]
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


def is_back(spec: GeneratorSpec) -> bool:
    """Whether it makes sources of the pack's images."""
    return spec.source is not None and spec.source.direction == BACK


def _corrupted(corruption: Corruption, pack: Pack, rows: Rows) -> Images:
    """What becomes of images of the pack, of each by its own row alone."""
    return np.stack(
        [
            corruption.corrupt(torch.from_numpy(pack.gather([row])), torch.Generator().manual_seed(int(row)))[0].numpy()
            for row in rows
        ]
    )


def _said(shape: Shape) -> str:
    height, width, channels = shape
    return f"{width}x{height} in {channels} channels"
