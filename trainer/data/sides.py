"""The images of an import, and the sources beside them: each read, fitted and spooled, then laid side by side."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from core.errors import DataError
from core.fitting import fit, is_cut, resampling_for
from core.images import Images
from trainer.data.cautions import Met, Way
from trainer.data.choosing import Choice, choose
from trainer.data.grid import is_empty
from trainer.data.listing import printable
from trainer.data.notes import PIXEL_ART
from trainer.data.options import ImportOptions
from trainer.data.pairing import Key, Pairing, pair_up, stem_of
from trainer.data.sources import Progress, Source
from trainer.data.spool import Spool

Skipped = list[tuple[str, str]]


@dataclass
class Side:
    """Pictures at one size: ``rows`` of the spool are those meant for the pack, in its order.

    ``positions`` of methods count among these.
    """

    found: Source
    spool: Spool
    all_met: list[Met]
    way: Way
    channels: int
    rows: list[int]

    @property
    def name(self) -> str:
        """Of the folder or file alone: where it lay is nobody's business."""
        return printable(self.found.path.resolve().name)

    @property
    def met(self) -> list[Met]:
        """What each was before it was fitted."""
        return [self.all_met[row] for row in self.rows]

    @property
    def names(self) -> list[str]:
        """What each is called."""
        return [self.found.names[row] for row in self.rows]

    @property
    def keys(self) -> list[Key]:
        """What each is called but for its ending."""
        return [self.found.keys[row] for row in self.rows]

    @property
    def labels(self) -> list[str]:
        """The class of each; empty where there are none."""
        return [self.found.labels[row] for row in self.rows] if self.found.labels else []

    @property
    def empty(self) -> list[bool]:
        """Whether each was empty before it was fitted."""
        return [self.spool.empty[row] for row in self.rows]

    @property
    def skipped_beside(self) -> Skipped:
        """What was skipped, with the name of the folder, for a list that holds another's too; nothing of halves, which
        are in the other's list."""
        return [] if self.found.half else [(f"{self.name}/{path}", why) for path, why in self.found.skipped]

    def pictures(self, positions: Sequence[int] | None = None) -> Iterator[Images]:
        """Those at ``positions``, or all, ``(h, w, c)`` as they will be in the pack."""
        rows = self.rows if positions is None else [self.rows[position] for position in positions]
        return self.spool.pictures(self.channels, rows)


def read_side(
    path: Path,
    options: ImportOptions,
    file: IO[bytes],
    progress: Progress | None,
    of_sources: bool = False,
    without: Path | None = None,
) -> Side:
    """Every picture of the images, or of the sources, at its size, in ``file``; those in ``without`` are none."""
    found = Source(
        path,
        options.layout_of_sources if of_sources else options.layout,
        None if of_sources else options.labels,
        options.frames,
        progress or _silent,
        half=options.half_of(of_sources),
        without=without,
    )

    # Each picture as it was met, and fitted
    size = options.size_of_sources if of_sources else options.size
    spool, met = Spool(file, size.height, size.width), list[Met]()
    for picture in found.pictures():
        resample = options.resample or resampling_for(picture, size, options.fit)
        if options.resample is None and resample == "nearest":
            found.listing.notes[PIXEL_ART] += 1
        cut = options.fit == "keep" and is_cut(picture, size)
        met.append(Met(found.names[-1], picture.size, resample, picture.mode != "RGBA", cut))
        spool.add(fit(picture, size, options.fit, resample), picture.mode != "RGBA", is_empty(picture))

    # How all of them are kept
    asked = options.source_channels if of_sources else options.channels
    way = Way(size, options.fit, options.grid is not None, options.has_sources and not options.unpaired)
    return Side(found, spool, met, way, asked or spool.channels, list(range(len(spool))))


class Aligned(NamedTuple):
    """What was left out, with reasons, rows for the pack's table, and what speaks against how it went."""

    skipped: Skipped
    notes: list[tuple[str, str]]
    warnings: list[str]


