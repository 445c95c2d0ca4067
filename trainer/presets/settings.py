"""Settings on the command line: ``key=value``, and whole axes by one name."""

import json
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from core.errors import ConfigError
from trainer.settings.config import OF_SYSTEMS, TrainConfig
from trainer.settings.fields import one_of
from trainer.settings.values import like

_UNPENALISED: dict[str, Any] = {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "clip": 0.0}
# What a penalty alone is, with the numbers of its paper or, of R1 and R2, those that small images want.
PENALTIES: dict[str, dict[str, Any]] = {
    "none": _UNPENALISED,
    "r1": {**_UNPENALISED, "r1_gamma": 0.2},
    "r1-r2": {**_UNPENALISED, "r1_gamma": 0.1, "r2_gamma": 0.1},
    "gradient-penalty": {**_UNPENALISED, "gradient_penalty": 10.0},
    "clip": {**_UNPENALISED, "clip": 0.01},
}


def set_all(config: TrainConfig, settings: Iterable[str], changes: dict[str, Any]) -> TrainConfig:
    """``config`` with ``changes`` (None means unchanged) and then ``settings`` ("key=value") on top.

    Keys are fields of TrainConfig, ``generator.KEY`` and ``discriminator.KEY`` for the networks' options, and
    ``width`` for both networks at once. Raises ConfigError for what is no setting, or does not fit.
    """
    # Whole axes: another penalty or loss leaves the numbers of the first behind
    changes = {name: value for name, value in changes.items() if value is not None}
    if (penalty := changes.pop("penalty", None)) is not None:
        one_of("--penalty", penalty, PENALTIES)
        moved = {name: end for name, end in config.final.items() if name not in _UNPENALISED}
        config = replace(config, final=moved, **PENALTIES[penalty])
    if "loss" in changes and changes["loss"] != config.loss:
        changes["loss_options"] = {}  # those of another loss
    config = replace(config, **changes)

    # One by one
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: write key=value, such as --set batch=32")
        config = _with_setting(config, key.strip(), text.strip())
    return config


def _with_setting(config: TrainConfig, key: str, text: str) -> TrainConfig:
    # Several at once, or one of a section
    section, _, option = key.rpartition(".")
    if key == "width":
        return _with_setting(_with_setting(config, "generator.width", text), "discriminator.width", text)
    if section in ("generator", "discriminator", "final", "loss_options", *OF_SYSTEMS):
        changed: dict[str, Any] = {section: {**getattr(config, section), option: _value(text)}}
        return replace(config, **changed)

    # One that stands by itself
    known = {f.name: getattr(config, f.name) for f in fields(config)}
    known = {name: value for name, value in known.items() if not isinstance(value, dict) and name != "preset"}
    one_of(
        "--set",
        key,
        [*known, "width", "generator.OPTION", "discriminator.OPTION", *(f"{name}.SETTING" for name in OF_SYSTEMS)],
    )
    try:
        return replace(config, **{key: like(known[key], _value(text))})
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"--set {key}={text}: it must look like {_example(known[key])}") from None


def _value(text: str) -> Any:
    """A value as a person types it: a JSON value, a comma-separated list, or else a word."""
    if "," in text:
        return [_value(part.strip()) for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _example(value: Any) -> str:
    return ",".join(str(item) for item in value) or "colour,translation" if isinstance(value, tuple) else str(value)
