"""Every setting that ``--set`` takes, with its value, its unit and what it does: ``train --list-settings``."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from core.networks import DISCRIMINATORS, GENERATORS, TRANSLATORS
from trainer.objective.losses import LOSSES
from trainer.presets.words import OPTIONS, UNITS, WORDS, in_text
from trainer.settings.config import ADJUSTABLE, FREE_TO_CHANGE, OF_SYSTEMS, TrainConfig

_NOT_SET = ("preset", "changed")  # by --preset, and by going on with other settings
MARK = "*"  # of what may change when a run goes on


class Row(NamedTuple):
    """A setting as a person reads it; ``mark`` is ``MARK`` or empty."""

    key: str
    mark: str
    value: str
    unit: str
    words: str


def listing(config: TrainConfig) -> list[Row]:
    """A row for each setting of ``config`` as ``--set`` names it, options of its networks, loss and system too."""
    rows = []
    for name in (field.name for field in fields(config)):
        if name in _NOT_SET:
            continue
        value = getattr(config, name)
        if isinstance(value, dict):
            rows += [
                Row(f"{name}.{option}", "", _value(each), _own(UNITS, name, option), _words(name, option))
                for option, each in _options(config, name)
            ]
        else:
            mark = MARK if name in ADJUSTABLE or name in FREE_TO_CHANGE else ""
            rows.append(Row(name, mark, _value(value), UNITS.get(name, ""), WORDS[name]))
    return rows


def _options(config: TrainConfig, section: str) -> Iterator[tuple[str, Any]]:
    """The options of a section of ``config`` and their values, those that it leaves as they come included."""
    given: Mapping[str, Any] = getattr(config, section)
    if section in OF_SYSTEMS:
        systems, settings_of = OF_SYSTEMS[section]
        if config.system in systems:
            whole: Any = settings_of(dict(given))
            yield from asdict(whole).items()
    elif section == "final":
        yield from given.items()
    else:
        yield from {**_defaults(config, section), **given}.items()


def _defaults(config: TrainConfig, section: str) -> dict[str, Any]:
    if section == "loss_options":
        return {each.name: each.default for each in inspect.signature(LOSSES[config.loss]).parameters.values()}
    table: Mapping[str, Any] = {**GENERATORS, **TRANSLATORS} if section == "generator" else DISCRIMINATORS
    known = list(inspect.signature(table[config.family]).parameters.values())[1:]  # the first is the spec
    return {each.name: each.default for each in known}


def _words(section: str, option: str) -> str:
    if section == "final":
        return f"where {option} ends, after schedule_kimg"
    return _own(OPTIONS, section, option)


def _own(table: Mapping[str, str], section: str, option: str) -> str:
    """What ``table`` has of an option of that section, else of options of that name; empty if nothing."""
    return table.get(f"{section}.{option}", table.get(option, ""))


def _value(value: Any) -> str:
    """A value as ``--set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else in_text(value)
