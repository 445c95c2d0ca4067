"""Images of any kind into a pack: every picture is fitted and spooled, then those chosen are written."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

from core.errors import ConfigError, DataError
from trainer.data.chosen import choose_from, described
from trainer.data.destination import check_destination, nearest_folder, writing
from trainer.data.grid import MISFIT, parse_grid
from trainer.data.options import ImportOptions
from trainer.data.pack import Pack, write_pack
from trainer.data.sides import Aligned, Side, align, read_side
from trainer.data.sources import Progress

__all__ = ["ImportOptions", "import_images", "parse_grid"]


def import_images(source: Path, destination: Path, options: ImportOptions, progress: Progress | None = None) -> Pack:
    """Make a pack of a folder, a ZIP archive, one image, a sprite sheet or an idx set, and open it.

    A folder is read with all its sub-folders in the order of the names; what begins with a dot is ignored. Files that
    cannot be used are skipped and listed, or with ``strict`` a DataError. So it is if nothing is left. All of it holds
    for both pictures of a pair; what has no partner is skipped too.
    """
    source, destination = Path(source), Path(destination)
    _check_places(source, destination, options)
    place = nearest_folder(destination)
    with writing(destination), TemporaryFile(dir=place) as one, TemporaryFile(dir=place) as other:
        # Pictures
        images, sources = read_side(source, options, one, progress, without=options.sources), None
        skipped, aligned = list(images.found.skipped), Aligned([], [], [])
        _check_found(images, options)
        if options.has_sources:
            path, apart = options.sources or source, source if options.sources else None
            sources = read_side(path, options, other, progress, of_sources=True, without=apart)
            skipped += sources.skipped_beside
            _check_found(sources, options)
        if sources is not None and not options.unpaired:
            aligned = align(images, sources)
            skipped += aligned.skipped
            _check_strictly(source, skipped, options)

        # What of them goes into the pack
        together = (images,) if sources is None or options.unpaired else (images, sources)
        chosen = choose_from(together, options)
        domain = choose_from((sources,), options) if sources is not None and options.unpaired else None
        info = described(chosen, domain, options)
        info = replace(info, skipped=tuple(skipped), notes=(*aligned.notes, *info.notes))
        info = replace(info, warnings=(*aligned.warnings, *info.warnings))
        return write_pack(
            destination,
            images.pictures(),
            [info.classes.index(label) for label in images.labels] or None,
            info,
            options.overwrite,
            sources=None if sources is None else sources.pictures(),
            parts=chosen.parts,
            source_parts=None if domain is None else domain.parts,
        )


def _check_places(source: Path, destination: Path, options: ImportOptions) -> None:
    if not source.is_dir() and not source.is_file():
        raise DataError(f"there is nothing to import at {source}: give a folder, an image or an idx file")
    if options.sources is not None:
        if not options.sources.is_dir() and not options.sources.is_file():
            raise DataError(f"there are no sources at {options.sources}: --sources is a folder, a ZIP or an image")
        if options.sources.resolve() == source.resolve():
            raise ConfigError(f"--sources {options.sources} are the images themselves: give the folder of the others")
    for path in (source, options.sources or source):
        if options.overwrite and path.resolve().is_relative_to(destination.resolve()):
            raise DataError(f"overwriting {destination} would delete the images in {path}: choose another name")
    check_destination(destination, options.overwrite)


def _check_found(side: Side, options: ImportOptions) -> None:
    """Raise DataError if nothing can be used, or if anything cannot and that was asked for."""
    found = side.found
    first = "the first is {} ({})".format(*found.skipped[0]) if found.skipped else ""
    _check_strictly(found.path, found.skipped, options)
    if side.rows:
        return

    # Why there is nothing: the sheet does not fit its grid, or no file is a picture
    if found.misfits and found.skipped:
        name, reason = next(entry for entry in found.skipped if entry[1].startswith(MISFIT))
        more = f" (nothing else in {found.path} is usable)" if len(found.skipped) > 1 else ""
        raise DataError(f"{name} {reason}{more}")
    seen = [f"{len(found.skipped)} skipped, {first}"] if found.skipped else []
    seen += [f"{text} ({label})" for label, text in found.listing.notes.rows()]
    raise DataError(
        f"there is no usable image in {found.path} ({'; '.join(seen) or 'no files'}): give it pictures, "
        "such as PNG, JPEG, WebP, GIF, BMP or TIFF"
    )


def _check_strictly(path: Path, skipped: list[tuple[str, str]], options: ImportOptions) -> None:
    if options.strict and skipped:
        name, reason = skipped[0]
        raise DataError(
            f"{len(skipped)} of the files in {path} cannot be used, the first is {name} ({reason}): mend or remove "
            "them, or import without --strict"
        )
