"""Pixi's sprite sheets: TexturePacker's hash, with animations, anchors, borders and the names of the other pages."""

from typing import Any

from serving.assets.atlas.model import Animation, Atlas
from serving.assets.atlas.writers.texture_json import entry, frames_on, meta, page_files, page_of, text


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name: load the first, and Pixi loads the others. It knows no durations: its user sets a speed."""
    names = page_files(atlas, ".json")
    files = {}
    for number, (name, page) in enumerate(zip(names, atlas.pages, strict=True)):
        about: dict[str, Any] = meta(page)
        if number == 0 and len(names) > 1:
            about["related_multi_packs"] = names[1:]
        shown = {a.name: _order(a) for a in atlas.animations if page_of(atlas, a, "Pixi") == number}
        frames = {frame.name: entry(frame) for frame in frames_on(atlas, number)}
        files[name] = text({"frames": frames, "animations": shown, "meta": about})
    return files


def _order(animation: Animation) -> list[str]:
    """The frames as they are shown, for Pixi plays forward only."""
    names = list(animation.frames)
    if animation.way == "pingpong":
        return names + names[-2:0:-1]
    return names[::-1] if animation.way == "reverse" else names
