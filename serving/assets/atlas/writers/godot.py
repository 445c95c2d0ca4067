"""Godot's text resources: an ``AtlasTexture`` for each sprite, and ``SpriteFrames`` with all animations."""

import math
from dataclasses import dataclass

from core.errors import AssetError
from core.system import folded, portable_name, usable_name
from serving.assets.atlas.model import Animation, Atlas, Frame


@dataclass(frozen=True)
class Dialect:
    """What Godot 3 and 4 write differently."""

    format: int
    texture: str  # the class of an imported picture
    durations: bool  # whether a frame of an animation has one

    def ident(self, number: int) -> str:
        """The number of a resource as it is defined."""
        return str(number) if self.format == 2 else f'"{number}"'

    def use(self, kind: str, number: int) -> str:
        """A resource as it is used."""
        return f"{kind}( {number} )" if self.format == 2 else f'{kind}("{number}")'


def render(atlas: Atlas, dialect: Dialect) -> dict[str, str]:
    """The files by name. They stand beside the pages: a path without ``res://`` begins where its file lies."""
    files: dict[str, str] = {}
    taken: dict[str, str] = {}
    for frame in atlas.frames:
        file = usable_name(portable_name(frame.name), ".tres") + ".tres"
        other = taken.setdefault(folded(file), frame.name)
        if other != frame.name or folded(file) == folded(f"{atlas.name}.frames.tres"):
            raise AssetError(f"{frame.name!r} and {other!r} are one file to some disks: rename one")
        files[file] = _texture(atlas, frame, dialect)
    if atlas.animations:
        files[f"{atlas.name}.frames.tres"] = _frames(atlas, dialect)
    return files


def quoted(text: str) -> str:
    """The string in Godot's quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _texture(atlas: Atlas, frame: Frame, dialect: Dialect) -> str:
    head = f'[gd_resource type="AtlasTexture" load_steps=2 format={dialect.format}]'
    return "\n".join(
        [head, "", _page(atlas, frame.page, 1, dialect), "", "[resource]", *_atlas_texture(frame, 1, dialect), ""]
    )


def _page(atlas: Atlas, page: int, number: int, dialect: Dialect) -> str:
    path = quoted(atlas.pages[page].image)
    return f'[ext_resource path={path} type="{dialect.texture}" id={dialect.ident(number)}]'


def _atlas_texture(frame: Frame, page: int, dialect: Dialect) -> list[str]:
    """Its properties. A margin is what the source has to the left and above, and what it has more of both sides."""
    space = "Rect2( {}, {}, {}, {} )" if dialect.format == 2 else "Rect2({}, {}, {}, {})"
    lines = [
        f"atlas = {dialect.use('ExtResource', page)}",
        f"region = {space.format(frame.x, frame.y, frame.width, frame.height)}",
    ]
    if frame.trimmed:
        more = frame.source[0] - frame.width, frame.source[1] - frame.height
        lines.append(f"margin = {space.format(*frame.offset, *more)}")
    return [*lines, "filter_clip = true"]


def _frames(atlas: Atlas, dialect: Dialect) -> str:
    """The ``SpriteFrames``, whose textures are inside it."""
    shown = {name for animation in atlas.animations for name in animation.frames}
    frames = [frame for frame in atlas.frames if frame.name in shown]
    pages = sorted({frame.page for frame in frames})
    numbers = {frame.name: number for number, frame in enumerate(frames, 1)}

    steps = len(pages) + len(frames) + 1
    lines = [f'[gd_resource type="SpriteFrames" load_steps={steps} format={dialect.format}]', ""]
    lines += [_page(atlas, page, number, dialect) for number, page in enumerate(pages, 1)]
    for frame in frames:
        lines += ["", f'[sub_resource type="AtlasTexture" id={dialect.ident(numbers[frame.name])}]']
        lines += _atlas_texture(frame, pages.index(frame.page) + 1, dialect)
    animations = ", ".join(_animation(animation, numbers, dialect) for animation in atlas.animations)
    return "\n".join([*lines, "", "[resource]", f"animations = [ {animations} ]", ""])


def _animation(animation: Animation, numbers: dict[str, int], dialect: Dialect) -> str:
    """An animation. ``speed`` is in frames a second; Godot 3 shows all as long, so longer ones are there more often."""
    beat = math.gcd(*animation.durations)
    names, beats = _played(animation, [duration // beat for duration in animation.durations])
    if dialect.durations:
        frames = [
            f'{{ "duration": {times}.0, "texture": {dialect.use("SubResource", numbers[name])} }}'
            for name, times in zip(names, beats, strict=True)
        ]
    else:
        frames = [
            dialect.use("SubResource", numbers[n]) for n, times in zip(names, beats, strict=True) for _ in range(times)
        ]
    name = quoted(animation.name) if dialect.format == 2 else "&" + quoted(animation.name)
    loop = "true" if animation.loop else "false"
    return f'{{ "frames": [ {", ".join(frames)} ], "loop": {loop}, "name": {name}, "speed": {1000 / beat:.9g} }}'


def _played(animation: Animation, beats: list[int]) -> tuple[list[str], list[int]]:
    """Frames and beats in the order they are shown in: Godot's play forward."""
    names = list(animation.frames)
    if animation.way == "reverse":
        return names[::-1], beats[::-1]
    if animation.way == "pingpong":
        return names + names[-2:0:-1], beats + beats[-2:0:-1]
    return names, beats
