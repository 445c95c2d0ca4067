"""Precision and recall of generators (Kynkäänniemi et al. 2019, section 2), and the distances they are made of."""

import torch
from torch import Tensor

ROWS = 1024  # of the distance matrix in memory at once
# Of the features' spread: nearer than this is the same picture, whose features differ by rounding alone.
_SAME = 1e-3


def precision_recall(fakes: Tensor, reals: Tensor, k: int = 3) -> tuple[float, float]:
    """Precision and recall of features ``(m, d)`` against ``(n, d)``, more than ``k`` of each, by equations 1 and 2.

    A set's manifold is the union of balls around its features, each as large as the distance to its ``k``-th
    nearest neighbour in the set. Precision is the share of fakes in the manifold of the reals, recall the share of
    reals in that of the fakes. Both depend on m and n: take as many of one as of the other.
    A picture that is there twice is one feature of its set's manifold, for its twin would make its ball a point.
    """
    return _inside(fakes, reals, k), _inside(reals, fakes, k)


def distinct(features: Tensor) -> Tensor:
    """The rows of ``(n, d)`` that equal no earlier one, int64 and rising: the first of each picture that is there."""
    centred = features.double() - features.double().mean(dim=0)
    spread = float(centred.square().sum(dim=1).mean().sqrt())
    nearest = _SAME * spread + 1e-9 * float(features.abs().max())
    parts = torch.split(centred, ROWS)
    first = [(torch.cdist(rows, centred) <= nearest).byte().argmax(dim=1) for rows in parts]  # of several, the first
    return torch.nonzero(torch.cat(first) == torch.arange(len(features))).flatten()


def neighbours(points: Tensor, others: Tensor, k: int, same: bool = False) -> tuple[Tensor, Tensor]:
    """Distances and indices, each ``(n, k)``, of the ``k`` nearest of ``others`` to each of ``points``, nearest first.

    ``same``: the two are one set, and no point is its own neighbour.
    """
    parts = []
    for start in range(0, len(points), ROWS):
        distances = torch.cdist(points[start : start + ROWS].double(), others.double())  # (rows, m)
        if same:
            distances.diagonal(offset=start).fill_(float("inf"))
        parts.append(distances.topk(k, dim=1, largest=False))
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _inside(points: Tensor, support: Tensor, k: int) -> float:
    """The share of ``points`` that lie in the manifold of ``support``."""
    support = support[distinct(support)]
    if len(support) == 1:  # of a generator that always makes one picture
        return float((torch.cdist(points.double(), support.double()) == 0).double().mean())
    radii = neighbours(support, support, min(k, len(support) - 1), same=True)[0][:, -1]  # (m,)
    within = [(torch.cdist(rows.double(), support.double()) <= radii).any(dim=1) for rows in torch.split(points, ROWS)]
    return float(torch.cat(within).double().mean())
