"""How far images are from those that they should be: exactly, or as a person sees it. Torch-free."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.images import Images

# Runtimes add up in other orders at other batch sizes, so an image may differ by rounding, never by more.
MOST_LEVELS = 1


def levels_apart(images: Images, expected: Images) -> int:
    """The largest difference in any pixel, in levels of 255; 256 where the shapes differ."""
    if images.shape != expected.shape or images.dtype != expected.dtype:
        return 256
    return int(np.abs(images.astype(np.int16) - expected.astype(np.int16)).max(initial=0))


def relative_difference(values: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference of numbers of one shape, as a share of the largest of those expected; NaN if any is."""
    return float(np.abs(values - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-9))


@dataclass(frozen=True)
class Difference:
    """How far two stacks of images are apart: at most, in levels of 255, and the share of pixels that differ at all."""

    levels: int
    pixels: float

    @classmethod
    def between(cls, images: Images, expected: Images) -> "Difference":
        """Stacks ``(n, h, w, c)``; other shapes are 256 levels apart in every pixel."""
        levels = levels_apart(images, expected)
        if levels > 255:
            return cls(levels, 1.0)
        return cls(levels, float((images != expected).any(axis=-1).mean()))


@dataclass(frozen=True)
class VisibleDifference:
    """How far two stacks of images are apart as they are seen: on average and at most, in levels of 255, and as PSNR.

    RGBA is compared premultiplied: straight colour under nearly no alpha differs where nobody could tell.
    """

    mean: float
    most: float
    psnr: float

    @classmethod
    def between(cls, images: Images, expected: Images) -> "VisibleDifference":
        """Stacks ``(n, h, w, c)``; other shapes are 256 levels apart. PSNR is 100 at most, so that JSON can hold it."""
        if images.shape != expected.shape:
            return cls(256.0, 256.0, 0.0)
        apart = np.abs(_seen(images) - _seen(expected))
        error = float(np.square(apart / 255).mean(dtype=np.float64))
        psnr = min(100.0, -10 * np.log10(error)) if error else 100.0
        return cls(round(float(apart.mean(dtype=np.float64)), 4), round(float(apart.max()), 2), round(psnr, 2))

    def __str__(self) -> str:
        return f"mean {self.mean:.3f} and at most {self.most:.1f} of 255 levels apart, PSNR {self.psnr:.1f} dB"


def _seen(images: Images) -> NDArray[np.float32]:
    """Levels as they are seen: colour times alpha where there is alpha, ``(n, h, w, c)``."""
    levels = images.astype(np.float32)
    if images.shape[-1] == 4:
        levels[..., :3] *= levels[..., 3:] / 255
    return levels
