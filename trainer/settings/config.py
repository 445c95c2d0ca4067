"""``TrainConfig``: every number of a run, checked."""

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core.errors import ConfigError
from core.latents import LAST_SEED
from core.networks import GENERATORS, TRANSLATORS
from trainer.objective.augmentation import AUGMENTATIONS
from trainer.objective.corruption import Corruption
from trainer.objective.losses import LOSSES, loss_of
from trainer.optimisation.optimisers import OPTIMISERS
from trainer.settings.growth import Growth
from trainer.settings.heads import Heads
from trainer.settings.regularise import Regularisation
from trainer.settings.schedules import SCHEDULES
from trainer.settings.stack import Stack
from trainer.settings.translation import Cycling, Pairing

MOST_BATCH = 65_536
PRECISIONS = ("fp32", "bf16")
AUTO = "auto"  # as the only augmentation: SMALL_DATA where the pack is small
SMALL_DATA = ("translation",)  # what helped most in short runs; colour makes colours paler
SMALL = 30_000  # images
# The settings that some systems alone have: by their name in a config, whose they are, and what checks them.
OF_SYSTEMS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], object]]] = {
    "corruption": (("autoencoder",), Corruption.of),
    "cycle": (("cycle",), Cycling.of),
    "growth": (("progressive",), Growth.of),
    "heads": (("heads",), Heads.of),
    "pairing": (("paired", "autoencoder"), Pairing.of),
    "regularise": (("style",), Regularisation.of),
    "stack": (("stacked",), Stack.of),
}
# What a run may change on its way, by ``final`` or by hand: it is looked up in every round and shapes no network.
SCHEDULED = ("learning_rate_g", "learning_rate_d", "beta2", "r1_gamma", "r2_gamma", "augment_p")
ADJUSTABLE = (*SCHEDULED, "beta1", "gradient_penalty", "drift", "orthogonal")


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run, checked when made. Cadences and lengths are in thousands of images seen."""

    preset: str
    family: str = "dcgan"
    system: str = "adversarial"
    generator: dict[str, Any] = field(default_factory=dict)
    discriminator: dict[str, Any] = field(default_factory=dict)
    latent_dim: int = 100
    conditional: bool = False
    balance: bool = False  # show every class equally often
    loss: str = "non-saturating"
    loss_options: dict[str, Any] = field(default_factory=dict)  # of that loss: trainer/objective/losses.py
    real_labels: tuple[float, float] = (1.0, 1.0)  # (0.9, 0.9): one-sided smoothing; (0.8, 1): noisy
    fake_labels: tuple[float, float] = (0.0, 0.0)
    r1_gamma: float = 0.0
    r2_gamma: float = 0.0
    gradient_penalty: float = 0.0  # λ of WGAN-GP
    drift: float = 0.0  # ε of its drift term
    penalty_every: int = 1  # rounds
    clip: float = 0.0  # the most that a weight of the discriminator may be, as in WGAN; 0: anything
    orthogonal: float = 0.0  # β of BigGAN's orthogonal regularisation of the generator
    critic_steps: int = 1  # of the discriminator for one of the generator
    optimiser: str = "adam"
    augment: tuple[str, ...] = (AUTO,)
    augment_p: float = 1.0  # the share of images that each augmentation touches; if adaptive, the most
    augment_target: float = 0.0  # adapt the share until this is E[sign D(real)], 0.6 in the paper; 0: do not
    learning_rate_g: float = 2e-4
    learning_rate_d: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    ema_kimg: float = 10.0  # half-life
    ema_ramp: float = 0.05
    schedule: str = "cosine"  # the way there
    schedule_from: float = 0.0  # kimg when the settings in ``final`` begin to move
    schedule_kimg: float = 0.0  # when they have their last values; 0: nothing moves
    final: dict[str, float] = field(default_factory=dict)
    # By hand: {"25000": {"learning_rate_d": 1e-4}} since 25,000 images were seen; what is above is how it began.
    changed: dict[str, dict[str, float]] = field(default_factory=dict)
    growth: dict[str, Any] = field(default_factory=dict)  # of the progressive system: trainer/settings/growth.py
    heads: dict[str, Any] = field(default_factory=dict)  # of the system with heads: trainer/settings/heads.py
    regularise: dict[str, float] = field(default_factory=dict)  # of the style system: trainer/settings/regularise.py
    stack: dict[str, float] = field(default_factory=dict)  # of the stacked system: trainer/settings/stack.py
    pairing: dict[str, float] = field(default_factory=dict)  # of systems with pairs: trainer/settings/translation.py
    cycle: dict[str, float] = field(default_factory=dict)  # of the cycle system: trainer/settings/translation.py
    corruption: dict[str, Any] = field(
        default_factory=dict
    )  # of the autoencoder system: trainer/objective/corruption.py
    batch: int = 64
    kimg: float = 200.0
    seed: int = 0
    # How it is run, which a continued run may change.
    log_kimg: float = 1.0
    preview_kimg: float = 10.0
    checkpoint_kimg: float = 25.0
    previews: int = 64
    metric_kimg: float = 0.0  # how often KID is taken; 0: never
    metric_samples: int = 500
    metric_reals: int = 0  # images of the pack that KID is taken by; 0: all, of large packs 10,000
    tensorboard: bool = False
    device: str = "auto"
    precision: str = "fp32"
    channels_last: bool = True

    def __post_init__(self) -> None:
        one_of("family", self.family, {**GENERATORS, **TRANSLATORS})
        one_of("loss", self.loss, LOSSES)
        loss_of(self.loss, self.loss_options)
        one_of("optimiser", self.optimiser, OPTIMISERS)
        one_of("precision", self.precision, PRECISIONS)
        one_of("schedule", self.schedule, SCHEDULES)
        for name in self.augment if self.augment != (AUTO,) else ():
            one_of("augment", name, AUGMENTATIONS)
        for name in ("learning_rate_g", "learning_rate_d", "kimg", "log_kimg", "preview_kimg", "checkpoint_kimg"):
            _at_least(name, getattr(self, name), 0, exclusive=True)
        for name in ("batch", "penalty_every", "critic_steps", "previews", "latent_dim"):
            _at_least(name, getattr(self, name), 1)
        for name in (
            "r1_gamma",
            "r2_gamma",
            "gradient_penalty",
            "drift",
            "clip",
            "orthogonal",
            "ema_kimg",
            "ema_ramp",
            "schedule_from",
            "schedule_kimg",
            "seed",
        ):
            _at_least(name, getattr(self, name), 0)
        _at_least("metric_kimg", self.metric_kimg, 0)
        _at_least("metric_samples", self.metric_samples, 16)
        _at_least("metric_reals", self.metric_reals, 0)
        self._check_final()
        self._check_changed()
        for name, (systems, settings_of) in OF_SYSTEMS.items():
            settings_of(getattr(self, name))
            if getattr(self, name) and self.system not in systems:
                owner = " or ".join(systems)
                raise ConfigError(f"{name} is of the {owner} system, and this run's is {self.system}: leave it out")
        for name in ("augment_p", "augment_target"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 to 1")
        for name, most in (("batch", MOST_BATCH), ("seed", LAST_SEED)):
            if getattr(self, name) > most:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at most {most}")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 0 and less than 1")
        for name in ("real_labels", "fake_labels"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= 1:
                raise ConfigError(f"{name} is {low}, {high}: they must rise within 0 … 1 (--set {name}=0.8,1.0)")

    def _check_final(self) -> None:
        """Raise ConfigError unless every setting may move, and to a value that it could start with."""
        for name, value in self.final.items():
            one_of("final", name, SCHEDULED)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ConfigError(f"final.{name} is {value!r}: it must be a number")
        if 0 < self.schedule_kimg <= self.schedule_from:
            raise ConfigError(
                f"schedule_from is {self.schedule_from}: it must be less than schedule_kimg, {self.schedule_kimg}"
            )
        if self.final:
            ends: dict[str, Any] = {**self.final}
            replace(self, final={}, **ends)

    def _check_changed(self) -> None:
        """Raise ConfigError unless what was changed by hand may be, and to values that it could start with."""
        for moment, values in self.changed.items():
            if not (moment.isdecimal() and isinstance(values, dict)):
                raise ConfigError(f"changed.{moment} is {values!r}: it must be settings by images seen")
            for name, value in values.items():
                one_of("changed", name, ADJUSTABLE)
                if not isinstance(value, int | float) or isinstance(value, bool):
                    raise ConfigError(f"changed.{moment}.{name} is {value!r}: it must be a number")
            standing: dict[str, Any] = {**values}
            replace(self, changed={}, **standing)

    @property
    def images(self) -> int:
        """The length of the run in images."""
        return round(self.kimg * 1000)

    @property
    def apart(self) -> bool:
        """Whether sources and images are shown in orders of their own, so that no answer is told, pairs or not."""
        return self.system == "cycle"

    def at(self, images_seen: int) -> "TrainConfig":
        """The settings as they stand after ``images_seen`` images: those in ``final`` follow the schedule."""
        now = self.adjusted(images_seen)
        if not (now.final and now.schedule_kimg):
            return now
        start, way = now.schedule_from * 1000, SCHEDULES[now.schedule]
        done = (images_seen - start) / (now.schedule_kimg * 1000 - start)
        moved: dict[str, Any] = {name: way(getattr(now, name), end, done) for name, end in now.final.items()}
        return replace(now, final={}, **moved)

    def adjusted(self, images_seen: float = math.inf) -> "TrainConfig":
        """These settings with what was changed by hand until ``images_seen`` images as if they had always been so."""
        if not self.changed:
            return self
        values: dict[str, Any] = {}
        for moment in sorted(self.changed, key=int):
            values |= self.changed[moment] if int(moment) <= images_seen else {}
        return replace(self, changed={}, **values)

    def continued(self, wanted: "TrainConfig", images_seen: int) -> "TrainConfig":
        """``wanted`` for a run that began with these settings and goes on after ``images_seen`` images.

        What differs and is ADJUSTABLE is changed by hand from there on; earlier moments stay as they were.
        """
        standing, changed = self.adjusted(), dict(self.changed)
        new = {name: getattr(wanted, name) for name in ADJUSTABLE if getattr(wanted, name) != getattr(standing, name)}
        for moment, values in changed.items():
            if int(moment) >= images_seen:  # of a part of the run that is made again
                changed[moment] = {name: value for name, value in values.items() if name not in new}
        if new:
            changed[str(images_seen)] = {**changed.get(str(images_seen), {}), **new}
        began: dict[str, Any] = {name: getattr(self, name) for name in ADJUSTABLE}
        return replace(wanted, changed={moment: values for moment, values in changed.items() if values}, **began)

    def settled(self, images: int) -> "TrainConfig":
        """These settings for a pack of so many ``images``: augmentation that is left to decide is on for small ones."""
        wanted = images < SMALL or self.augment_target
        augment = (SMALL_DATA if wanted else ()) if self.augment == (AUTO,) else self.augment
        if self.augment_target and not augment:
            raise ConfigError("augment_target adapts augmentations, and there are none: --set augment=translation")
        return replace(self, augment=augment)

    def to_json(self) -> str:
        """JSON text from which ``from_json`` makes an equal config."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """The config in ``text``; settings it lacks, as younger ones do, have their defaults. Raises ConfigError."""
        defaults = asdict(cls(""))
        try:
            values = json.loads(text)
            if unknown := sorted(values.keys() - defaults):
                raise ConfigError(f"the run's settings hold '{unknown[0]}', which this version does not know")
            return cls(**{name: like(defaults[name], value) for name, value in {"preset": 0, **values}.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"the run's settings are damaged ({type(error).__name__}: {error})") from None


# What may differ when a run is continued: how long and where it runs and what it shows, not what it learns.
FREE_TO_CHANGE = frozenset(
    {"kimg", "log_kimg", "preview_kimg", "checkpoint_kimg", "previews", "device", "precision", "channels_last"}
    | {"metric_kimg", "metric_samples", "metric_reals", "tensorboard"}
)


def differences(ours: TrainConfig, theirs: TrainConfig) -> list[str]:
    """What two configs disagree on that a continued run may not change, as ``"batch: 64, was 32"``."""
    now, before = asdict(ours), asdict(theirs)
    may = FREE_TO_CHANGE | {*ADJUSTABLE, "changed"}
    return [f"{name}: {now[name]}, was {before[name]}" for name in now if name not in may and now[name] != before[name]]


def like(example: Any, value: Any) -> Any:
    """``value`` as the type of ``example``; TypeError or ValueError if it cannot be."""
    if isinstance(example, tuple):
        items = value if isinstance(value, list) else [value] if value != "" else []
        if example and len(items) == 1:
            items = items * len(example)  # real_labels=0.9 means both ends
        if example and isinstance(example[0], float) and len(items) != len(example):
            raise ValueError(value)
        return tuple(like(example[0], item) if example and isinstance(example[0], float) else item for item in items)
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


def one_of(what: str, name: str, known: Mapping[str, Any] | Iterable[str]) -> None:
    """Raise ConfigError, naming the nearest, unless ``name`` is among ``known``."""
    names = sorted(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(names)}"
        raise ConfigError(f"{what} '{name}' is unknown: {hint}")


def _at_least(name: str, value: float, least: float, exclusive: bool = False) -> None:
    if not least <= value < float("inf") or (exclusive and value == least):
        raise ConfigError(f"{name} is {value}: it must be {'more than' if exclusive else 'at least'} {least}")
