"""A sprite sheet cut into cells."""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from PIL import Image

from core.errors import ConfigError, DataError
from core.images import clear_hidden_colour, from_pillow
from trainer.data.reading import drop_idle_alpha

Grid = tuple[int, int]  # width and height of a cell in pixels


def parse_grid(text: str) -> Grid:
    """``"32x24"`` (cells 32 pixels wide and 24 high) or ``"32"`` (square) as (width, height)."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() and int(side) > 0 for side in sides):
        raise ConfigError(f"--grid {text} is not a cell size: write WIDTHxHEIGHT in pixels, 32x32")
    return int(sides[0]), int(sides[-1])


def check_grid(sheet: Image.Image, grid: Grid) -> None:
    """Raise DataError with a short reason if the cells do not divide the sheet."""
    width, height = grid
    if sheet.width % width or sheet.height % height:
        raise DataError(f"{sheet.width} x {sheet.height} pixels do not divide into cells of {width} x {height}")


def cells(sheet: Image.Image, grid: Grid) -> Iterator[Image.Image]:
    """The cells of a sheet, row by row."""
    width, height = grid
    for top in range(0, sheet.height, height):
        for left in range(0, sheet.width, width):
            yield drop_idle_alpha(sheet.crop((left, top, left + width, top + height)))


def is_empty(cell: Image.Image) -> bool:
    """Whether nothing is in it: fully transparent, or a single colour."""
    pixels = clear_hidden_colour(from_pillow(cell, 4))
    return bool((pixels == pixels[0, 0]).all())


def identity(cell: Image.Image) -> bytes:
    """A digest that two cells of one sheet size share only if they look the same."""
    return blake2b(np.ascontiguousarray(clear_hidden_colour(from_pillow(cell, 4))).data, digest_size=16).digest()
