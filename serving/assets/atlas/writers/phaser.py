"""Phaser's multi-atlas, for ``this.load.multiatlas``, and its animations, for ``this.load.animation``."""

from typing import Any

from serving.assets.atlas.model import Animation, Atlas
from serving.assets.atlas.writers.texture_json import APP, frames_on, listed, text


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name. Animations look for a texture that is loaded under the atlas's name."""
    textures = [
        {
            "image": page.image,
            "format": "RGBA8888",
            "size": {"w": page.width, "h": page.height},
            "scale": 1,
            "frames": [listed(frame) for frame in frames_on(atlas, number)],
        }
        for number, page in enumerate(atlas.pages)
    ]
    files = {f"{atlas.name}.json": text({"textures": textures, "meta": {"app": APP, "version": "1.0"}})}
    if atlas.animations:
        anims = [_animation(atlas.name, animation) for animation in atlas.animations]
        files[f"{atlas.name}.anims.json"] = text({"anims": anims, "globalTimeScale": 1})
    return files


def _animation(texture: str, animation: Animation) -> dict[str, Any]:
    """As ``AnimationManager.toJSON`` writes one. Phaser adds a frame's duration to that of all, here the shortest."""
    pairs = list(zip(animation.frames, animation.durations, strict=True))
    shortest = min(animation.durations)
    frames = [
        {"key": texture, "frame": name, "duration": duration - shortest}
        for name, duration in (pairs[::-1] if animation.way == "reverse" else pairs)
    ]
    return {
        "key": animation.name,
        "type": "frame",
        "frames": frames,
        "frameRate": 1000 / shortest,
        "repeat": -1 if animation.loop else 0,
        "yoyo": animation.way == "pingpong",
    }
