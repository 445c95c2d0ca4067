"""Trim: the margins cut off, and remembered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.images import Images
from serving.assets.settings import check_whole
from serving.assets.sprite import Sprite


@dataclass(frozen=True)
class Trim:
    """What is outside the box around all pixels of at least alpha ``least`` is cut off, but for ``margin`` pixels."""

    least: int = 1
    margin: int = 0

    def __post_init__(self) -> None:
        check_whole("least", self.least, 1, 255)
        check_whole("margin", self.margin, 0, 1024)


def trim(sprites: Sequence[Sprite], settings: Trim) -> list[Sprite]:
    """The sprites cut to what is visible, with their offsets and the sizes of their sources."""
    return [_trimmed(sprite, settings) for sprite in sprites]


def visible_box(picture: Images, least: int = 1, margin: int = 0) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, the last two exclusive, of what has at least alpha ``least``.

    Where nothing has, one pixel at the top left: no engine loads a picture without pixels.
    """
    visible = picture[..., 3] >= least
    if not visible.any():
        return 0, 0, 1, 1
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    left, top = max(int(columns[0]) - margin, 0), max(int(rows[0]) - margin, 0)
    right, bottom = min(int(columns[-1]) + 1 + margin, picture.shape[1]), min(int(rows[-1]) + 1 + margin, len(picture))
    return left, top, right, bottom


def _trimmed(sprite: Sprite, settings: Trim) -> Sprite:
    left, top, right, bottom = visible_box(sprite.pixels, settings.least, settings.margin)
    offset = sprite.offset[0] + left, sprite.offset[1] + top
    return replace(sprite, pixels=sprite.pixels[top:bottom, left:right], offset=offset)
