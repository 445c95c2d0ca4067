"""Unity's ``.tpsheet``, which the importer of TexturePacker reads: ``name;x;y;w;h; px;py; l;t;r;b``, y from below."""

import re

from serving.assets.atlas.model import Atlas, Frame, Page
from serving.assets.atlas.writers.texture_json import frames_on, page_files

_SPECIAL = "%#:;/\\"


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name, one a page. The sizes of sources are not in this format: a pivot says where a sprite lies."""
    files = {}
    for number, (name, page) in enumerate(zip(page_files(atlas, ".tpsheet"), atlas.pages, strict=True)):
        head = [
            "# Sprite sheet of ganfoundry, for TexturePacker's importer for Unity",
            ":format=40300",
            f":texture={page.image}",
            f":size={page.width}x{page.height}",
            ":pivotpoints=enabled",
            ":borders=enabled",
            ":alphahandling=ClearTransparentPixels",
            "",
        ]
        rows = [_row(frame, page) for frame in frames_on(atlas, number)]
        files[name] = "".join(f"{line}\n" for line in head + rows)
    return files


def parse(files: dict[str, str]) -> list[Frame]:
    """The frames, with what is in this format: names, rectangles and borders; the pivot is of the trimmed sprite."""
    frames = []
    for number, said in enumerate(files.values()):
        height = int(re.search(r"^:size=\d+x(\d+)$", said, re.MULTILINE)[1])  # type: ignore[index]
        for line in said.splitlines():
            if not line or line[0] in "#:":
                continue
            name, *rest = (part.strip() for part in line.split(";"))
            x, y, w, h = map(int, rest[:4])
            px, py = map(float, rest[4:6])
            left, top, right, bottom = map(int, rest[6:])
            borders = (left, top, right, bottom) if any(rest_ != "0" for rest_ in rest[6:]) else None
            name = re.sub("%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), name)
            frames.append(Frame(name, number, x, height - y - h, w, h, (0, 0), (w, h), (px, 1 - py), borders))
    return frames


def _row(frame: Frame, page: Page) -> str:
    name = "".join(f"%{ord(sign):02X}" if sign in _SPECIAL else sign for sign in frame.name)
    x, y = pivot_in_rectangle(frame)
    rect = f"{frame.x};{page.height - frame.y - frame.height};{frame.width};{frame.height}"
    borders = ";".join(map(str, frame.borders or (0, 0, 0, 0)))
    return f"{name};{rect}; {x:.9g};{1 - y:.9g}; {borders}"


def pivot_in_rectangle(frame: Frame) -> tuple[float, float]:
    """The pivot, the source's middle if there is none, in shares of the trimmed sprite, which may lie outside it."""
    x, y = frame.pivot or (0.5, 0.5)
    return (x * frame.source[0] - frame.offset[0]) / frame.width, (y * frame.source[1] - frame.offset[1]) / frame.height
