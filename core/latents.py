"""Seeds to latents. A seed means the same picture everywhere, so this stream never changes."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import RequestRefused

ALGORITHM = "numpy.random.RandomState(seed).standard_normal(dim).astype(float32)"
LAST_SEED = 2**32 - 1
MOST_SEEDS = 10_000_000


def latents(seeds: Sequence[int], dim: int) -> NDArray[np.float32]:
    """One standard normal latent per seed, float32 ``(len(seeds), dim)``.

    Row *i* depends on ``seeds[i]`` alone. NumPy guarantees the stream of the legacy ``RandomState``
    (NEP 19), so a seed stays the same latent in every release.
    """
    rows = np.empty((len(seeds), dim), np.float32)
    stream = np.random.RandomState(0)  # making one takes a hundred times as long as seeding it again
    for row, seed in enumerate(seeds):
        stream.seed(_valid(seed))
        rows[row] = stream.standard_normal(dim)
    return rows


def parse_seeds(text: str) -> list[int]:
    """``"0-63"``, ``"7"`` or ``"0-3,9,20-22"`` as a list of seeds in the order written."""
    return list(itertools.chain.from_iterable(parse_ranges(text)))


def parse_ranges(text: str) -> tuple[range, ...]:
    """What ``parse_seeds`` reads, as ranges: ten million seeds cost no memory."""
    ranges: list[range] = []
    count = 0

    for part in text.split(","):
        first, _, last = (end.strip() for end in part.partition("-"))
        last = last or first
        if not (first.isdecimal() and last.isdecimal()) or "-" in part.strip()[-1:]:
            raise RequestRefused(f"'{text}' is not a list of seeds: write 7, 0-63 or 0-3,9,20-22")
        start, stop = int(first), _valid(int(last))
        if stop < start:
            raise RequestRefused(f"the seeds {part.strip()} run backwards: write {last}-{first}")
        ranges.append(range(start, stop + 1))
        count += len(ranges[-1])
        if count > MOST_SEEDS:
            raise RequestRefused(f"more than {MOST_SEEDS} seeds in one command: split the range")

    return tuple(ranges)


def _valid(seed: int) -> int:
    if not 0 <= seed <= LAST_SEED:
        raise RequestRefused(f"the seed {seed} is outside 0 … {LAST_SEED}")
    return seed
