"""Values as people type them and JSON holds them, made what their settings are."""

import math
from typing import Any


def like(example: Any, value: Any) -> Any:
    """``value`` as the type of ``example``; TypeError or ValueError if it cannot be."""
    # Several
    if isinstance(example, tuple):
        items = value if isinstance(value, list) else [value] if value != "" else []
        if example and len(items) == 1:
            items = items * len(example)  # real_labels=0.9 means both ends
        if example and isinstance(example[0], float) and len(items) != len(example):
            raise ValueError(value)
        return tuple(like(example[0], item) if example and isinstance(example[0], float) else item for item in items)

    # One: True is no number here
    if isinstance(example, bool) or isinstance(value, bool):
        if type(example) is not type(value):
            raise TypeError(value)
        return value
    if isinstance(example, int):
        if not math.isfinite(value) or int(value) != value:
            raise ValueError(value)
        return int(value)
    if isinstance(example, float):
        return float(value)
    if not isinstance(value, type(example)):
        raise TypeError(value)
    return value
