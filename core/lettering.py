"""Words on pictures, without fonts of the system where that can be: what a font can write, and names that fit.

Pillow's own font writes plain Latin letters. For others a few fonts are tried that many machines have; what none of
them can write is never a row of boxes, but a number that a legend explains.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from math import ceil

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SIZE = 13  # pixels
# Wide in what they write, and usual: on Linux, Windows and macOS, in this order.
_MORE = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "arial.ttf", "YuGothM.ttc", "Arial Unicode.ttf")
_NOBODY_S = "\U0010ffff"  # a character that is none: what a font shows in place of what it lacks
_LONGEST = 200  # letters of a name that are looked at


def font_for(text: str) -> Font | None:
    """A font that has every letter of ``text``, or None."""
    return next(
        (font for font in map(_font, ("", *_MORE)) if font and all(_has(font, letter) for letter in text)), None
    )


def width_of(text: str) -> int:
    """How wide ``text`` is, in pixels; 0 of one that no font here can write."""
    font = font_for(text)
    return ceil(font.getlength(text)) if font else 0


def one_line(text: str) -> str:
    """``text`` composed (NFC), in one line."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def shortened(text: str, most: int) -> str:
    """``text`` in at most ``most`` pixels: its beginning and its end, where names differ, with "…" between them."""
    if width_of(text) <= most:
        return text
    text = text if len(text) <= _LONGEST else text[: _LONGEST // 2] + text[-_LONGEST // 2 :]
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: kept - kept // 2].rstrip()}…{text[-(kept // 2) :].lstrip()}"
        if width_of(short) <= most:
            return short
    return "…"


def legible(names: Sequence[str], most: int) -> tuple[list[str], dict[str, str]]:
    """The names as they can be written in ``most`` pixels each, and a legend: what the numbers among them stand for.

    Those that are too long, that no font here can write, or that would look like another begin with their number, as
    in ``#3 a name…too long``.
    """
    lines = [one_line(name) for name in names]
    alike = Counter(lines)
    written, legend = [], {}

    for index, (name, line) in enumerate(zip(names, lines, strict=True)):
        known = font_for(line) is not None
        if known and width_of(line) <= most and alike[line] == 1 and line and not re.match(r"#\d", line):
            written.append(line)
            continue

        # What cannot be written is numbered, and as much of it follows as fits
        number = f"#{index}"
        legend[number] = name
        room = most - width_of(f"{number} ")
        written.append(f"{number} {shortened(line, room)}" if known and line and room > 3 * SIZE else number)
    return written, legend


@cache
def _font(name: str) -> Font | None:
    try:
        return ImageFont.truetype(name, SIZE) if name else ImageFont.load_default(SIZE)
    except OSError:  # it is not on this machine
        return None


@cache
def _has(font: Font, letter: str) -> bool:
    if letter == " ":
        return True
    try:
        return letter.isprintable() and _drawn(font, letter) != _drawn(font, _NOBODY_S)
    except UnicodeEncodeError:  # of Pillow's oldest font, which is all that it has without FreeType
        return False


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
