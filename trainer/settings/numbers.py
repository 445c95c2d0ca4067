"""Settings of one training system, by name: what its section of a config may hold."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from core.errors import ConfigError


def check_names(section: str, kind: type[Any], names: Iterable[str]) -> None:
    """Raise ConfigError for a name that is no field of the dataclass ``kind``."""
    known = [f.name for f in fields(kind)]
    for name in names:
        if name not in known:
            raise ConfigError(f"{section}.{name} is unknown: choose from {', '.join(known)}")


def check_numbers(section: str, kind: type[Any], settings: Mapping[str, Any]) -> None:
    """Raise ConfigError unless ``settings`` are fields of the dataclass ``kind``, and numbers of at least 0."""
    for name, value in settings.items():
        check_names(section, kind, [name])
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ConfigError(f"{section}.{name} is {value}: it must be a number of at least 0")
