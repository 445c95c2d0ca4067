"""A picture of any size as what a translator takes, as its pack was fitted, and the result as a picture like it."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import numpy as np
from PIL import Image

from core.errors import RequestRefused
from core.fitting import fit, place_of, resampling_for
from core.images import Images, clear_hidden_colour, drop_idle_alpha, from_pillow, to_pillow, with_channels
from core.sizes import Size
from core.spec import AUTO, GeneratorSpec, SourceSpec

_MODES = ("L", "RGB", "RGBA")
_ALIKE = {"1": "L", "LA": "RGBA", "La": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB"}


class Plan(Protocol):
    """What becomes of one picture: the sources to be translated, and what is made of their results."""

    def sources(self) -> Iterator[Images]:
        """Pictures ``(H, W, C)`` as the translator takes them, at least one."""

    def made_of(self, results: Iterator[Images]) -> Images:
        """The result of the whole, of as many results as there were sources."""


class Fitted:
    """A picture that is fitted to the source's size as ``data import`` fitted the pack.

    The result is the part of the translator's picture where all of this one lies, in its proportions; the whole where
    there is no such part, where its edges lie between pixels, or with ``margins``.
    """

    def __init__(self, picture: Image.Image, spec: GeneratorSpec, margins: bool = False) -> None:
        source = source_of(spec)
        size = Size(source.height, source.width, source.height, source.width, 0)  # of foreign ones it may be any
        resample = source.resample
        if resample == AUTO:
            resample = resampling_for(picture, size, source.fit)
        self._source = in_channels(fit(picture, size, source.fit, resample), picture, source)
        place = None if margins else place_of(picture.size, size, source.fit, resample)
        self._place = _scaled(place, spec) if place else None

    def sources(self) -> Iterator[Images]:
        """The one picture."""
        yield self._source

    def made_of(self, results: Iterator[Images]) -> Images:
        """The result, or the part of it that is the picture's."""
        result = next(results)
        if self._place is None:
            return result
        left, top, right, bottom = self._place
        return result[top:bottom, left:right]


def source_of(spec: GeneratorSpec) -> SourceSpec:
    """What a translator takes."""
    assert spec.source is not None
    return spec.source


def as_pillow(picture: Images | Image.Image) -> Image.Image:
    """A picture as L, RGB or, where a pixel of it is transparent, RGBA: as ``data import`` reads files.

    Raises RequestRefused for anything that is not a picture, or has more than 8 bits a channel.
    """
    return drop_idle_alpha(_in_a_mode_of_ours(picture))


def _in_a_mode_of_ours(picture: Images | Image.Image) -> Image.Image:
    if isinstance(picture, Image.Image):
        if picture.mode in _MODES:
            return picture
        mode = ("RGBA" if picture.has_transparency_data else "RGB") if picture.mode == "P" else _ALIKE.get(picture.mode)
        if mode is None:
            raise RequestRefused(
                f"a picture of the mode {picture.mode} cannot be translated: convert it to RGB or RGBA"
            )
        return picture.convert(mode)

    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise RequestRefused(
            f"a picture is uint8 (height, width, channels) of 1, 3 or 4 channels, not {array.dtype} {array.shape}"
        )
    return to_pillow(array)


def in_channels(fitted: Images, picture: Image.Image, source: SourceSpec) -> Images:
    """RGBA ``(h, w, 4)`` in the source's channels, as ``data import`` has them."""
    opaque = picture.mode != "RGBA"
    return np.ascontiguousarray(clear_hidden_colour(with_channels(fitted, opaque, source.channels)))


def rgba_of(picture: Image.Image) -> Images:
    """A picture as it is, RGBA ``(h, w, 4)``."""
    return from_pillow(picture, 4)


def factors(spec: GeneratorSpec) -> tuple[Fraction, Fraction]:
    """How many times as high and as wide as its source a translator's result is."""
    source = source_of(spec)
    return Fraction(spec.height, source.height), Fraction(spec.width, source.width)


def _scaled(place: tuple[int, int, int, int], spec: GeneratorSpec) -> tuple[int, int, int, int] | None:
    """The place in the result; None where an edge lies between pixels."""
    down, across = factors(spec)
    left, top, right, bottom = place[0] * across, place[1] * down, place[2] * across, place[3] * down
    edges = (left, top, right, bottom)
    if any(edge.denominator != 1 for edge in edges):
        return None
    return int(left), int(top), int(right), int(bottom)
