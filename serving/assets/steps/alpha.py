"""What becomes of alpha: faint pixels cleared, edges made hard, colour multiplied by it."""

from dataclasses import dataclass

import numpy as np

from core.images import Images, clear_hidden_colour
from serving.assets.settings import check_whole


@dataclass(frozen=True)
class Threshold:
    """Alpha under ``below`` becomes 0. A generator leaves a veil of alpha 1 to 19 that the eye does not see."""

    below: int = 20

    def __post_init__(self) -> None:
        check_whole("below", self.below, 1, 255)


@dataclass(frozen=True)
class OneBit:
    """Alpha from ``at`` on becomes 255, all other 0: the hard edge of pixel art."""

    at: int = 128

    def __post_init__(self) -> None:
        check_whole("at", self.at, 1, 255)


def threshold(picture: Images, settings: Threshold) -> Images:
    """The RGBA picture with every pixel of less alpha than ``below`` cleared, its colour too."""
    return clear_hidden_colour(_with_alpha(picture, np.where(picture[..., 3] < settings.below, 0, picture[..., 3])))


def one_bit(picture: Images, settings: OneBit) -> Images:
    """The RGBA picture with alpha 0 or 255."""
    return clear_hidden_colour(_with_alpha(picture, np.where(picture[..., 3] < settings.at, 0, 255)))


def premultiply(picture: Images) -> Images:
    """Colour times alpha, rounded to the nearest level (Porter and Duff 1984, "Compositing digital images")."""
    alpha = picture[..., 3:].astype(np.uint32)
    colour = ((picture[..., :3] * alpha + 127) // 255).astype(np.uint8)  # 255 is odd: nothing lies half way
    return np.concatenate([colour, picture[..., 3:]], axis=2)


def _with_alpha(picture: Images, alpha: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Images:
    return np.concatenate([picture[..., :3], alpha[..., None].astype(np.uint8)], axis=2)
