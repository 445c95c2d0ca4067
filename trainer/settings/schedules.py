"""Settings that move while a run trains. Time is images seen."""

import math
from collections.abc import Callable


def cosine(start: float, end: float, done: float) -> float:
    """Half a cosine from ``start`` (``done`` 0) to ``end`` (1 and beyond): Loshchilov and Hutter 2017, equation 5."""
    return end + (start - end) * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2


def linear(start: float, end: float, done: float) -> float:
    """A line from ``start`` (``done`` 0 and before) to ``end`` (1 and beyond), as Zhu et al. 2017 end their runs."""
    return start + (end - start) * min(max(done, 0.0), 1.0)


SCHEDULES: dict[str, Callable[[float, float, float], float]] = {"cosine": cosine, "linear": linear}
