"""Where the weight of a sprite is: the picture moved there, or its pivot set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.images import Images
from serving.assets.settings import check_choice
from serving.assets.sprite import Sprite
from serving.assets.steps.trim import visible_box

PIVOTS = ("mass", "feet", "middle")


@dataclass(frozen=True)
class Pivot:
    """The sprite turns about the centre of its "mass", about its "feet", or about the "middle" of the picture.

    Feet are below the centre of mass, at the lower edge of what is visible.
    """

    at: str = "mass"

    def __post_init__(self) -> None:
        check_choice("at", self.at, PIVOTS)


def centre_of_mass(picture: Images) -> tuple[float, float]:
    """The mean of the pixels' centres, weighed by alpha, in pixels from the top left; the middle if none is visible."""
    alpha = picture[..., 3].astype(np.float64)
    mass = alpha.sum()
    if not mass:
        return picture.shape[1] / 2, picture.shape[0] / 2
    across = alpha.sum(0) @ (np.arange(picture.shape[1]) + 0.5)
    down = alpha.sum(1) @ (np.arange(picture.shape[0]) + 0.5)
    return float(across / mass), float(down / mass)


def centre(picture: Images) -> Images:
    """The RGBA picture moved by whole pixels so that its centre of mass is in the middle.

    It goes no further than to the border: nothing visible is lost.
    """
    left, top, right, bottom = visible_box(picture)
    x, y = centre_of_mass(picture)
    height, width = picture.shape[:2]
    right_by = int(np.clip(np.floor(width / 2 - x + 0.5), -left, width - right))
    down_by = int(np.clip(np.floor(height / 2 - y + 0.5), -top, height - bottom))
    moved = np.zeros_like(picture)
    moved[top + down_by : bottom + down_by, left + right_by : right + right_by] = picture[top:bottom, left:right]
    return moved


def pivot(sprites: Sequence[Sprite], settings: Pivot) -> list[Sprite]:
    """The sprites with the point that they turn about, in shares of their sources' sizes."""
    return [replace(sprite, pivot=_pivot_of(sprite, settings.at)) for sprite in sprites]


def _pivot_of(sprite: Sprite, at: str) -> tuple[float, float]:
    if at == "middle":
        return 0.5, 0.5
    x, y = centre_of_mass(sprite.pixels)
    if at == "feet":
        y = visible_box(sprite.pixels)[3]
    return (x + sprite.offset[0]) / sprite.source[0], (y + sprite.offset[1]) / sprite.source[1]
