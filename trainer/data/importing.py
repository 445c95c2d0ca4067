"""Images of any kind into a pack: every picture is fitted and spooled, then those chosen are written."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from core.errors import ConfigError, DataError
from core.fitting import FITS, RESAMPLINGS, fit, is_cut, resampling_for
from core.sizes import Size
from core.spec import CHANNELS
from trainer.data.alike import nearly_alike
from trainer.data.cautions import Met, Way, cautions
from trainer.data.cautions import alike as alike_warning
from trainer.data.choosing import WAYS, Choice, choose, chosen, elsewhere
from trainer.data.destination import check_destination, nearest_folder, writing
from trainer.data.grid import MISFIT, Grid, Layout, Pair, is_empty, parse_grid
from trainer.data.labels import check_labels
from trainer.data.listing import printable
from trainer.data.notes import PIXEL_ART
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.data.sources import Progress, Source
from trainer.data.spool import Spool

__all__ = ["ImportOptions", "import_images", "parse_grid"]

_DOUBTS_SAID = 3  # sheets that may be cut in the wrong places, by name


@dataclass(frozen=True)
class ImportOptions:
    """How images become a pack. ``grid``, ``margin`` and ``spacing`` are (width, height); None means found.

    ``resample`` None is lanczos, but nearest for pixel art that grows by a whole factor. Forcing 1 or 3 channels
    lays transparent pictures on white; forcing 4 makes the margins of ``pad`` transparent. ``duplicates`` and
    ``empty`` are ``drop`` or ``keep``, ``frames`` of an animation ``first`` or ``all``; ``labels`` is ``folders``, a
    list of labels or a pattern with {class} in it. Raises ConfigError in the words of the command line.
    """

    size: Size
    fit: str = "pad"
    resample: str | None = None
    channels: int | None = None
    grid: Grid | None = None
    margin: Pair = (0, 0)
    spacing: Pair = (0, 0)
    frames: str = "first"
    labels: str | None = None
    duplicates: str = "drop"
    empty: str = "drop"
    strict: bool = False
    name: str = ""
    licence: str = ""
    attribution: str = ""
    overwrite: bool = False

    def __post_init__(self) -> None:
        _one_of("--fit", self.fit, FITS)
        if self.resample is not None:
            _one_of("--resample", self.resample, tuple(RESAMPLINGS))
        if self.channels is not None:
            _one_of("--channels", self.channels, CHANNELS)
        for flag, value in (("--duplicates", self.duplicates), ("--empty", self.empty)):
            _one_of(flag, value, WAYS)
        _one_of("--frames", self.frames, ("first", "all"))
        if self.labels is not None:
            check_labels(self.labels)
        if self.grid is not None and min(self.grid) < 1:
            raise ConfigError(f"--grid {self.grid[0]}x{self.grid[1]} has no pixels: write WIDTHxHEIGHT, 32x32")
        if self.grid is None and any(self.margin + self.spacing):
            raise ConfigError("--margin and --spacing are of the cells of a sheet: give --grid too")

    @property
    def layout(self) -> Layout | None:
        """How sheets are cut, if they are."""
        return None if self.grid is None else Layout(self.grid, self.margin, self.spacing)

    def facts(self) -> dict[str, Any]:
        """What decided the pixels, for ``dataset.json``."""
        grid = self.grid and f"{self.grid[0]}x{self.grid[1]}"
        facts = {"fit": self.fit, "resample": self.resample or "auto", "channels": self.channels, "grid": grid}
        gaps = {"margin": self.margin, "spacing": self.spacing}
        facts |= {name: f"{gap[0]}x{gap[1]}" for name, gap in gaps.items() if any(gap)}
        usual = {"frames": "first", "labels": None, "duplicates": "drop", "empty": "drop"}
        return facts | {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}


def import_images(source: Path, destination: Path, options: ImportOptions, progress: Progress | None = None) -> Pack:
    """Make a pack of a folder, a ZIP archive, one image, a sprite sheet or an idx set, and open it.

    A folder is read with all its sub-folders in the order of the names; what begins with a dot is ignored. Files that
    cannot be used are skipped and listed, or with ``strict`` a DataError. So it is if nothing is left.
    """
    source, destination = Path(source), Path(destination)
    _check_places(source, destination, options)
    found = Source(source, options.layout, options.labels, options.frames, progress or _silent)
    with writing(destination), TemporaryFile(dir=nearest_folder(destination)) as file:
        met: list[Met] = []
        spool = _spooled(found, options, file, met)
        _check_found(found, len(spool), options)
        channels = options.channels or spool.channels
        choice = choose(spool.pictures(channels), spool.empty, found.labels, options.duplicates, options.empty)
        if not choice.kept:
            raise DataError(
                f"there is no usable image in {source} ({choice.empty} empty or flat): --empty keep takes them"
            )
        alike = nearly_alike(chosen(spool, channels, choice.firsts))
        pairs = [(met[choice.firsts[row]].name, met[choice.firsts[before]].name) for row, before in alike]
        info = _info(found, options, channels, choice)
        info = replace(info, alike=tuple(pairs), warnings=_warnings(met, options, channels, choice, pairs))
        labels = [info.classes.index(found.labels[row]) for row in choice.kept] if found.labels else None
        return write_pack(destination, chosen(spool, channels, choice.kept), labels, info, options.overwrite)


def _spooled(found: Source, options: ImportOptions, file: IO[bytes], met: list[Met]) -> Spool:
    """Every picture at its size, in ``file``; ``met`` learns what each was before."""
    spool, size = Spool(file, options.size.height, options.size.width), options.size
    for picture in found.pictures():
        resample = options.resample or resampling_for(picture, size, options.fit)
        if options.resample is None and resample == "nearest":
            found.listing.notes[PIXEL_ART] += 1
        cut = options.fit == "keep" and is_cut(picture, size)
        met.append(Met(found.names[-1], picture.size, resample, picture.mode != "RGBA", cut))
        spool.add(fit(picture, size, options.fit, resample), picture.mode != "RGBA", is_empty(picture))
    return spool


def _info(found: Source, options: ImportOptions, channels: int, choice: Choice) -> PackInfo:
    origin = printable(found.path.resolve().name)  # the name alone: where it lay is nobody's business
    return PackInfo(
        name=options.name or origin.removesuffix(".zip"),
        height=options.size.height,
        width=options.size.width,
        channels=channels,
        classes=found.classes([found.labels[row] for row in choice.kept] if found.labels else []),
        source=origin,
        licence=options.licence,
        attribution=options.attribution,
        skipped=tuple(found.skipped),
        empty=choice.empty,
        duplicates=choice.duplicates,
        distinct=len(choice.firsts),
        notes=_notes(found, choice),
        options=options.facts(),
    )


def _check_places(source: Path, destination: Path, options: ImportOptions) -> None:
    if not source.is_dir() and not source.is_file():
        raise DataError(f"there is nothing to import at {source}: give a folder, an image or an idx file")
    if options.overwrite and source.resolve().is_relative_to(destination.resolve()):
        raise DataError(f"overwriting {destination} would delete the images in {source}: choose another name")
    check_destination(destination, options.overwrite)


def _notes(found: Source, choice: Choice) -> tuple[tuple[str, str], ...]:
    """What there is to say besides counts, as rows of a table."""
    rows = [("classes from", found.classes_said)] if found.classes_said else []
    rows += elsewhere(choice)
    rows += [("look at", f"{name}: {doubt}") for name, doubt in found.doubted[:_DOUBTS_SAID]]
    if len(found.doubted) > _DOUBTS_SAID:
        rows.append(("look at", f"{len(found.doubted) - _DOUBTS_SAID:,} more sheets like these"))
    return (*rows, *found.listing.notes.rows())


def _warnings(
    met: list[Met], options: ImportOptions, channels: int, choice: Choice, pairs: list[tuple[str, str]]
) -> tuple[str, ...]:
    """What speaks against training on what was kept."""
    kept = [met[row] for row in choice.kept]
    lines = cautions(kept, Way(options.size, options.fit, options.grid is not None), channels)
    return (*lines, *alike_warning(kept, pairs))


def _check_found(found: Source, count: int, options: ImportOptions) -> None:
    """Raise DataError if nothing can be used, or if anything cannot and that was asked for."""
    first = "the first is {} ({})".format(*found.skipped[0]) if found.skipped else ""
    if options.strict and found.skipped:
        raise DataError(
            f"{len(found.skipped)} of the files in {found.path} cannot be used, {first}: mend or remove them, "
            "or import without --strict"
        )
    if count == 0 and found.misfits and found.skipped:
        name, reason = next(entry for entry in found.skipped if entry[1].startswith(MISFIT))
        more = f" (nothing else in {found.path} is usable)" if len(found.skipped) > 1 else ""
        raise DataError(f"{name} {reason}{more}")
    if count == 0:
        seen = [f"{len(found.skipped)} skipped, {first}"] if found.skipped else []
        seen += [f"{text} ({label})" for label, text in found.listing.notes.rows()]
        raise DataError(
            f"there is no usable image in {found.path} ({'; '.join(seen) or 'no files'}): give it pictures, "
            "such as PNG, JPEG, WebP, GIF, BMP or TIFF"
        )


def _one_of(flag: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{flag} must be {' or '.join(map(str, allowed))}, not {value}")


def _silent(done: int, total: int) -> None:
    pass
