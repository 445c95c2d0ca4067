"""Before training: what a person asks for becomes settings and a plan, and how long that will take is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.clock import is_over_at_once, seconds_left
from trainer.data.pack import Pack
from trainer.judging_interval import by_default
from trainer.planning import Plan, pick_device, plan
from trainer.presets.choosing import choose_for
from trainer.resuming import own_settings, settings_for
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.training import last_saved


@dataclass(frozen=True)
class TrainingRequest:
    """What ``train`` is asked for.

    ``data`` is the folder of a pack and ``out`` that of the run, where they are given. ``settings`` are
    ``NAME=VALUE``, ``changes`` other settings by name, None for those that nobody named. Without ``resume`` a run that
    is there is begun anew.
    """

    data: Path | None = None
    out: Path | None = None
    preset: str | None = None
    settings: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = True


@dataclass(frozen=True)
class ChosenSettings:
    """The settings that a request comes to, and the pack, if it names one.

    ``is_new`` says that the run has no settings of its own yet, ``why`` why this preset was chosen, where nobody did.
    """

    config: TrainConfig
    pack: Pack | None
    is_new: bool
    why: str

    def settled(self) -> TrainConfig:
        """The settings as they are for the pack. Raises as ``plan`` does."""
        return plan(self.config, self.pack).config if self.pack else self.config


@dataclass(frozen=True)
class Prepared:
    """A plan that may begin: how many images the run has seen, and about how many seconds are left.

    ``judging`` says how often the run is judged, where nobody asked for it and it is.
    """

    plan: Plan
    images_seen: int
    seconds: float
    judging: str


def choose_settings(request: TrainingRequest) -> ChosenSettings:
    """The settings of ``request``: the run's own, those of its preset, or of the one that suits pack and machine.

    Raises DataError for a pack that cannot be read, and ConfigError for settings that cannot be.
    """
    pack = Pack.open(request.data) if request.data else None
    on_gpu = pick_device(request.changes.get("device") or "auto").type != "cpu"
    choice = choose_for(pack.info if pack else None, on_gpu, len(pack) if pack else 0)

    config = settings_for(request.out, request.preset, request.settings, usual=choice.preset, **request.changes)
    is_new = request.out is None or own_settings(Run(request.out)) is None
    return ChosenSettings(config, pack, is_new, choice.why if is_new and request.preset is None else "")


def prepare(request: TrainingRequest, chosen: ChosenSettings, dry_run: bool = False) -> Prepared:
    """The plan of ``chosen`` settings, after a few rounds that say how long it takes here.

    A new run that nobody said anything about is judged as often as costs little. Raises as ``plan`` does.
    """
    assert chosen.pack
    planned = plan(chosen.config, chosen.pack)

    # Of a run that goes on, only the rest takes time
    goes_on = request.resume and not dry_run
    seen = (last_saved(Run(request.out)) or 0) if request.out and goes_on else 0
    over = is_over_at_once(planned.config, seen)
    seconds = 0.0 if over else seconds_left(planned.config, planned.spec, planned.device, seen)

    judging = ""
    if chosen.is_new and not _speaks_of_judging(request):
        planned, judging = by_default(planned, seconds)
    return Prepared(planned, seen, seconds, judging)


def _speaks_of_judging(request: TrainingRequest) -> bool:
    named = any(setting.startswith("metric_") for setting in request.settings)
    return named or request.changes.get("metric_kimg") is not None
