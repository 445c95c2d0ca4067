"""A setting in one place: its default, what it does in words, its unit, what it may be, and when it may change.

All of that stands beside the field of its dataclass, by ``setting`` or ``section``.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from enum import Enum
from typing import Any

from core.errors import ConfigError

Check = Callable[[str, Any], None]  # of a setting's name and its value: raises ConfigError for what cannot be

_KEY = "setting"  # in a field's metadata


class Change(Enum):
    """When a setting of a run may change."""

    NEVER = "never"  # it is what the run learns
    BY_HAND = "by hand"  # when it goes on: it is looked up in every round and shapes no network
    ON_SCHEDULE = "on schedule"  # by hand, and by ``final`` on the way
    FREELY = "freely"  # it is how long and where the run is trained, and what is shown


@dataclass(frozen=True)
class Setting:
    """What is known of a setting beside its default. ``section`` makes a section's numbers, of those ``systems``."""

    words: str
    unit: str = ""
    check: Check | None = None
    change: Change = Change.NEVER
    section: Callable[[dict[str, Any]], Any] | None = None
    systems: tuple[str, ...] = ()


def setting(
    default: Any, words: str, *, unit: str = "", check: Check | None = None, change: Change = Change.NEVER
) -> Any:
    """A field of a dataclass that is a setting; a ``default`` of {} is made afresh for each."""
    metadata = {_KEY: Setting(words, unit, check, change)}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def required(words: str) -> Any:
    """A field that is a setting without a default."""
    return field(metadata={_KEY: Setting(words)})


def section(words: str, kind: Callable[[dict[str, Any]], Any], *systems: str) -> Any:
    """A field that holds settings of ``systems`` alone, by name; ``kind`` makes them what they are, and checks them."""
    return field(default_factory=dict, metadata={_KEY: Setting(words, section=kind, systems=systems)})


def settings_of(kind: Any) -> dict[str, Setting]:
    """What is known of each field of a dataclass, or of an instance of one, in their order."""
    return {each.name: _setting_of(each) for each in fields(kind)}


def _setting_of(each: "Field[Any]") -> Setting:
    found: Setting = each.metadata[_KEY]
    return found


def one_of(what: str, name: str, known: Mapping[str, Any] | Iterable[str]) -> None:
    """Raise ConfigError, naming the nearest, unless ``name`` is among ``known``."""
    names = sorted(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(names)}"
        raise ConfigError(f"{what} '{name}' is unknown: {hint}")


def among(known: Collection[str]) -> Check:
    """A check for one of the names that are ``known`` when it is asked."""
    return lambda name, value: one_of(name, value, known)


def at_least(least: float, most: float = float("inf")) -> Check:
    """A check for numbers from ``least`` on, at most ``most`` if that is finite."""

    def check(name: str, value: Any) -> None:
        _refuse(name, value, unless=least <= value < float("inf"), it_must_be=f"at least {least}")
        _refuse(name, value, unless=value <= most, it_must_be=f"at most {most}")

    return check


def more_than_0(name: str, value: Any) -> None:
    """Raise ConfigError unless the number is finite and more than 0."""
    _refuse(name, value, unless=0 < value < float("inf"), it_must_be="more than 0")


def share(name: str, value: Any) -> None:
    """Raise ConfigError unless the number is 0 to 1."""
    _refuse(name, value, unless=0 <= value <= 1, it_must_be="0 to 1")


def less_than_1(name: str, value: Any) -> None:
    """Raise ConfigError unless the number is at least 0 and less than 1."""
    _refuse(name, value, unless=0 <= value < 1, it_must_be="at least 0 and less than 1")


def rising(name: str, value: Any) -> None:
    """Raise ConfigError unless the two numbers rise within 0 … 1."""
    low, high = value
    if not 0 <= low <= high <= 1:
        raise ConfigError(f"{name} is {low}, {high}: they must rise within 0 … 1 (--set {name}=0.8,1.0)")


def _refuse(name: str, value: Any, *, unless: bool, it_must_be: str) -> None:
    if not unless:
        raise ConfigError(f"{name} is {value}: it must be {it_must_be}")
