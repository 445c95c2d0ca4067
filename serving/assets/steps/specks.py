"""Specks: small islands of visible pixels beside the shape."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from core.images import Images
from serving.assets.settings import check_whole


@dataclass(frozen=True)
class Specks:
    """Islands of fewer than ``pixels`` visible pixels are cleared; the largest stays, however small it is."""

    pixels: int = 5

    def __post_init__(self) -> None:
        check_whole("pixels", self.pixels, 2, 65_536)


def specks(picture: Images, settings: Specks) -> Images:
    """The RGBA picture without its specks: connected components of alpha above 0, where corners connect too."""
    islands, count = ndimage.label(picture[..., 3] > 0, np.ones((3, 3)))
    if not count:
        return picture
    sizes = np.bincount(islands.ravel())
    sizes[0] = 0  # what is not visible is no island
    speck = (sizes < settings.pixels) & (sizes < sizes.max())
    speck[0] = False
    return np.where(speck[islands][..., None], np.uint8(0), picture)
