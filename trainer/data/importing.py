"""Images of any kind into a pack: every picture is fitted and spooled, then all are written with their channels."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from core.errors import ConfigError, DataError
from core.sizes import Size
from core.spec import CHANNELS
from trainer.data.fitting import FITS, RESAMPLINGS, fit
from trainer.data.grid import Grid, parse_grid
from trainer.data.pack import Pack, PackInfo, check_destination, write_pack, writing
from trainer.data.sources import Progress, Source, printable
from trainer.data.spool import Spool

__all__ = ["ImportOptions", "import_images", "parse_grid"]


@dataclass(frozen=True)
class ImportOptions:
    """How images become a pack. ``grid`` is a cell's (width, height); ``channels`` None means found.

    Forcing 1 or 3 channels lays transparent pictures on white; forcing 4 makes the margins of ``pad`` transparent.
    Raises ConfigError in the words of the command line.
    """

    size: Size
    fit: str = "pad"
    resample: str = "lanczos"
    channels: int | None = None
    grid: Grid | None = None
    labels: str | None = None
    strict: bool = False
    name: str = ""
    licence: str = ""
    attribution: str = ""
    overwrite: bool = False

    def __post_init__(self) -> None:
        _one_of("--fit", self.fit, FITS)
        _one_of("--resample", self.resample, tuple(RESAMPLINGS))
        if self.channels is not None:
            _one_of("--channels", self.channels, CHANNELS)
        if self.labels is not None:
            _one_of("--labels", self.labels, ("folders",))
        if self.grid is not None and min(self.grid) < 1:
            raise ConfigError(f"--grid {self.grid[0]}x{self.grid[1]} has no pixels: write WIDTHxHEIGHT, 32x32")

    def facts(self) -> dict[str, Any]:
        """What decided the pixels, for ``dataset.json``."""
        grid = self.grid and f"{self.grid[0]}x{self.grid[1]}"
        return {"fit": self.fit, "resample": self.resample, "channels": self.channels, "grid": grid}


def import_images(source: Path, destination: Path, options: ImportOptions, progress: Progress | None = None) -> Pack:
    """Make a pack of a folder, one image, a sprite sheet or an idx set, and open it.

    A folder is read with all its sub-folders in the order of the names; what begins with a dot is ignored. Files that
    cannot be used are skipped and listed, or with ``strict`` a DataError. So it is if nothing is left.
    """
    source, destination = Path(source), Path(destination)
    _check_places(source, destination, options)
    found = Source(source, options.grid, options.labels == "folders", progress or _silent)
    with writing(destination), TemporaryFile(dir=_nearest_folder(destination)) as file:
        spool = Spool(file, options.size.height, options.size.width)
        for picture in found.pictures():
            spool.add(fit(picture, options.size, options.fit, options.resample), opaque=picture.mode != "RGBA")
        _check_found(found, spool, options.strict)
        channels = options.channels or spool.channels
        classes = found.classes()
        labels = [classes.index(name) for name in found.labels] or None
        info = _info(found, options, channels, classes)
        return write_pack(destination, spool.pictures(channels), labels, info, options.overwrite)


def _info(found: Source, options: ImportOptions, channels: int, classes: tuple[str, ...]) -> PackInfo:
    origin = printable(found.path.resolve().name)  # the name alone: where it lay is nobody's business
    return PackInfo(
        name=options.name or origin,
        height=options.size.height,
        width=options.size.width,
        channels=channels,
        classes=classes,
        source=origin,
        licence=options.licence,
        attribution=options.attribution,
        skipped=tuple(found.skipped),
        empty_cells=found.empty_cells,
        duplicate_cells=found.duplicate_cells,
        options=options.facts(),
    )


def _check_places(source: Path, destination: Path, options: ImportOptions) -> None:
    if not source.is_dir() and not source.is_file():
        raise DataError(f"there is nothing to import at {source}: give a folder, an image or an idx file")
    if options.overwrite and source.resolve().is_relative_to(destination.resolve()):
        raise DataError(f"overwriting {destination} would delete the images in {source}: choose another name")
    check_destination(destination, options.overwrite)


def _check_found(found: Source, spool: Spool, strict: bool) -> None:
    """Raise DataError if nothing can be used, or if anything cannot and that was asked for."""
    first = "the first is {} ({})".format(*found.skipped[0]) if found.skipped else ""
    if strict and found.skipped:
        raise DataError(
            f"{len(found.skipped)} of the files in {found.path} cannot be used, {first}: mend or remove them, "
            "or import without --strict"
        )
    if len(spool) == 0:
        held = f"{found.empty_cells} empty cells" if found.empty_cells else "no files"
        seen = f"{len(found.skipped)} skipped, {first}" if found.skipped else held
        raise DataError(f"there is no usable image in {found.path} ({seen}): give it PNG, JPEG, WebP, GIF, BMP or TIFF")


def _nearest_folder(destination: Path) -> Path:
    """The folder that exists nearest above the destination: temporary data belongs on the same disk."""
    return next(path for path in destination.absolute().parents if path.is_dir())


def _one_of(flag: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{flag} must be {' or '.join(map(str, allowed))}, not {value}")


def _silent(done: int, total: int) -> None:
    pass
