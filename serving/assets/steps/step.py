"""What a step is: settings that check themselves, and a function from sprites to sprites."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from core.images import Images
from serving.assets.sprite import Sprite

S = TypeVar("S")
Apply = Callable[[Sequence[Sprite], S], list[Sprite]]


@dataclass(frozen=True)
class Step(Generic[S]):
    """A step of a chain. All sprites of an entry go through it together, so that they can share a palette."""

    settings: type[S]
    apply: Apply[S]
    moves: bool = False  # pixels lie elsewhere afterwards, or there are more of them
    places: bool = False  # it says where something lies in the picture, which a step that moves would make wrong
    load: Callable[[Mapping[str, Any], Path], Mapping[str, Any]] = lambda table, _: table  # reads what it names


@dataclass(frozen=True)
class NoSettings:
    """Of a step that has none."""


def on_pixels(function: Callable[[Images, S], Images]) -> Apply[S]:
    """A step that changes colours or alpha of each sprite in place."""

    def apply(sprites: Sequence[Sprite], settings: S) -> list[Sprite]:
        return [replace(sprite, pixels=function(sprite.pixels, settings)) for sprite in sprites]

    return apply


def on_whole(function: Callable[[Images, S], Images]) -> Apply[S]:
    """A step that makes another picture of each, of any size."""

    def apply(sprites: Sequence[Sprite], settings: S) -> list[Sprite]:
        made = [(sprite, function(sprite.whole(), settings)) for sprite in sprites]
        return [
            replace(sprite, pixels=picture, source=(picture.shape[1], picture.shape[0]), offset=(0, 0))
            for sprite, picture in made
        ]

    return apply
