"""Fréchet distance between two sets of features, each taken for a Gaussian (Heusel et al. 2017, equation 6)."""

import torch
from torch import Tensor


def frechet_distance(fakes: Tensor, reals: Tensor) -> float:
    """The distance between features ``(m, d)`` and ``(n, d)``, at least 2 of each.

    Biased upwards, the more the fewer samples there are (Chong and Forsyth 2020): compare only figures of equal
    sample counts, and see what two halves of the real images give.
    """
    return frechet_between(*_gaussian(fakes), *_gaussian(reals))


def frechet_between(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½) in double precision: means ``(d,)``, covariances ``(d, d)``.

    The eigenvalues of Σ₁Σ₂ are those of the symmetric Σ₁^½ Σ₂ Σ₁^½, which are real, also for fewer samples
    than dimensions.
    """
    mean1, covariance1, mean2, covariance2 = (t.double() for t in (mean1, covariance1, mean2, covariance2))
    root = _root(covariance1)
    shared = torch.linalg.eigvalsh(root @ covariance2 @ root).clamp(min=0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + covariance1.trace() + covariance2.trace() - 2 * shared)


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(d,)`` and unbiased covariance ``(d, d)`` of ``(n, d)``."""
    features = features.double()
    centred = features - features.mean(dim=0)
    return features.mean(dim=0), centred.T @ centred / (len(features) - 1)


def _root(covariance: Tensor) -> Tensor:
    """The square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
