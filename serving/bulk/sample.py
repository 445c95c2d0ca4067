"""Bulk sampling: the shards of an order, each whole or absent, so that any launcher may start, kill and repeat it."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from core.errors import RequestRefused, ServerUnavailable
from serving.bulk.ranges import ascending, count, written
from serving.bulk.shards import MOST_SHARDS, BulkOrder, State, check_folder, state_of, write_shard
from serving.client.sampler import Sampler
from serving.sampling.files import make_places

BATCH = 16  # never the server's own limit: the last bit of a pixel may depend on it

Progress = Callable[[int, int], None]
T = TypeVar("T")


def parse_shard(text: str) -> tuple[range, int]:
    """``"3/64"`` as the shards to write and how many there are, counted from 0; ``"all/64"`` is all of them.

    Raises RequestRefused for anything else, such as ``"64/64"``.
    """
    match = re.fullmatch(r"(all|[0-9]{1,9})/([0-9]{1,9})", text.strip())
    which, shards = (match[1], int(match[2])) if match else ("", 0)
    if which == "all" and shards:
        return range(shards), shards
    if which.isdecimal() and int(which) < shards:
        return range(int(which), int(which) + 1), shards
    shards = shards or 64
    raise RequestRefused(f"'{text}' is not a shard: write 0/{shards} to {shards - 1}/{shards}, or all/{shards}")


def place_order(
    sampler: Sampler, seeds: Iterable[range], shards: int, truncation: float = 1.0, label: str | None = None
) -> BulkOrder:
    """What to write of the version that ``sampler`` talks to, which must have been made with ``no_batching``.

    Raises RequestRefused for a seed that is given twice, fewer seeds than shards, and a truncation or label that
    cannot be.
    """
    ranges = ascending(seeds)
    if not 1 <= shards <= min(count(ranges), MOST_SHARDS):
        raise RequestRefused(f"{count(ranges)} seeds cannot be split into {shards} shards: choose fewer")
    sampler.sample([], truncation, label)  # refuses what cannot be
    return BulkOrder(
        sampler.model, sampler.version, sampler.bundle, written(ranges), shards, float(truncation), label, sampler.batch
    )


def write_shards(
    sampler: Sampler, order: BulkOrder, shards: Sequence[int], out: Path, progress: Progress | None = None
) -> str:
    """Write those of ``shards`` that are not finished, one after the other; says so in a line.

    However often this is stopped and begun again, the files end as if it had never been. Raises RequestRefused for
    an ``out`` with shards of another order, ServerUnavailable when the server goes away, ServingError for a disk
    that is full; shards that were finished stay.
    """
    check_folder(order, out)
    make_places(out)
    tally = Tally(order, shards, out, progress)
    for shard in shards:
        tally.add(shard, make_shard(sampler, order, shard, out, tally.hear))
    return tally.said()


def make_shard(
    sampler: Sampler, order: BulkOrder, shard: int, out: Path, hear: Callable[[int], None] | None = None
) -> State:
    """Write a shard unless it is finished; what was there before. Raises as ``write_shards`` does.

    ``hear`` is told how many of the shard's images there are.
    """
    found = state_of(order, shard, out)
    if found is not State.FINISHED:
        seeds = itertools.chain.from_iterable(order.seeds_of(shard))
        samples = sampler.sample(seeds, order.truncation, order.label)
        try:
            write_shard(order, shard, out, sampler.spec, _counted(samples, hear) if hear else samples)
        except ServerUnavailable as error:
            raise ServerUnavailable(f"{error}; finished shards are kept: run the same command again") from None
    return found


class Tally:
    """What became of each shard: told to ``progress`` in images, and in a line at the end."""

    def __init__(self, order: BulkOrder, shards: Sequence[int], out: Path, progress: Progress | None) -> None:
        self._order, self._out, self._progress = order, out, progress
        self._total = sum(count(order.seeds_of(shard)) for shard in shards)
        self._done = 0
        self._found: dict[int, State] = {}

    def hear(self, images: int) -> None:
        """There are ``images`` of the shard in work."""
        if self._progress:
            self._progress(self._done + images, self._total)

    def add(self, shard: int, found: State) -> None:
        """A shard is finished, of which there was ``found`` before."""
        self._found[shard] = found
        self._done += count(self._order.seeds_of(shard))
        self.hear(0)

    def said(self) -> str:
        """What was done."""
        of = Counter(self._found.values())
        damaged = [self._order.name(shard) for shard, found in self._found.items() if found is State.DAMAGED]
        again = f", {len(damaged)} damaged and written again ({', '.join(damaged)})" if damaged else ""
        news = f"{of[State.ABSENT]:,} written, {of[State.FINISHED]:,} finished before{again}"
        return f"shards in {self._out}: {news}; {self._done:,} images"


def _counted(items: Iterable[T], hear: Callable[[int], None]) -> Iterator[T]:
    for done, item in enumerate(items, 1):
        yield item
        hear(done)
