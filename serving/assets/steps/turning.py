"""Flips and quarter turns, which move every pixel and change none."""

from dataclasses import dataclass

import numpy as np

from core.images import Images
from serving.assets.settings import check_choice

AXES = {"left-right": 1, "up-down": 0}


@dataclass(frozen=True)
class Flip:
    """The picture in a mirror: "left-right" or "up-down" trade places."""

    trade: str = "left-right"

    def __post_init__(self) -> None:
        check_choice("trade", self.trade, AXES)


@dataclass(frozen=True)
class Turn:
    """The picture turned clockwise by 90, 180 or 270 degrees."""

    degrees: int = 90

    def __post_init__(self) -> None:
        check_choice("degrees", self.degrees, (90, 180, 270))


def flip(picture: Images, settings: Flip) -> Images:
    """The mirrored picture."""
    return np.ascontiguousarray(np.flip(picture, AXES[settings.trade]))


def turn(picture: Images, settings: Turn) -> Images:
    """The turned picture; a quarter turn trades height and width."""
    return np.ascontiguousarray(np.rot90(picture, -settings.degrees // 90))
