"""Going on with a run: by its own settings, from its newest whole state, and with what may be changed on the way."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigError, TrainingError
from core.files import sweep_directories
from core.run import CONFIG
from trainer import state
from trainer.hooks.log import Report
from trainer.presets import resolve
from trainer.presets.settings import set_all
from trainer.run import Run
from trainer.settings.config import TrainConfig, differences

_SHOWN = 3  # differences


@dataclass(frozen=True)
class Settled:
    """What a run is trained by, and the state that it goes on from; None if it begins."""

    config: TrainConfig
    saved: state.Saved | None


def settings_for(
    out: Path | None, preset: str | None, settings: Iterable[str] = (), *, usual: str = "dcgan-cpu", **changes: Any
) -> TrainConfig:
    """What ``train`` is asked for: the run's own settings if ``out`` holds one of that ``preset``, else the preset's.

    Where there is no run and no ``preset``, it is the ``usual`` one. ``settings`` and ``changes`` go on top, as
    ``trainer.presets.resolve`` has them.
    """
    own = own_settings(Run(out)) if out else None
    if own is None or preset not in (None, own.preset):
        return resolve(preset or usual, settings, **changes)
    return set_all(own.adjusted(), settings, changes)


def own_settings(run: Run) -> TrainConfig | None:
    """The settings that a run of ours has noted; None if there are none."""
    if CONFIG not in run.written():
        return None
    try:
        return TrainConfig.from_json(run.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError):
        return None


def find_state(run: Run, wanted: TrainConfig, fingerprint: str, report: Report) -> Settled:
    """The newest whole state of ``run``, once it is known to be of these images and of ``wanted``.

    Raises TrainingError, which says what to do, where nobody can go on with that.
    """
    # The newest whole one
    sweep_directories(run.checkpoints)
    saved, problems = state.load_latest(run.checkpoints)
    for problem in problems:
        report({"note": f"{problem}: going back to the state before it"})
    if saved is None:
        if problems:
            raise TrainingError(_nothing_whole(run))
        return Settled(wanted, None)

    # Of these images and settings
    if saved.fingerprint != fingerprint:
        raise TrainingError(
            f"{run.root} was trained on other images (fingerprint {saved.fingerprint[:12]}, this pack has "
            f"{fingerprint[:12]}): use that pack, or another --out; {_loss(run)}"
        )
    if changed := differences(wanted, saved.config):
        raise TrainingError(_other_settings(run, wanted, saved.config, changed))

    # What is changed on the way is noted by the moment, and said
    began = own_settings(run) or saved.config
    if differences(began, saved.config):  # somebody edited it
        began = saved.config
    config = began.continued(wanted, saved.images_seen)
    for name, value in config.changed.get(str(saved.images_seen), {}).items():
        if value != getattr(began.adjusted(saved.images_seen), name):
            report({"note": f"{name} is {value:g} from {saved.images_seen:,} images on"})
    return Settled(config, saved)


def _nothing_whole(run: Run) -> str:
    """What to do when every state is damaged. The generator beside them is another file, and may well be whole."""
    rest = f"; {run.generator} can still be exported" if run.generator.exists() else ""
    return f"no state in {run.checkpoints} is whole, and all is left as it is: use another --out{rest}; {_loss(run)}"


def _other_settings(run: Run, wanted: TrainConfig, before: TrainConfig, changed: list[str]) -> str:
    """What to do about settings that a run cannot change on its way: first the remedy, then what differs."""
    others = [each for each in changed if not each.startswith("preset:")]
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    if wanted.preset != before.preset:
        remedy = (
            f"it is a run of {before.preset}, which goes on without --preset; for {wanted.preset} use another --out"
        )
    else:
        remedy = "leave those out to go on, or use another --out"
    return f"{run.root} has other settings: {remedy} ({'; '.join(others[:_SHOWN])}{more}); {_loss(run)}"


def _loss(run: Run) -> str:
    return f"--no-resume would begin anew, and delete {run.contents()}"
