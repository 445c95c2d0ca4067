"""An outline around the shape."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from core.images import Images
from serving.assets.palettes.colours import rgb_of
from serving.assets.settings import check_choice, check_flag, check_whole
from serving.assets.steps.sizes import padded

SHAPES = {"round": 1, "square": 2}  # how many axes a pixel's neighbour may differ in


@dataclass(frozen=True)
class Outline:
    """``width`` pixels of ``colour`` around what has at least alpha ``at``; "square" goes around corners, too.

    The picture grows by the width on every side, unless ``grow`` is false.
    """

    colour: str = "#000000"
    width: int = 1
    shape: str = "round"
    at: int = 128
    grow: bool = True

    def __post_init__(self) -> None:
        rgb_of("colour", self.colour)
        check_whole("width", self.width, 1, 64)
        check_choice("shape", self.shape, SHAPES)
        check_whole("at", self.at, 1, 255)
        check_flag("grow", self.grow)


def outline(picture: Images, settings: Outline) -> Images:
    """The RGBA picture over its own shape, dilated and filled with one colour."""
    if settings.grow:
        picture = padded(picture, *[settings.width] * 4)
    shape = picture[..., 3] >= settings.at
    neighbours = ndimage.generate_binary_structure(2, SHAPES[settings.shape])
    around = ndimage.binary_dilation(shape, neighbours, settings.width) & ~shape
    return np.where(around[..., None], _over(picture, rgb_of("colour", settings.colour)), picture)


def _over(picture: Images, colour: tuple[int, int, int]) -> Images:
    """The RGBA picture over an opaque colour, as RGBA, rounded to the nearest level."""
    alpha = picture[..., 3:].astype(np.uint32)
    mixed = (picture[..., :3] * alpha + np.array(colour, np.uint32) * (255 - alpha) + 127) // 255
    opaque: Images = np.concatenate([mixed, np.full_like(alpha, 255)], axis=2).astype(np.uint8)
    return opaque
