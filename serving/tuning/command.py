"""``tune``: measures how a published model is best run on this machine, and has it run so."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from core.errors import RepositoryError
from serving.protocol.model_config import ONNXRUNTIME, WHOLE, ModelConfig
from serving.repository.changes import reconfigure
from serving.repository.configs import read_config
from serving.repository.servable import check_model
from serving.repository.versions import list_models
from serving.server.cores import usable_cores
from serving.tuning.bench import Bench, Effort, triton_bench
from serving.tuning.grid import Setting, most_candidates
from serving.tuning.search import FINALISTS, HALVINGS, REPEATS, STEPS, Found, Tell, search

_START_SECONDS = 4.0  # of a server, its golden images included


@dataclass(frozen=True)
class Tuned:
    """What a search found, and the models whose configurations were written; none where nothing was."""

    found: Found
    written: tuple[str, ...]


def tune(
    name: str,
    repository: Path,
    effort: Effort,
    limit_ms: float | None = None,
    *,
    dry_run: bool = False,
    tell: Tell = lambda _: None,
    ready: Callable[[], None] = lambda: None,
) -> Tuned:
    """Measure settings for the newest version of ``name`` and write the best, unless it is no better than the present.

    ``ready`` may still refuse, once the model is known and before anything is measured. ``limit_ms`` is what 99 in 100
    requests must be answered within. ``tell`` hears how long it will take, and of each
    setting. Raises RepositoryError for a model that is not there or is not one to tune, ServingError if it cannot be
    served or keeps to no limit, and MissingDependency without a server.
    """
    model, version, config = _model(name, repository)
    ready()
    cores = usable_cores()
    present = Setting.of(config, cores)
    tell(
        f"up to {most_candidates(present, cores)} settings on {cores} cores: "
        f"about {_minutes(present, cores, effort)} minutes"
    )

    def benches(setting: Setting) -> AbstractContextManager[Bench]:
        return triton_bench(model, version, setting.on(config), effort)

    found = search(benches, present, cores, limit_ms, tell)
    if dry_run or found.chosen == present:
        return Tuned(found, ())
    return Tuned(found, reconfigure(name, repository, found.chosen.on))


def _model(name: str, repository: Path) -> tuple[Path, int, ModelConfig]:
    """Where the model is, its newest version, and how it is configured."""
    models = {model.name: model for model in list_models(repository)}
    if name not in models:
        raise RepositoryError(f"{repository} has no model '{name}': 'models' lists those it has")
    check_model(models[name])
    config = read_config(models[name].path)
    if config.backend != ONNXRUNTIME or WHOLE in config.parameters:
        whole = config.parameters.get(WHOLE)
        instead = f": tune '{whole}', and it follows" if whole else ""
        raise RepositoryError(f"'{name}' is no generator of its own{instead}")
    return models[name].path, models[name].versions[-1], config


def _minutes(present: Setting, cores: int, effort: Effort) -> int:
    """How long the search takes if every setting is tried, and a few points of each twice; rounded up."""
    curve = _START_SECONDS + (len(STEPS) + 2 * HALVINGS) * effort.seconds
    repeat = _START_SECONDS + 1.5 * effort.seconds
    return int((most_candidates(present, cores) * curve + REPEATS * FINALISTS * repeat) / 60) + 1
