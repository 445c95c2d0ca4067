"""Which settings are tried: few, and each for a reason.

=============  =====================================================================================================
placements     instances x threads that fill the cores: one run at a time on all of them, or several beside one
               another; two that take turns on all of them; and one run on all cores but one, left to Triton itself
delays         a batch waits for others only if it is told to: that costs latency where there is little to do, and
               pays where each run costs much more than a row of it
preferred      runs are cut at 8 or 16 rows, so that the next request waits for less, while larger requests still pass
max. batch     a quarter of what it is: shorter runs, less memory; larger requests are refused from then on
=============  =====================================================================================================

One after the other, each on top of the best so far: the best of everything with everything would take hours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from serving.protocol.model_config import THREADS, Instances, ModelConfig, Queue

DELAYS_US = (1000, 4000)
PREFERRED = (8, 16)
SMALLER = 4  # times smaller a largest batch is tried


@dataclass(frozen=True)
class Setting:
    """How a model is run: instances beside one another, threads of each, and how requests become batches."""

    instances: int
    threads: int
    delay_us: int = 0
    preferred: tuple[int, ...] = ()
    max_batch: int = 64

    @classmethod
    def of(cls, config: ModelConfig, cores: int) -> Self:
        """How ``config`` has its model run on a machine of so many cores."""
        instances, queue = (config.instances or Instances()).count, config.queue or Queue()
        threads = int(config.parameters.get(THREADS) or 0) or cores
        return cls(instances, threads, queue.delay_us, queue.preferred, config.max_batch_size)

    def on(self, config: ModelConfig) -> ModelConfig:
        """``config`` with this setting, warmed up at its batches; its limits stay."""
        instances, queue = config.instances or Instances(), config.queue or Queue()
        return replace(
            config,
            max_batch_size=self.max_batch,
            instances=replace(instances, count=self.instances),
            queue=replace(queue, delay_us=self.delay_us, preferred=self.preferred),
            parameters={**config.parameters, THREADS: str(self.threads)},
        ).warmed()

    def __str__(self) -> str:
        """As people read it: ``2 x 1 threads, delay 1 ms, batches of 8 up to 64``."""
        delay = f", delay {self.delay_us / 1000:g} ms" if self.delay_us else ""
        preferred = f"{', '.join(map(str, self.preferred))} " if self.preferred else ""
        return f"{self.instances} x {self.threads} threads{delay}, batches of {preferred}up to {self.max_batch}"


def placements(present: Setting, cores: int) -> list[Setting]:
    """The present setting, and it with other instances and threads."""
    counts = [1 << power for power in range(cores.bit_length()) if 1 << power <= cores]
    places = [(count, cores // count) for count in counts] + [(2, cores), (1, max(cores - 1, 1))]
    return _distinct([present, *(replace(present, instances=count, threads=threads) for count, threads in places)])


def delays(best: Setting) -> list[Setting]:
    """``best`` with other delays."""
    return [replace(best, delay_us=delay) for delay in (0, *DELAYS_US) if delay != best.delay_us]


def batches(best: Setting) -> list[Setting]:
    """``best`` with batches cut earlier, and with a smaller largest one."""
    return list(_batches(best))


def _batches(best: Setting) -> Iterator[Setting]:
    for size in PREFERRED:
        if size < best.max_batch and (size,) != best.preferred:
            yield replace(best, preferred=(size,))
    if best.preferred:
        yield replace(best, preferred=())
    if (smaller := best.max_batch // SMALLER) >= 1:
        yield replace(best, max_batch=smaller, preferred=tuple(size for size in best.preferred if size <= smaller))


def most_candidates(present: Setting, cores: int) -> int:
    """How many settings the search may come to, for saying beforehand how long it takes."""
    return len(placements(present, cores)) + len(DELAYS_US) + 1 + len(PREFERRED) + 2


def _distinct(settings: list[Setting]) -> list[Setting]:
    return list(dict.fromkeys(settings))
