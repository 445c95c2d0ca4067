"""``TrainConfig``: every number of a run. ``PRESETS``: every recipe, with all of its numbers."""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from core.errors import ConfigError
from core.networks import DISCRIMINATORS, GENERATORS
from trainer.augment import AUGMENTATIONS
from trainer.losses import LOSSES

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run, checked when made. Cadences and lengths are in thousands of images seen."""

    preset: str
    family: str = "dcgan"
    system: str = "adversarial"
    generator: dict[str, Any] = field(default_factory=dict)
    discriminator: dict[str, Any] = field(default_factory=dict)
    latent_dim: int = 100
    loss: str = "non-saturating"
    real_labels: tuple[float, float] = (1.0, 1.0)  # (0.9, 0.9): one-sided smoothing; (0.8, 1): noisy
    fake_labels: tuple[float, float] = (0.0, 0.0)
    r1_gamma: float = 0.0
    r1_every: int = 1
    augment: tuple[str, ...] = ()
    learning_rate_g: float = 2e-4
    learning_rate_d: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    ema_kimg: float = 10.0  # half-life
    ema_ramp: float = 0.05
    batch: int = 64
    kimg: float = 200.0
    seed: int = 0
    # How it is run, which a continued run may change.
    log_kimg: float = 1.0
    preview_kimg: float = 10.0
    checkpoint_kimg: float = 25.0
    previews: int = 64
    device: str = "auto"
    precision: str = "fp32"
    channels_last: bool = True

    def __post_init__(self) -> None:
        _one_of("family", self.family, GENERATORS.keys() & DISCRIMINATORS.keys())
        _one_of("loss", self.loss, LOSSES)
        _one_of("precision", self.precision, PRECISIONS)
        for name in self.augment:
            _one_of("augment", name, AUGMENTATIONS)
        for name in ("learning_rate_g", "learning_rate_d", "kimg", "log_kimg", "preview_kimg", "checkpoint_kimg"):
            _at_least(name, getattr(self, name), 0, exclusive=True)
        for name in ("batch", "r1_every", "previews", "latent_dim"):
            _at_least(name, getattr(self, name), 1)
        for name in ("r1_gamma", "ema_kimg", "ema_ramp", "seed"):
            _at_least(name, getattr(self, name), 0)
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 0 and less than 1")
        for name in ("real_labels", "fake_labels"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= 1:
                raise ConfigError(f"{name} is {low}, {high}: they must rise within 0 … 1 (--set {name}=0.8,1.0)")

    @property
    def images(self) -> int:
        """The length of the run in images."""
        return round(self.kimg * 1000)

    def to_json(self) -> str:
        """JSON text from which ``from_json`` makes an equal config."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """The config in ``text``. Raises ConfigError if it is not one."""
        try:
            values = json.loads(text)
            config = cls(**{name: _like(default, values[name]) for name, default in asdict(cls("")).items()})
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"the run's config.json is damaged ({type(error).__name__}: {error})") from None
        return config


# What may differ when a run is continued: how long and where it runs and what it shows, not what it learns.
FREE_TO_CHANGE = frozenset(
    {"kimg", "log_kimg", "preview_kimg", "checkpoint_kimg", "previews", "device", "precision", "channels_last"}
)


def differences(ours: TrainConfig, theirs: TrainConfig) -> list[str]:
    """What two configs disagree on that a continued run may not change, as ``"batch: 64, was 32"``."""
    now, before = asdict(ours), asdict(theirs)
    return [
        f"{name}: {now[name]}, was {before[name]}"
        for name in now
        if name not in FREE_TO_CHANGE and now[name] != before[name]
    ]


def dcgan() -> TrainConfig:
    """Radford et al. 2016 as published, but for a batch of 64 and an average of the generator's weights."""
    return TrainConfig(preset="dcgan", generator={"width": 64}, discriminator={"width": 64})


def dcgan_cpu() -> TrainConfig:
    """A DCGAN that two cores train in minutes at 32x32: resize-convolutions, R1, translation, small batches."""
    return TrainConfig(
        preset="dcgan-cpu",
        generator={"width": 32, "upsample": "nearest"},
        discriminator={"width": 64, "norm": "none", "minibatch_std": True},
        r1_gamma=0.2,
        r1_every=8,
        augment=("translation",),
        learning_rate_g=4e-4,
        learning_rate_d=4e-4,
        beta1=0.0,
        beta2=0.99,
        ema_kimg=20.0,
        batch=32,
        kimg=70.0,
        channels_last=False,
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "dcgan": dcgan,
    "dcgan-cpu": dcgan_cpu,
}


def resolve(preset: str, settings: Iterable[str] = (), **changes: Any) -> TrainConfig:
    """The preset with ``changes`` (None means unchanged) and then ``settings`` ("key=value") on top.

    Keys are fields of TrainConfig, ``generator.KEY`` and ``discriminator.KEY`` for the networks' options, and
    ``width`` for both networks at once.
    """
    _one_of("--preset", preset, PRESETS)
    config = replace(PRESETS[preset](), **{name: value for name, value in changes.items() if value is not None})
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: write key=value, such as --set batch=32")
        config = _with_setting(config, key.strip(), text.strip())
    return config


def _with_setting(config: TrainConfig, key: str, text: str) -> TrainConfig:
    network, _, option = key.rpartition(".")
    if key == "width":
        return _with_setting(_with_setting(config, "generator.width", text), "discriminator.width", text)
    if network in ("generator", "discriminator"):
        changed: dict[str, Any] = {network: {**getattr(config, network), option: _value(text)}}
        return replace(config, **changed)
    known = {f.name: getattr(config, f.name) for f in fields(config)}
    known = {name: value for name, value in known.items() if not isinstance(value, dict) and name != "preset"}
    _one_of("--set", key, [*known, "width", "generator.OPTION", "discriminator.OPTION"])
    try:
        return replace(config, **{key: _like(known[key], _value(text))})
    except (TypeError, ValueError):
        raise ConfigError(f"--set {key}={text}: it must look like {_example(known[key])}") from None


def _value(text: str) -> Any:
    """A value as a person types it: a JSON value, a comma-separated list, or else a word."""
    if "," in text:
        return [_value(part.strip()) for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _like(example: Any, value: Any) -> Any:
    """``value`` as the type of ``example``; TypeError or ValueError if it cannot be."""
    if isinstance(example, tuple):
        items = value if isinstance(value, list) else [value] if value != "" else []
        if example and len(items) == 1:
            items = items * len(example)  # real_labels=0.9 means both ends
        if example and isinstance(example[0], float) and len(items) != len(example):
            raise ValueError(value)
        return tuple(_like(example[0], item) if example and isinstance(example[0], float) else item for item in items)
    if isinstance(example, bool) or isinstance(value, bool):
        if type(example) is not type(value):
            raise TypeError(value)
        return value
    if isinstance(example, int):
        if int(value) != value:
            raise ValueError(value)
        return int(value)
    if isinstance(example, float):
        return float(value)
    if not isinstance(value, type(example)):
        raise TypeError(value)
    return value


def _example(value: Any) -> str:
    return ",".join(str(item) for item in value) or "colour,translation" if isinstance(value, tuple) else str(value)


def _one_of(what: str, name: str, known: Mapping[str, Any] | Iterable[str]) -> None:
    names = sorted(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(names)}"
        raise ConfigError(f"{what} '{name}' is unknown: {hint}")


def _at_least(name: str, value: float, least: float, exclusive: bool = False) -> None:
    if not least <= value < float("inf") or (exclusive and value == least):
        raise ConfigError(f"{name} is {value}: it must be {'more than' if exclusive else 'at least'} {least}")
