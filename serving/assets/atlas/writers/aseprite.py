"""Aseprite's export: a list of frames with durations, and tags that say which of them are an animation."""

from typing import Any

from serving.assets.atlas.model import Atlas
from serving.assets.atlas.writers.texture_json import listed, meta, page_files, page_of, text

STILL = 100  # milliseconds, of a frame of no animation: as Aseprite gives a new one


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name, one a page: first the frames of animations, one after another, then all others."""
    files = {}
    by_name = {frame.name: frame for frame in atlas.frames}
    for number, (name, page) in enumerate(zip(page_files(atlas, ".json"), atlas.pages, strict=True)):
        frames: list[dict[str, Any]] = []
        tags: list[dict[str, Any]] = []
        shown: set[str] = set()
        for animation in atlas.animations:
            if page_of(atlas, animation, "Aseprite's format") != number:
                continue
            start = len(frames)
            pairs = zip(animation.frames, animation.durations, strict=True)
            frames += [{**listed(by_name[n]), "duration": ms} for n, ms in pairs]
            tag: dict[str, Any] = {
                "name": animation.name,
                "from": start,
                "to": len(frames) - 1,
                "direction": animation.way,
            }
            tags.append({**tag, "color": "#000000ff", **({} if animation.loop else {"repeat": "1"})})
            shown.update(animation.frames)
        still = [frame for frame in atlas.frames if frame.page == number and frame.name not in shown]
        frames += [{**listed(frame), "duration": STILL} for frame in still]
        about: dict[str, Any] = {**meta(page), "frameTags": tags, "layers": [], "slices": []}
        files[name] = text({"frames": frames, "meta": about})
    return files
