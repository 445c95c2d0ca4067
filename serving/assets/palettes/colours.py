"""Colours as people write them, and where the eye sees them."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import AssetError

RGB = tuple[int, int, int]
Floats = NDArray[np.float64]
MOST_COLOURS = 256  # of a palette: what an indexed PNG holds

# Ottosson 2020, "A perceptual color space for image processing": linear sRGB to cone responses, their roots to Lab.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


@dataclass(frozen=True)
class Palette:
    """1 to 256 different colours, in their order."""

    colours: tuple[RGB, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.colours) <= MOST_COLOURS:
            raise AssetError(f"a palette of {len(self.colours)} colours: give 1 to {MOST_COLOURS}")
        if len(set(self.colours)) < len(self.colours):
            twice = next(c for c in self.colours if self.colours.count(c) > 1)
            raise AssetError(f"the palette has {hex_of(twice)} twice: leave one out")


def rgb_of(name: str, text: object) -> RGB:
    """The colour that ``#rrggbb`` says. Raises AssetError, about the setting ``name``, for anything else."""
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise AssetError(f"{name} is {text!r}: give a colour as six hexadecimal digits, such as '#ff8800'")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def hex_of(colour: RGB) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def oklab(colours: NDArray[np.uint8]) -> Floats:
    """sRGB levels ``(…, 3)`` as OKLab ``(…, 3)``: lightness 0 to 1, green to red, blue to yellow (Ottosson 2020)."""
    unit = colours.astype(np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    lab: Floats = np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T
    return lab


def from_oklab(lab: Floats) -> NDArray[np.uint8]:
    """The nearest sRGB levels, each channel clipped to what a screen shows."""
    linear = (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T
    linear = linear.clip(0, 1)
    unit = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(unit * 255).astype(np.uint8)
    return levels