def align(images: Side, sources: Side) -> Aligned:
    """Leave to both sides what has a partner, row by row in the order of the names.

    Raises DataError if there is no pair.
    """
    pairing = _halves(images, sources) if images.found.half else pair_up(images.keys, sources.keys)
    pairs, unlike = _alike(images, sources, pairing)

    if not pairing.pairs:
        raise DataError(
            f"no picture in {images.found.path} has a partner in {sources.found.path}: both of a pair have the same "
            f"name, but for the ending, and the first ones are {images.names[0]} and {sources.names[0]}"
        )
    if not pairs:
        raise DataError("{}: {}; so there is no pair".format(*unlike[0]))

    # What is left of both, and what is left out
    all_of = len(images.rows), len(sources.rows)
    alone = [
        [entry for entry in _alone(side, other, rows, partner) if entry[0] not in dict(unlike)]
        for side, other, rows, partner in zip(
            (images, sources), (sources, images), pairing.alone, ("source", "target"), strict=True
        )
    ]
    images.rows, sources.rows = [row for row, _ in pairs], [row for _, row in pairs]

    notes = [("pairs", pairing.said)] if pairing.said else []
    if alone[0] or alone[1]:
        notes.append(("no partner", f"{len(alone[0]):,} of the images, {len(alone[1]):,} of the sources: left out"))
    skipped = [*unlike, *alone[0], *((f"{sources.name}/{name}", why) for name, why in alone[1])]
    return Aligned(skipped, notes, _few_paired(all_of, len(pairs)))


def _few_paired(all_of: tuple[int, int], pairs: int) -> list[str]:
    """On names that do not fit, where most of both sides are left out."""
    if 2 * pairs >= min(all_of):
        return []
    return [
        f"only {pairs:,} of {all_of[0]:,} images and {all_of[1]:,} sources {'are' if pairs > 1 else 'is'} paired: both "
        "of a pair have the same name but for the ending, so look at the skipped files for names that differ"
    ]


def keep(sides: Sequence[Side], options: ImportOptions) -> Choice:
    """Leave to all sides, row by row of what belongs together, what goes into the pack. Its rows are positions."""
    pictures = zip(*(side.pictures() for side in sides), strict=True)
    empty = list(zip(*(side.empty for side in sides), strict=True))
    choice = choose(pictures, empty, sides[0].labels, options.duplicates, options.empty)
    for side in sides:
        side.rows = [side.rows[row] for row in choice.kept]
    return choice


def _halves(images: Side, sources: Side) -> Pairing:
    """Every image with the source that was in the same picture."""
    there = {name: row for row, name in enumerate(_numbered(sources.names))}
    rows = [(row, there[name]) for row, name in enumerate(_numbered(images.names)) if name in there]
    return Pairing(sorted(rows, key=lambda pair: (images.keys[pair[0]], pair)), ([], []))


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Each name, and how often it came before."""
    counts = Counter[str]()
    found = []
    for name in names:
        found.append((name, counts[name]))
        counts[name] += 1
    return found


def _alike(images: Side, sources: Side, pairing: Pairing) -> tuple[list[tuple[int, int]], Skipped]:
    """The pairs without those of sheets and animations that are cut into other pictures than their sources."""
    counts = [Counter(key.parts for key in side.keys) for side in (images, sources)]
    pairs: list[tuple[int, int]] = []
    unlike: dict[str, str] = {}

    for row, other in pairing.pairs:
        mine, its = images.keys[row], sources.keys[other]
        cells, its_cells = images.found.cells.get(mine.parts), sources.found.cells.get(its.parts)
        if cells != its_cells and cells and its_cells:
            said = "it has {}x{} cells, and its source {}x{}".format(*cells, *its_cells)
        elif mine.number and counts[0][mine.parts] != counts[1][its.parts]:
            said = f"it has {counts[0][mine.parts]} frames, and its source {counts[1][its.parts]}"
        else:
            pairs.append((row, other))
            continue
        unlike[_file_of(images, row)] = said
    return pairs, list(unlike.items())


def _alone(side: Side, other: Side, alone: Sequence[tuple[int, str]], partner: str) -> Skipped:
    """What has no partner, each file once; that of a file that cannot be used is said so."""
    unusable = {_stem_path(path) for path, _ in other.found.skipped}
    found = dict[str, str]()
    for row, why in alone:
        lost = "/".join(side.keys[row].parts) in unusable and why == f"no {partner} of its name"
        found[_file_of(side, row)] = f"its {partner} cannot be used" if lost else why
    return list(found.items())


def _file_of(side: Side, row: int) -> str:
    number = side.keys[row].number
    return side.names[row].removesuffix(f" no. {number}") if side.keys[row].parts else side.names[row]


def _stem_path(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{stem_of(name)}"


def _silent(done: int, total: int) -> None:
    pass
