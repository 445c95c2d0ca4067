"""Palette files: GIMP's ``.gpl``, Lospec's ``.hex`` and JASC's ``.pal``, read strictly and written."""

import re
from collections.abc import Callable
from pathlib import Path

from core.errors import AssetError, first_line
from serving.assets.palettes.colours import RGB, Palette

_MOST_BYTES = 65_536
_GPL_FIELD = re.compile("(Name|Columns): *(.*)")
_GPL_COLOUR = re.compile(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})(?:\s.*)?")
_JASC_COLOUR = re.compile(r"(\d{1,3}) (\d{1,3}) (\d{1,3})")


def read_palette(path: Path) -> Palette:
    """The palette of a file, by its ending. Raises AssetError that names the line."""
    kind = _kind_of(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise AssetError(f"it has more than {_MOST_BYTES} bytes, which no palette of 256 colours needs")
        return PARSERS[kind](data.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, AssetError) as error:
        said = "it is no text" if isinstance(error, UnicodeDecodeError) else first_line(error)
        raise AssetError(f"no palette in {path}: {said}") from None


def render_palette(path: Path, palette: Palette) -> str:
    """The text of a palette file that is called so."""
    return RENDERERS[_kind_of(path)](palette)


def parse_gpl(text: str) -> Palette:
    """``GIMP Palette``, then ``Name:``, ``Columns:`` and comments, then lines of ``r g b name``."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "GIMP Palette":
        raise AssetError("line 1 is not 'GIMP Palette'")
    name = ""
    colours: list[RGB] = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not colours and (found := _GPL_FIELD.fullmatch(line)):
            name = found[2] if found[1] == "Name" else name
        else:
            colours.append(_levels(_GPL_COLOUR, line, number))
    return _palette(colours, name)


def render_gpl(palette: Palette) -> str:
    """The palette for GIMP, Aseprite, Krita and Inkscape."""
    name = " ".join(palette.name.split()) or "palette"
    rows = "".join(f"{r:3} {g:3} {b:3}\t{r:02x}{g:02x}{b:02x}\n" for r, g, b in palette.colours)
    return f"GIMP Palette\nName: {name}\nColumns: {min(len(palette.colours), 16)}\n#\n{rows}"


def parse_hex(text: str) -> Palette:
    """A line of ``RRGGBB`` a colour, with or without ``#``."""
    colours = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            if not (found := re.fullmatch("#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", line.strip())):
                raise AssetError(f"line {number} is no colour: six hexadecimal digits belong there")
            colours.append((int(found[1], 16), int(found[2], 16), int(found[3], 16)))
    return _palette(colours)


def render_hex(palette: Palette) -> str:
    """The palette as Lospec gives it."""
    return "".join(f"{r:02x}{g:02x}{b:02x}\n" for r, g, b in palette.colours)


def parse_jasc(text: str) -> Palette:
    """``JASC-PAL``, ``0100``, how many colours, then as many lines of ``r g b``."""
    lines = text.rstrip().splitlines()
    if [line.strip() for line in lines[:2]] != ["JASC-PAL", "0100"]:
        raise AssetError("the first two lines are not 'JASC-PAL' and '0100'")
    colours = [_levels(_JASC_COLOUR, line.rstrip(), number) for number, line in enumerate(lines[3:], 4)]
    if len(lines) < 3 or lines[2].strip() != str(len(colours)):
        raise AssetError(f"line 3 must be {len(colours)}, for so many colours follow")
    return _palette(colours)


def render_jasc(palette: Palette) -> str:
    """The palette for Paint Shop Pro and what reads its format; lines end as on Windows."""
    rows = [" ".join(map(str, colour)) for colour in palette.colours]
    return "".join(f"{line}\r\n" for line in ["JASC-PAL", "0100", str(len(rows)), *rows])


PARSERS: dict[str, Callable[[str], Palette]] = {".gpl": parse_gpl, ".hex": parse_hex, ".pal": parse_jasc}
RENDERERS: dict[str, Callable[[Palette], str]] = {".gpl": render_gpl, ".hex": render_hex, ".pal": render_jasc}


def _kind_of(path: Path) -> str:
    if (kind := path.suffix.lower()) not in PARSERS:
        raise AssetError(f"{path} is no palette by its name: it must end in {', '.join(PARSERS)}")
    return kind


def _levels(pattern: "re.Pattern[str]", line: str, number: int) -> RGB:
    found = pattern.fullmatch(line)
    levels = tuple(map(int, found.groups())) if found else ()
    if len(levels) != 3 or max(levels) > 255:
        raise AssetError(f"line {number} is no colour: three numbers, 0 to 255, belong there")
    return levels


def _palette(colours: list[RGB], name: str = "") -> Palette:
    """Files may hold a colour twice, as padding: the first counts."""
    return Palette(tuple(dict.fromkeys(colours)), name)
