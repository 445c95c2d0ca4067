"""The order in which a run sees its images, as a pure function: nothing to save, nothing to restore."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError

Order = NDArray[np.int64]
OF_SOURCES = (1 << 32) + 1  # in the seed of the order of sources that are no pairs
_CLASSES = 1 << 32  # in the seed of the order of classes, where others have the number of a class


def indices(count: int, seed: int, start: int, length: int, *of: int) -> Order:
    """The images at positions ``start`` … ``start + length - 1`` of the training order, int64 ``(length,)``.

    Position ``p`` lies in epoch ``p // count``, and every epoch is a fresh permutation of ``count`` images. ``of`` are
    the numbers of another order of the same seed.
    """
    if count < 1:
        raise DataError("a pack without images has no training order: import at least one image")
    chosen = np.empty(length, np.int64)
    done = 0
    while done < length:
        epoch, offset = divmod(start + done, count)
        part = _permutation(count, seed, epoch, *of)[offset : offset + length - done]
        chosen[done : done + len(part)] = part
        done += len(part)
    return chosen


def balanced(members: Sequence[Order], seed: int, start: int, length: int) -> Order:
    """The images at positions ``start`` … of an order in which every class comes equally often, int64 ``(length,)``.

    ``members`` are the rows of each class, none empty. Every stretch of as many positions as there are classes shows
    each of them once, in an order of its own; a class shows its images in epochs like those of ``indices``.
    """
    chosen = np.empty(length, np.int64)
    for place in range(length):
        turn, slot = divmod(start + place, len(members))
        label = int(_of_class(len(members), seed, turn, _CLASSES)[slot])
        epoch, offset = divmod(turn, len(members[label]))
        chosen[place] = members[label][_of_class(len(members[label]), seed, epoch, label)[offset]]
    return chosen


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, epoch: int, *of: int) -> Order:
    # NumPy guarantees the stream of the legacy RandomState (NEP 19): a run resumed next year goes on as it began.
    state = np.random.SeedSequence((seed, epoch, *of)).generate_state(4)
    return np.random.RandomState(state).permutation(count).astype(np.int64)


# Every class is somewhere in an epoch of its own, and most of these permutations are short.
_of_class = lru_cache(maxsize=1024)(_permutation.__wrapped__)
