"""Other sizes: enlarged by whole numbers, and padded to powers of two."""

from dataclasses import dataclass

import numpy as np

from core.images import Images, enlarged
from serving.assets.settings import check_choice, check_flag

PLACES = ("middle", "top-left", "bottom")


@dataclass(frozen=True)
class Enlarge:
    """Each pixel becomes a square of ``times`` by ``times``: nothing is blurred."""

    times: int = 2

    def __post_init__(self) -> None:
        check_choice("times", self.times, (2, 3, 4))


@dataclass(frozen=True)
class Pad:
    """Transparent pixels up to the next power of two, the longer side's for both if ``square``.

    ``at`` says where the picture then lies: in the "middle", at the "top-left", or in the middle of the "bottom".
    """

    at: str = "middle"
    square: bool = False

    def __post_init__(self) -> None:
        check_choice("at", self.at, PLACES)
        check_flag("square", self.square)


def enlarge(picture: Images, settings: Enlarge) -> Images:
    """The picture ``times`` as high and wide, by nearest neighbour."""
    return enlarged(picture, settings.times)


def pad(picture: Images, settings: Pad) -> Images:
    """The RGBA picture with sides that are powers of two. Where the padding is odd, the right and below get more."""
    height, width = picture.shape[:2]
    tall, wide = power_of_two(height), power_of_two(width)
    if settings.square:
        tall = wide = max(tall, wide)
    left = 0 if settings.at == "top-left" else (wide - width) // 2
    top = {"top-left": 0, "middle": (tall - height) // 2, "bottom": tall - height}[settings.at]
    return padded(picture, left, top, wide - width - left, tall - height - top)


def padded(picture: Images, left: int, top: int, right: int, bottom: int) -> Images:
    """The picture with so many rows and columns of zeros around it."""
    return np.pad(picture, ((top, bottom), (left, right), (0, 0)))


def power_of_two(number: int) -> int:
    """The smallest power of two that is at least ``number``, which is at least 1."""
    return 1 << (number - 1).bit_length()
