"""``TrainConfig``: the settings of a run, checked, as they stand at a moment of it, and as a file."""

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from core.errors import ConfigError
from trainer.objective.losses import loss_of
from trainer.settings.catalogue import AUTO, Settings
from trainer.settings.fields import Change, one_of, settings_of
from trainer.settings.schedules import SCHEDULES
from trainer.settings.values import like

SMALL_DATA = ("translation",)  # what helped most in short runs; colour makes colours paler
SMALL = 30_000  # images

SETTINGS = settings_of(Settings)
# The settings that some systems alone have: by their name in a config, whose they are, and what checks them.
OF_SYSTEMS = {name: (known.systems, known.section) for name, known in SETTINGS.items() if known.section}
# What a run may change on its way, by ``final`` or by hand, and what it may when it goes on.
SCHEDULED = tuple(name for name, known in SETTINGS.items() if known.change is Change.ON_SCHEDULE)
ADJUSTABLE = tuple(
    name for kind in (Change.ON_SCHEDULE, Change.BY_HAND) for name, known in SETTINGS.items() if known.change is kind
)
FREE_TO_CHANGE = frozenset(name for name, known in SETTINGS.items() if known.change is Change.FREELY)


@dataclass(frozen=True)
class TrainConfig(Settings):
    """The settings of a training run, checked when made. Cadences and lengths are in thousands of images seen."""

    def __post_init__(self) -> None:
        # Each by itself
        for name, known in SETTINGS.items():
            if known.check:
                known.check(name, getattr(self, name))

        # What hangs together
        loss_of(self.loss, self.loss_options)
        self._check_final()
        self._check_changed()
        for name, (systems, numbers_of) in OF_SYSTEMS.items():
            numbers_of(getattr(self, name))
            if getattr(self, name) and not self.systems & {*systems}:
                owner = " or ".join(systems)
                raise ConfigError(f"{name} is of the {owner} system, and this run's is {self.system}: leave it out")

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
    def systems(self) -> frozenset[str]:
        """The names of the systems that are combined in this run's: mostly one."""
        return frozenset(self.system.split("+"))

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


def differences(ours: TrainConfig, theirs: TrainConfig) -> list[str]:
    """What two configs disagree on that a continued run may not change, as ``"batch: 64, was 32"``."""
    now, before = asdict(ours), asdict(theirs)
    may = FREE_TO_CHANGE | {*ADJUSTABLE, "changed"}
    return [f"{name}: {now[name]}, was {before[name]}" for name in now if name not in may and now[name] != before[name]]
