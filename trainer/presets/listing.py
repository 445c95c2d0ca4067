"""Every setting that ``--set`` takes, with its value, its unit and what it does: ``train --list-settings``."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from core.networks import DISCRIMINATORS, GENERATORS, TRANSLATORS
from trainer.objective.losses import LOSSES
from trainer.presets.words import OPTIONS, UNITS, in_text
from trainer.settings.config import OF_SYSTEMS, SETTINGS, TrainConfig
from trainer.settings.fields import Change, settings_of

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
    rows: list[Row] = []
    for name, known in SETTINGS.items():
        value = getattr(config, name)
        if name in _NOT_SET:
            continue
        if isinstance(value, dict):
            rows += _section(config, name)
        else:
            mark = "" if known.change is Change.NEVER else MARK
            rows.append(Row(name, mark, _value(value), known.unit, known.words))
    return rows


def _section(config: TrainConfig, name: str) -> Iterator[Row]:
    """A row for each option of a section of ``config``, those that it leaves as they come included."""
    given: Mapping[str, Any] = getattr(config, name)

    # What one system has: the words stand beside its settings
    if name in OF_SYSTEMS:
        systems, numbers_of = OF_SYSTEMS[name]
        if config.systems & {*systems}:
            whole = numbers_of(dict(given))
            for option, known in settings_of(whole).items():
                yield Row(f"{name}.{option}", "", _value(getattr(whole, option)), known.unit, known.words)
        return

    # Where settings end that move on the way
    if name == "final":
        for option, end in given.items():
            words = f"where {option} ends, after schedule_kimg"
            yield Row(f"{name}.{option}", "", _value(end), SETTINGS[option].unit, words)
        return

    # Options of the networks and the loss
    for option, value in {**_defaults(config, name), **given}.items():
        yield Row(f"{name}.{option}", "", _value(value), _own(UNITS, name, option), _own(OPTIONS, name, option))


def _defaults(config: TrainConfig, section: str) -> dict[str, Any]:
    if section == "loss_options":
        return {each.name: each.default for each in inspect.signature(LOSSES[config.loss]).parameters.values()}
    table: Mapping[str, Any] = {**GENERATORS, **TRANSLATORS} if section == "generator" else DISCRIMINATORS
    known = list(inspect.signature(table[config.family]).parameters.values())[1:]  # the first is the spec
    return {each.name: each.default for each in known}


def _own(table: Mapping[str, str], section: str, option: str) -> str:
    """What ``table`` has of an option of that section, else of options of that name; empty if nothing."""
    return table.get(f"{section}.{option}", table.get(option, ""))


def _value(value: Any) -> str:
    """A value as ``--set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else in_text(value)
