"""Continuous codes as a person writes them: ``0=1.5`` sets one, ``0=-2..2`` goes through its values."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import RequestRefused

STEPS = 8  # of a way that does not say how many
MOST_STEPS = 256
_HOW = "write 0=1.5, or a way 0=-2..2, or with its steps 0=-2..2:5"


class Codes(NamedTuple):
    """Every code's value, float32 ``(K,)``; and the one that is gone through, with its values, where there is one."""

    values: NDArray[np.float32]
    swept: int | None = None
    way: NDArray[np.float32] | None = None


def parse_codes(texts: Sequence[str], count: int, model: str) -> Codes:
    """The codes of a ``model`` with ``count`` of them; those that are not named are 0.

    Raises RequestRefused for what is not one, is given twice, or goes through more than one.
    """
    codes, seen = Codes(np.zeros(count, np.float32)), set()

    for text in texts:
        index, way = _parse(text, count, model)
        if index in seen:
            raise RequestRefused(f"the code {index} is given twice: leave one out")
        seen.add(index)

        if len(way) == 1:
            codes.values[index] = way[0]
        elif codes.way is not None:
            raise RequestRefused(f"codes {codes.swept} and {index} both go through values: one sheet shows one of them")
        else:
            codes = codes._replace(swept=index, way=way)
    return codes


def _parse(text: str, count: int, model: str) -> tuple[int, NDArray[np.float32]]:
    # INDEX=…
    name, equals, rest = text.partition("=")
    if not equals or not name.strip().isdecimal():
        raise RequestRefused(f"'{text}' is no code: {_HOW}")
    if (index := int(name)) >= count:
        has = f"codes 0 to {count - 1}" if count else "no codes"
        raise RequestRefused(f"'{model}' has {has}, not {index}: leave it out")

    # …=VALUE, or FIRST..LAST:STEPS
    ends, _, steps = rest.partition(":")
    try:
        numbers = [float(end) for end in ends.split("..")]
        length = int(steps) if steps else (STEPS if len(numbers) == 2 else 1)
    except ValueError:
        raise RequestRefused(f"'{text}' is no code: {_HOW}") from None
    fits = all(map(math.isfinite, numbers)) and len(numbers) in (1, 2) and (len(numbers) == 2) == (length > 1)
    if not fits or not 1 <= length <= MOST_STEPS:
        raise RequestRefused(f"'{text}' is no code: {_HOW}, at most {MOST_STEPS}")
    return index, np.linspace(numbers[0], numbers[-1], length).astype(np.float32)
