"""A palette that several pictures share, learned from all of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import AssetError
from core.images import Images
from serving.assets.palettes.colours import Floats, Palette, from_oklab, oklab

_ROUNDS = 32  # of moving centres, which mostly rest after ten


def learn(pictures: Sequence[Images], most: int) -> Palette:
    """At most ``most`` colours for RGBA pictures, dark to light; where they have no more, exactly theirs.

    In OKLab, weighed by how much is seen of a colour: the group that errs most is split at its mean along its widest
    axis (Orchard and Bouman 1991, with axes for eigenvectors), then the centres move to their groups' means (Lloyd
    1982). The order of the pictures changes nothing.
    """
    colours, weights = _seen(pictures)
    if not len(colours):
        raise AssetError("nothing is visible in these pictures: there are no colours to learn")
    if len(colours) > most:
        lab = oklab(colours)
        centres = _settled(lab, weights, _split(lab, weights, most))
        colours = np.unique(from_oklab(centres), axis=0)
    order = np.argsort(oklab(colours)[:, 0], kind="stable")
    return Palette(tuple((int(r), int(g), int(b)) for r, g, b in colours[order]), "learned")


def _seen(pictures: Sequence[Images]) -> tuple[NDArray[np.uint8], Floats]:
    """The different colours ``(n, 3)``, sorted, and the sums of their alpha ``(n,)``."""
    pixels = np.concatenate([picture.reshape(-1, 4) for picture in pictures] or [np.zeros((0, 4), np.uint8)])
    pixels = pixels[pixels[:, 3] > 0]
    colours, which = np.unique(pixels[:, :3], axis=0, return_inverse=True)
    return colours, np.bincount(which.ravel(), pixels[:, 3], len(colours)).astype(np.float64)


def _split(lab: Floats, weights: Floats, most: int) -> Floats:
    """``most`` centres, or fewer, by splitting again and again what errs most."""
    groups = [np.arange(len(lab))]
    while len(groups) < most:
        spreads = [_spread(lab[group], weights[group]) for group in groups]
        worst = max(range(len(groups)), key=lambda index: spreads[index].max())
        if spreads[worst].max() <= 0:
            break
        group, axis = groups[worst], int(spreads[worst].argmax())
        low = lab[group, axis] <= np.average(lab[group, axis], weights=weights[group])
        if low.all():  # the mean of nearly equal values is rounded up to the largest
            break
        groups[worst : worst + 1] = [group[low], group[~low]]
    return np.array([np.average(lab[group], axis=0, weights=weights[group]) for group in groups])


def _spread(lab: Floats, weights: Floats) -> Floats:
    """The weighed squared error of each axis; 0 where there is but one colour."""
    if len(lab) == 1:
        return np.zeros(3)
    spread: Floats = weights @ (lab - np.average(lab, axis=0, weights=weights)) ** 2
    return spread


def _settled(lab: Floats, weights: Floats, centres: Floats) -> Floats:
    """The centres where Lloyd's rounds leave them; one without colours stays."""
    for _ in range(_ROUNDS):
        mine = np.argmin(((lab[:, None] - centres) ** 2).sum(2), axis=1)
        mass = np.bincount(mine, weights, len(centres))
        sums = np.stack([np.bincount(mine, weights * lab[:, axis], len(centres)) for axis in range(3)], axis=1)
        moved = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-9)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres
