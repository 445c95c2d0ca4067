"""Alpha bleed: colour under transparency, so that a linear filter does not mix black into edges."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from core.images import Images
from serving.assets.settings import check_whole


@dataclass(frozen=True)
class Bleed:
    """Pixels of alpha 0 take the colour of the nearest pixel of at least alpha ``least``; of faint ones it is noise."""

    least: int = 1

    def __post_init__(self) -> None:
        check_whole("least", self.least, 1, 255)


def bleed(picture: Images, settings: Bleed) -> Images:
    """The RGBA picture, alpha as it was, with colour where alpha is 0: that of the nearest visible pixel.

    Nearest by Euclidean distance, exactly (Maurer, Qi and Raghavan 2003). A picture without such a pixel stays.
    """
    giving = picture[..., 3] >= settings.least
    if not giving.any():
        return picture
    rows, columns = ndimage.distance_transform_edt(~giving, return_distances=False, return_indices=True)
    colour = np.where(picture[..., 3:] == 0, picture[rows, columns, :3], picture[..., :3])
    return np.concatenate([colour, picture[..., 3:]], axis=2)
