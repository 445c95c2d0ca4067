"""Pictures in the colours of a palette."""

import numpy as np
from numpy.typing import NDArray

from core.images import Images
from serving.assets.palettes.colours import Floats, Palette, oklab

DITHERS = {"none": 1, "bayer2": 2, "bayer4": 4, "bayer8": 8}  # sides of the matrix
_AT_ONCE = 1 << 20  # pairs of a colour and a palette's colour
_CONTRAST = 0.1  # how much a mixture of two colours that differ is held against it: it flickers
Indices = NDArray[np.intp]


def nearest(colours: NDArray[np.uint8], palette: Palette) -> Indices:
    """For each of ``(n, 3)`` colours the nearest of the palette in OKLab, the first of equally near ones: ``(n,)``."""
    lab, among = oklab(colours), oklab(np.array(palette.colours, np.uint8))
    step = max(_AT_ONCE // len(among), 1)
    parts = [_distances(lab[at : at + step], among).argmin(1) for at in range(0, len(lab), step)]
    return np.concatenate(parts) if parts else np.zeros(0, np.intp)


def locked(picture: Images, palette: Palette, dither: str = "none") -> Images:
    """The RGBA picture in colours of the palette alone, hidden ones too; alpha stays.

    With ``dither`` a colour between two of the palette becomes a pattern of both; one of the palette stays as it is.
    """
    colours, which = np.unique(picture[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    which = which.reshape(picture.shape[:2])
    if dither == "none":
        chosen = nearest(colours, palette)[which]
    else:
        first, second, share = mixtures(colours, palette)
        turns = share[which] > thresholds(picture.shape[0], picture.shape[1], DITHERS[dither])
        chosen = np.where(turns & (picture[..., 3] > 0), second[which], first[which])
    return np.concatenate([np.array(palette.colours, np.uint8)[chosen], picture[..., 3:]], axis=2)


def mixtures(colours: NDArray[np.uint8], palette: Palette) -> tuple[Indices, Indices, Floats]:
    """For each of ``(n, 3)`` colours the nearest of the palette, another, and the share of it, 0 to a half.

    The other is the one with which the mixture comes nearest to the colour, where contrast counts against it (after
    Yliluoma, "Arbitrary-palette positional dithering algorithm"). In OKLab.
    """
    first = nearest(colours, palette)
    second, share = np.zeros_like(first), np.zeros(len(first))
    lab, among = oklab(colours), oklab(np.array(palette.colours, np.uint8))
    step = max(_AT_ONCE // len(among), 1)
    for at in range(0, len(lab), step):
        rows = slice(at, at + step)
        second[rows], share[rows] = _partner(lab[rows], among[first[rows]], among)
    return first, second, share


def thresholds(height: int, width: int, side: int) -> Floats:
    """Bayer's matrix (1973, "An optimum method for two-level rendition"), repeated: shares from above 0 to below 1."""
    matrix = np.zeros((1, 1))
    while len(matrix) < side:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    rows, columns = np.indices((height, width)) % side
    values: Floats = (matrix[rows, columns] + 0.5) / side**2
    return values


def _distances(lab: Floats, among: Floats) -> Floats:
    squares: Floats = ((lab[:, None] - among) ** 2).sum(2)
    return squares


def _partner(lab: Floats, near: Floats, among: Floats) -> tuple[Indices, Floats]:
    """For ``(n, 3)`` colours beside their nearest ones which of ``(p, 3)`` to mix in, and how much of it."""
    way = among - near[:, None]  # (n, p, 3)
    length = (way**2).sum(2)
    along = ((lab - near)[:, None] * way).sum(2)
    share = np.clip(np.divide(along, length, out=np.zeros_like(length), where=length > 0), 0, 0.5)
    error = ((lab[:, None] - near[:, None] - share[..., None] * way) ** 2).sum(2)
    best = (error + _CONTRAST * share * (1 - share) * length).argmin(1)
    return best, share[np.arange(len(best)), best]
