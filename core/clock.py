"""Lengths of time, as one says them, and how much of some work is left."""

import math
from collections.abc import Callable
from time import perf_counter

PAUSE = 10.0  # seconds between two lines of one piece of work


def in_words(seconds: float) -> str:
    """A length of time as one says it: "40 seconds", "8 minutes", "2.5 hours", "3 days"."""
    for unit, length, most in (("second", 1, 90), ("minute", 60, 90), ("hour", 3600, 36), ("day", 86400, math.inf)):
        if seconds < most * length:
            count = seconds / length
            rounded = round(count * 2) / 2 if unit in ("hour", "day") and count < 10 else max(round(count), 1)
            return f"{rounded:g} {unit}{'' if rounded == 1 else 's'}"
    raise AssertionError("a length of time is finite")


def spoken(description: str, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """What is told (done, total) of some work and has a line said of it now and then, for want of a terminal."""
    start = said = perf_counter()

    def progress(done: int, total: int) -> None:
        nonlocal said
        now = perf_counter()
        if now - said >= PAUSE and 0 < done < total:
            said = now
            left = in_words((now - start) * (total - done) / done)
            say(f"{description}: {done:,} of {total:,}, about {left} left")

    return progress
