"""Sprites packed into an atlas and its pages."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import AssetError
from core.images import Images
from serving.assets.atlas.layout import Packing, layout
from serving.assets.atlas.model import Animation, Atlas, Frame, Page, natural
from serving.assets.sprite import Sprite
from serving.assets.steps.trim import Trim, trim

MOST_SPRITES = 100_000
DEFAULTS = Packing()


@dataclass(frozen=True, eq=False)
class Packed:
    """An atlas and the pixels of its pages, each ``(height, width, 4)``."""

    atlas: Atlas
    pages: tuple[Images, ...]

    def cut(self, frame: Frame) -> Images:
        """The whole sprite of a frame, as it was before it was trimmed."""
        pixels = self.pages[frame.page][frame.y : frame.y + frame.height, frame.x : frame.x + frame.width]
        return Sprite(pixels, frame.source, frame.offset).whole()


def pack(
    name: str,
    sprites: Mapping[str, Sprite],
    packing: Packing = DEFAULTS,
    animations: Sequence[Animation] = (),
    borders: Mapping[str, tuple[int, int, int, int]] | None = None,
) -> Packed:
    """The atlas of sprites by name. What looks the same lies there once; the order of ``sprites`` changes nothing.

    ``borders`` are of nine slices, by the names of their sprites. Raises AssetError for names that files cannot hold,
    and for what fits no page.
    """
    if not 1 <= len(sprites) <= MOST_SPRITES:
        raise AssetError(f"an atlas of {len(sprites)} sprites: give 1 to {MOST_SPRITES}")
    names = sorted(sprites, key=natural)
    cut = trim([sprites[name] for name in names], Trim()) if packing.trim and not packing.grid else None
    ready = dict(zip(names, cut or [Sprite.of(sprites[name].whole()) for name in names], strict=True))
    twins = _twins(ready, together=not packing.grid)
    unlike = list(dict.fromkeys(twins.values()))

    found = layout(tuple((ready[n].pixels.shape[1], ready[n].pixels.shape[0]) for n in unlike), packing)
    places = dict(zip(unlike, found.places, strict=True))
    pages = [np.zeros((height, width, 4), np.uint8) for width, height in found.pages]
    for one, (page, x, y) in places.items():
        _paste(pages[page], ready[one].pixels, x, y, packing.extrude)

    frames = [_frame(n, ready[n], places[twins[n]], sprites[n].pivot, (borders or {}).get(n)) for n in names]
    files = [Page(f"{name}.png" if len(pages) == 1 else f"{name}-{number}.png", page.shape[1], page.shape[0])
             for number, page in enumerate(pages)]  # fmt: skip
    shown = tuple(sorted(animations, key=lambda animation: natural(animation.name)))
    return Packed(Atlas(name, tuple(files), tuple(frames), shown, packing.extrude, packing.padding), tuple(pages))


def _twins(sprites: Mapping[str, Sprite], together: bool) -> dict[str, str]:
    """For each sprite the first one with the same pixels; itself, where they are to lie apart."""
    first: dict[tuple[tuple[int, ...], bytes], str] = {}
    if not together:
        return {name: name for name in sprites}
    return {
        name: first.setdefault((sprite.pixels.shape, hashlib.sha256(sprite.pixels.tobytes()).digest()), name)
        for name, sprite in sprites.items()
    }


def _paste(page: Images, pixels: Images, x: int, y: int, extrude: int) -> None:
    """Put the sprite's top left at ``x, y``, with its borders repeated around it."""
    around = np.pad(pixels, ((extrude, extrude), (extrude, extrude), (0, 0)), "edge") if extrude else pixels
    top, left = y - extrude, x - extrude
    page[top : top + around.shape[0], left : left + around.shape[1]] = around


def _frame(
    name: str,
    sprite: Sprite,
    place: tuple[int, int, int],
    pivot: tuple[float, float] | None,
    borders: tuple[int, int, int, int] | None,
) -> Frame:
    height, width = sprite.pixels.shape[:2]
    return Frame(name, *place, width, height, sprite.offset, sprite.source, pivot, borders)
