"""The order in which a run sees its images, as a pure function: nothing to save, nothing to restore."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError

Order = NDArray[np.int64]


def indices(count: int, seed: int, start: int, length: int) -> Order:
    """The images at positions ``start`` … ``start + length - 1`` of the training order, int64 ``(length,)``.

    Position ``p`` lies in epoch ``p // count``, and every epoch is a fresh permutation of ``count`` images.
    """
    if count < 1:
        raise DataError("a pack without images has no training order: import at least one image")
    chosen = np.empty(length, np.int64)
    done = 0
    while done < length:
        epoch, offset = divmod(start + done, count)
        part = _permutation(count, seed, epoch)[offset : offset + length - done]
        chosen[done : done + len(part)] = part
        done += len(part)
    return chosen


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> Order:
    # NumPy guarantees the stream of the legacy RandomState (NEP 19): a run resumed next year goes on as it began.
    state = np.random.SeedSequence((seed, epoch)).generate_state(4)
    return np.random.RandomState(state).permutation(count).astype(np.int64)
