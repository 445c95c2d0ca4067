"""Atlases: a sheet and a JSON that says where its sprites lie, as TexturePacker, Aseprite, Phaser and PixiJS write it.

``frames`` is an object by name ("hash") or a list with ``filename`` ("array"); ``textures`` is a list of sheets.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from core.errors import DataError
from core.images import drop_idle_alpha

MOST_SIDE = 16_384


@dataclass(frozen=True)
class Frame:
    """A sprite: ``box`` (left, top, width, height) on the sheet, if not rotated; ``offset`` in its ``whole`` size."""

    name: str
    box: tuple[int, int, int, int]
    rotated: bool
    offset: tuple[int, int]
    whole: tuple[int, int]


def frames_of(text: str) -> dict[str, list[Frame]]:
    """The frames in an atlas's JSON by the file name of their sheet, "" if it does not say; empty if it is no atlas.

    Raises DataError for an atlas whose frames are malformed.
    """
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}

    # A sheet, or several in one file
    several = values.get("textures")
    sheets: list[Any] = several if isinstance(several, list) else [values]
    found: dict[str, list[Frame]] = {}
    for sheet in sheets:
        if isinstance(sheet, dict) and isinstance(sheet.get("frames"), dict | list):
            meta = sheet.get("meta")
            image = sheet.get("image") or (meta.get("image") if isinstance(meta, dict) else None) or ""
            found[str(image).replace("\\", "/").rpartition("/")[2]] = list(_frames(sheet["frames"]))
    return {image: frames for image, frames in found.items() if frames}


def cut_frames(sheet: Image.Image, frames: list[Frame]) -> Iterator[tuple[str, Image.Image]]:
    """Each frame's name and its picture, turned back and at its size before it was trimmed.

    Raises DataError for a frame that lies outside the sheet.
    """
    for frame in frames:
        left, top, width, height = frame.box
        across, down = (height, width) if frame.rotated else (width, height)
        if left + across > sheet.width or top + down > sheet.height:
            raise DataError(f"its JSON has a frame outside it ({frame.name}): they do not belong together")

        # As it was drawn: not turned, and with what was trimmed
        part = sheet.crop((left, top, left + across, top + down))
        if frame.rotated:  # it lies on the sheet turned clockwise
            part = part.transpose(Image.Transpose.ROTATE_90)
        if (width, height) != frame.whole or frame.offset != (0, 0):
            page = Image.new("RGBA", frame.whole)
            page.paste(part, frame.offset)
            part = page
        yield frame.name, drop_idle_alpha(part)


def _frames(frames: Any) -> Iterator[Frame]:
    pairs = frames.items() if isinstance(frames, dict) else ((str(i), entry) for i, entry in enumerate(frames))
    for name, entry in pairs:
        if not isinstance(entry, dict) or not isinstance(entry.get("frame"), dict):
            continue
        try:
            yield _frame(str(entry.get("filename", name)), entry)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(f"its JSON has a malformed frame ({name})") from None


def _frame(name: str, entry: Mapping[str, Any]) -> Frame:
    box = entry["frame"]
    left, top, width, height = (int(box[key]) for key in "xywh")
    place, size = entry.get("spriteSourceSize") or {}, entry.get("sourceSize") or {}
    whole = int(size.get("w", width)), int(size.get("h", height))
    offset = int(place.get("x", 0)), int(place.get("y", 0))
    if min(left, top, *offset) < 0 or min(width, height, *whole) < 1 or max(whole) > MOST_SIDE:
        raise ValueError(name)
    return Frame(name, (left, top, width, height), bool(entry.get("rotated")), offset, whole)
