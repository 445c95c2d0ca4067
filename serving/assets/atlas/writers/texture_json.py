"""The JSON that TexturePacker made a standard: what its descendants share."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import AssetError
from serving.assets.atlas.model import Animation, Atlas, Frame, Page

APP = "ganfoundry"


def text(data: object) -> str:
    """The file of ``data``: ASCII alone, whatever is in its names."""
    return json.dumps(data, indent=1) + "\n"


def entry(frame: Frame) -> dict[str, Any]:
    """A frame, without its name. Phaser and TexturePacker read ``pivot``, Pixi ``anchor`` and ``borders``."""
    x, y = frame.offset
    made: dict[str, Any] = {
        "frame": {"x": frame.x, "y": frame.y, "w": frame.width, "h": frame.height},
        "rotated": False,
        "trimmed": frame.trimmed,
        "spriteSourceSize": {"x": x, "y": y, "w": frame.width, "h": frame.height},
        "sourceSize": {"w": frame.source[0], "h": frame.source[1]},
    }
    if frame.pivot:
        made["pivot"] = made["anchor"] = {"x": frame.pivot[0], "y": frame.pivot[1]}
    if frame.borders:
        made["borders"] = dict(zip(("left", "top", "right", "bottom"), frame.borders, strict=True))
    return made


def listed(frame: Frame) -> dict[str, Any]:
    """A frame of a list, which has its name as ``filename``."""
    return {"filename": frame.name, **entry(frame)}


def meta(page: Page) -> dict[str, Any]:
    """What is said about a page."""
    size = {"w": page.width, "h": page.height}
    return {"app": APP, "version": "1.0", "image": page.image, "format": "RGBA8888", "size": size, "scale": "1"}


def frame_of(name: str, data: Mapping[str, Any], page: int) -> Frame:
    """The frame that ``entry`` said."""
    rect, at, size = data["frame"], data["spriteSourceSize"], data["sourceSize"]
    pivot = data.get("pivot")
    borders = data.get("borders")
    return Frame(
        name, page, rect["x"], rect["y"], rect["w"], rect["h"], (at["x"], at["y"]), (size["w"], size["h"]),
        (pivot["x"], pivot["y"]) if pivot else None,
        (borders["left"], borders["top"], borders["right"], borders["bottom"]) if borders else None,
    )  # fmt: skip


def page_files(atlas: Atlas, ending: str) -> list[str]:
    """The name of a file for each page, beside it."""
    return [page.image.removesuffix(".png") + ending for page in atlas.pages]


def frames_on(atlas: Atlas, page: int) -> list[Frame]:
    """The frames of a page."""
    return [frame for frame in atlas.frames if frame.page == page]


def page_of(atlas: Atlas, animation: Animation, program: str) -> int:
    """The page that an animation lies on. Raises AssetError if there are several, for a ``program`` that takes one."""
    pages = {frame.page for frame in atlas.frames if frame.name in set(animation.frames)}
    if len(pages) > 1:
        raise AssetError(f"{program} plays no animation across pages, such as {animation.name!r}: raise size")
    return pages.pop()


def parsed(files: Mapping[str, str], names: Iterable[str]) -> list[tuple[Page, list[Frame]]]:
    """The pages and frames of files of a page each, in hash or in list form."""
    read = []
    for number, name in enumerate(names):
        data = json.loads(files[name])
        frames = data["frames"]
        pairs = frames.items() if isinstance(frames, dict) else [(frame["filename"], frame) for frame in frames]
        size = data["meta"]["size"]
        page = Page(data["meta"]["image"], size["w"], size["h"])
        read.append((page, [frame_of(key, value, number) for key, value in pairs]))
    return read
