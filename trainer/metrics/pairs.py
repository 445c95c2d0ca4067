"""Figures of translations: results beside the targets they should be, as pure functions of uint8 ``(n, h, w, c)``.

Each gives a figure for every image, float64 ``(n,)``, so that the best and the worst can be shown; NaN where an image
has nothing to measure. L1 figures are in levels of 255.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.images import Images, over_background
from core.pixels import to_values

Values = NDArray[np.float64]  # (n,)
Mask = NDArray[np.bool_]  # (n, h, w)

ALPHA = 128  # from which on a pixel belongs to a shape
OPAQUE = 255
PEAK = 255.0
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # Wang et al. 2004, section III
_ROWS = 64  # images in memory at once


def l1(results: Images, targets: Images) -> Values:
    """The mean absolute difference of premultiplied values, alpha among them: mean |x - y|."""
    return _in_parts(lambda x, y: (_premultiplied(x) - _premultiplied(y)).abs().mean(dim=(1, 2, 3)), results, targets)


def l1_within(results: Images, targets: Images, where: Mask) -> Values:
    """The mean absolute difference of RGB over white, of the pixels ``where`` it is looked at: mean |x - y|."""

    def within(x: Images, y: Images, chosen: Mask) -> Tensor:
        error = torch.from_numpy(np.abs(_over_white(x) - _over_white(y)).mean(axis=3))  # (n, h, w)
        mask = torch.from_numpy(chosen).double()
        return (error * mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2))  # 0 / 0 is NaN

    return _in_parts(within, results, targets, where)


def alpha_iou(results: Images, targets: Images) -> Values:
    """The overlap of shapes, which are the pixels of alpha ``ALPHA`` and more: |A ∩ B| / |A ∪ B|, 1 where none has any.

    NaN without an alpha channel.
    """
    if targets.shape[3] != 4:
        return np.full(len(targets), np.nan)
    ours, theirs = results[..., 3] >= ALPHA, targets[..., 3] >= ALPHA
    common, either = (ours & theirs).sum(axis=(1, 2)), (ours | theirs).sum(axis=(1, 2))
    return np.where(either == 0, 1.0, common / np.maximum(either, 1))


def psnr(results: Images, targets: Images) -> Values:
    """The peak signal-to-noise ratio of RGB over white, in dB: 10 log10(255² / mean (x - y)²).

    So that equal images have a number too, the mean is at least that of one value off by one level.
    """

    def ratio(x: Images, y: Images) -> Tensor:
        squared = torch.from_numpy(np.square(_over_white(x) - _over_white(y)).reshape(len(x), -1))
        return 10 * torch.log10(PEAK**2 / squared.mean(dim=1).clamp(min=1 / squared.shape[1]))

    return _in_parts(ratio, results, targets)


def ssim(results: Images, targets: Images) -> Values:
    """Structural similarity of RGB over white (Wang et al. 2004, equation 13), the mean over channels and windows.

    Windows are Gaussian, ``WINDOW`` pixels wide and of deviation ``SIGMA``, and lie wholly within the image. An image
    that is smaller has windows of the largest odd number of pixels that it holds.
    """
    window = _gaussian(min(WINDOW, (min(targets.shape[1:3]) - 1) // 2 * 2 + 1))
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2

    def similarity(first: Images, second: Images) -> Tensor:
        x, y = (torch.from_numpy(_over_white(each)).permute(0, 3, 1, 2) for each in (first, second))  # (n, 3, h, w)
        mean_x, mean_y = _blur(x, window), _blur(y, window)
        var_x, var_y = _blur(x * x, window) - mean_x**2, _blur(y * y, window) - mean_y**2
        covariance = _blur(x * y, window) - mean_x * mean_y
        above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        return (above / below).mean(dim=(1, 2, 3))

    return _in_parts(similarity, results, targets)


def distance(results: Tensor, targets: Tensor) -> Values:
    """How far the features ``(n, d)`` of each result are from those of its target: ‖f(x) - f(y)‖."""
    found: Values = (results.double() - targets.double()).norm(dim=1).numpy()
    return found


def mean_of(values: Values) -> float | None:
    """The mean over the images that have the figure; None where none has."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else None


def _in_parts(figure: Callable[..., Tensor], *stacks: NDArray[Any]) -> Values:
    """``figure`` of a few images at a time."""
    parts = [figure(*(stack[start : start + _ROWS] for stack in stacks)) for start in range(0, len(stacks[0]), _ROWS)]
    return np.concatenate([part.double().numpy() for part in parts])


def _premultiplied(images: Images) -> Tensor:
    """``(n, c, h, w)`` in levels of 255."""
    return to_values(torch.from_numpy(np.ascontiguousarray(images)), (0.0, PEAK)).double()


def _over_white(images: Images) -> NDArray[np.float64]:
    """RGB ``(n, h, w, 3)``."""
    return over_background(images).astype(np.float64)


def _gaussian(width: int) -> Tensor:
    """``(width,)``, the sum 1."""
    steps = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    window = torch.exp(-(steps**2) / (2 * SIGMA**2))
    return window / window.sum()


def _blur(values: Tensor, window: Tensor) -> Tensor:
    """Weighted means of all windows within ``(n, c, h, w)``, as ``(n, c, h - k + 1, w - k + 1)``."""
    channels = values.shape[1]
    down, across = window.view(1, 1, -1, 1), window.view(1, 1, 1, -1)
    across_mean = F.conv2d(values, across.expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(across_mean, down.expand(channels, 1, -1, 1), groups=channels)
