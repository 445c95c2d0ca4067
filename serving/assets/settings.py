"""Settings that come from a table of a file: named, checked, and refused in the words that stand there."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from core.errors import AssetError

S = TypeVar("S")


def settings_of(kind: type[S], table: Mapping[str, Any]) -> S:
    """The frozen dataclass ``kind`` of a table as TOML gives it. Raises AssetError for what does not fit."""
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for name in table:
        if name not in known:
            raise AssetError(f"{name} is no setting here: {_hint(name, known)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()})


def check_whole(name: str, value: object, least: int, most: int) -> None:
    """Raise AssetError unless ``value`` is a whole number in that range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise AssetError(f"{name} is {value!r}: give a whole number, {least} to {most}")


def check_number(name: str, value: object, least: float, most: float) -> None:
    """Raise AssetError unless ``value`` is a number in that range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise AssetError(f"{name} is {value!r}: give a number, {least:g} to {most:g}")


def check_flag(name: str, value: object) -> None:
    """Raise AssetError unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise AssetError(f"{name} is {value!r}: give true or false")


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise AssetError unless ``value`` is one of ``choices``, and of its type: true is not 1."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise AssetError(f"{name} is {value!r}: {_hint(str(value), [str(choice) for choice in choices])}")


def _hint(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]}?"
    return f"choose from {', '.join(known)}" if known else "it has none"
