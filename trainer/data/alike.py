"""Pictures that look nearly like an earlier one: frames of an animation, variants, the same thing saved twice."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from core.images import Images

ALIKE = 0.2  # of what there is to see in two pictures is how far they may differ: most frames of a walk do
_SIDE = 16  # pixels that pictures are reduced to: eyes and hands are still there, single pixels are not
_BEFORE = 2048  # pictures that each is compared with at most: frames lie beside one another in the order of names
_AT_ONCE = 512
_FLAT = 1.0  # levels: where nothing is to be seen, nothing is alike

_Features = NDArray[np.float32]  # (n, side * side * channels)


def nearly_alike(pictures: Iterable[Images]) -> list[tuple[int, int]]:
    """(row, earlier row) of each picture that looks nearly like an earlier one, the most alike of them.

    ``pictures`` are uint8 ``(h, w, c)``. Each is reduced to 16x16, premultiplied, and its own mean colour taken off;
    alpha counts half.
    Two are nearly alike if the mean square of their difference is at most ALIKE² of their own mean squares. Memory
    holds the 2,048 before it, and time grows with the number of pictures alone.
    """
    found: list[tuple[int, int]] = []
    before, start = np.zeros((0, 0), np.float32), 0
    for new in _batches(pictures):
        # Each new picture beside those before it
        known = np.concatenate([before, new]) if start else new
        first = start + len(new) - len(known)
        distances = _distances(new, known)
        rows, earlier = np.arange(start, start + len(new)), np.arange(first, start + len(new))
        distances[earlier[None] >= rows[:, None]] = np.inf

        # The nearest, where it is near enough
        nearest = distances.argmin(axis=1)
        near = distances[np.arange(len(new)), nearest] <= ALIKE**2
        found += [(int(row), int(other)) for row, other in zip(rows[near], earlier[nearest[near]], strict=True)]
        before, start = known[-_BEFORE:], start + len(new)
    return found


def _batches(pictures: Iterable[Images]) -> Iterator[_Features]:
    rows: list[_Features] = []
    for picture in pictures:
        rows.append(_reduced(picture))
        if len(rows) == _AT_ONCE:
            yield np.stack(rows)
            rows = []
    if rows:
        yield np.stack(rows)


def _reduced(picture: Images) -> _Features:
    """The picture's means over 16x16 areas, flat, without its mean colour."""
    values = picture.astype(np.float32)
    if picture.shape[2] == 4:
        values[..., :3] *= values[..., 3:] / 255
        values[..., 3] /= 2  # coins of one shape and different faces are different coins
    for axis in (0, 1):
        side = values.shape[axis]
        starts = np.arange(min(side, _SIDE)) * side // min(side, _SIDE)
        lengths = np.diff(np.append(starts, side)).astype(np.float32)
        values = np.add.reduceat(values, starts, axis) / lengths.reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    features: _Features = (values - values.mean(axis=(0, 1))).ravel()
    return features


def _distances(new: _Features, known: _Features) -> _Features:
    """Mean squares of the differences over those of the pictures, ``(new, known)``; infinite where one is flat."""
    one, other = (new**2).mean(axis=1)[:, None], (known**2).mean(axis=1)[None]
    apart: _Features = (one + other - 2 * (new @ known.T) / new.shape[1]) / np.maximum((one + other) / 2, 1e-6)
    apart[(one < _FLAT) | (other < _FLAT)] = np.inf
    return apart
