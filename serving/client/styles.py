"""Styles, which go between the two parts of a generator that has them: what they must be, and what is done to them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import RequestRefused

THIRDS = ("coarse", "middle", "fine")


def refusal(model: str, version: str) -> RequestRefused:
    """What is said of a model that has no parts."""
    return RequestRefused(
        f"'{model}' version {version} has no styles, so none can be mixed: a bundle of a style generator (preset "
        "stylegan-lite) has; seeds, truncation and --interpolate work with every model"
    )


def as_float32(values: Any) -> NDArray[np.float32]:
    """``values`` as the graph takes them; what is too large for it becomes an infinity, without a word."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32)


def check_rows(model: str, what: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """``values`` as float32. Raises RequestRefused unless they are ``(n, *shape)`` and finite."""
    rows = as_float32(values)
    if rows.ndim == 0 or rows.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise RequestRefused(f"the {what} have shape {rows.shape}: '{model}' takes (n, {wanted})")
    if not np.isfinite(rows).all():
        raise RequestRefused(f"the {what} hold a NaN or an infinity: send finite numbers")
    return rows


def parse_layers(text: str, layers: int) -> slice:
    """``coarse``, ``middle``, ``fine``, ``I-J`` or ``I`` as some of ``layers`` layers, which are counted from 0.

    Karras et al. 2019, section 3.1, call the layers of small sizes coarse and those of the largest fine; here each
    is a third of the layers, rounded. Raises RequestRefused for anything else, and for a third with no layer.
    """
    last = layers - 1
    if text in THIRDS:
        start, stop = (round(layers * third / 3) for third in (THIRDS.index(text), THIRDS.index(text) + 1))
    else:
        first, dash, end = (each.strip() for each in text.partition("-"))
        if not (first.isdecimal() and (end.isdecimal() or not dash)):
            raise RequestRefused(f"'{text}' names no layers: write coarse, middle, fine, or a range like 0-{last}")
        start, stop = int(first), int(end or first) + 1
    if not 0 <= start < stop <= layers:
        raise RequestRefused(f"'{text}' is not a range of this model's layers, which are 0-{last}")
    return slice(start, stop)


def mixed(w: NDArray[np.float32], other: NDArray[np.float32], layers: slice) -> NDArray[np.float32]:
    """``w`` with some layers from ``other``, both ``(…, layers, style_dim)``."""
    result = w.copy()
    result[..., layers, :] = other[..., layers, :]
    return result
