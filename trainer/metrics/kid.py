"""Kernel distance between two sets of features (KID: Bińkowski et al. 2018, section 4)."""

import numpy as np
import torch
from torch import Tensor

ROWS = 1024  # of the kernel matrix in memory at once


def kid(fakes: Tensor, reals: Tensor) -> float:
    """The unbiased estimate of MMD² between features ``(m, d)`` and ``(n, d)``, m and n at least 2; may be below 0.

    MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y), x ≠ x' and y ≠ y', with k(x, y) = (x·y/d + 1)³.
    Computed in double precision: near 0 it is a small difference of large numbers.
    """
    x, y = fakes.double(), reals.double()
    (m, n), own = (len(x), len(y)), (_diagonal(x), _diagonal(y))
    within = (_total(x, x) - own[0]) / (m * (m - 1)) + (_total(y, y) - own[1]) / (n * (n - 1))
    return within - 2 * _total(x, y) / (m * n)


def kid_over_subsets(fakes: Tensor, reals: Tensor, size: int, count: int, seed: int = 0) -> tuple[float, float]:
    """Mean and standard deviation of ``kid`` over ``count`` random subsets of ``size`` features of each set."""
    random = np.random.RandomState(seed)
    found = [kid(_subset(fakes, size, random), _subset(reals, size, random)) for _ in range(count)]
    return float(np.mean(found)), float(np.std(found))


def _subset(features: Tensor, size: int, random: np.random.RandomState) -> Tensor:
    return features[random.permutation(len(features))[:size]]


def _total(x: Tensor, y: Tensor) -> float:
    """The sum of k(x, y) over all pairs."""
    return sum((float((rows @ y.T / x.shape[1] + 1).pow(3).sum()) for rows in torch.split(x, ROWS)), 0.0)


def _diagonal(x: Tensor) -> float:
    """The sum of k(x, x) over each x with itself."""
    return float((x.square().sum(dim=1) / x.shape[1] + 1).pow(3).sum())
