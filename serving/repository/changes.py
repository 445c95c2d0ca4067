"""Changes to a published generator other than a new version: one is taken back, or it is run in another way."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from core.errors import RepositoryError
from serving.protocol.model_config import ModelConfig
from serving.repository.configs import configs_of, write_configs
from serving.repository.ensembles import convert_ensembles, retired
from serving.repository.layout import check_name
from serving.repository.locks import exclusive
from serving.repository.models import ModelEntry, entries_of
from serving.repository.release import Release
from serving.repository.staging import writing
from serving.repository.versions import delete, set_aside, versions_of


def withdraw(name: str, version: int, repository: Path) -> int:
    """Set the newest ``version`` of ``name`` aside, as if it had not been published; gives the one that is newest now.

    Its directories stay, hidden from servers, as ``.VERSION.refused``; models that came with it go. Raises
    RepositoryError where it is the only one.
    """
    model = repository / name
    with exclusive(repository):
        older = [each for each in versions_of(model) if each != version]
        if not older:
            raise RepositoryError(f"'{name}' has no other version: publish one that is right, or delete {model}")
        convert_ensembles(name, repository)

        # The generator first: should we be killed, companions that are newer than it are known to be unfinished.
        for entry in reversed(_entries(name, older[-1], repository, configs_of(name, repository))):
            path = repository / entry.config.name
            if (path / str(older[-1])).is_dir():
                write_configs(path, entry.config, entry.engines)
            if (path / str(version)).is_dir():
                set_aside(path, version)

        delete(retired(name, repository))
    return older[-1]


def reconfigure(name: str, repository: Path, change: Callable[[ModelConfig], ModelConfig]) -> tuple[str, ...]:
    """Run ``name`` as ``change`` says of its configuration, its parts the same way, and fit what belongs to it to that.

    A server that runs takes it up. Should it be killed half-way, what it leaves can still be served: at no moment may a
    model ask for larger batches than the one it needs takes. Gives the names of the models that were written.
    """
    check_name(name)
    model = repository / name
    if not versions_of(model):
        raise RepositoryError(f"{repository} has no model '{name}': 'models' lists those it has")
    with writing(repository, model), exclusive(repository):
        convert_ensembles(name, repository)

        # What all models of the generator become.
        configs = configs_of(name, repository)
        wanted = change(configs[name])
        fitted = {each: _fitted(config, wanted) for each, config in configs.items()}
        entries = _entries(name, versions_of(model)[-1], repository, fitted)

        # Smaller batches are asked for before they are taken, larger ones are taken before they are asked for.
        smaller = wanted.max_batch_size < configs[name].max_batch_size
        for entry in entries if smaller else reversed(entries):
            if entry.config.name in configs:
                write_configs(repository / entry.config.name, entry.config, entry.engines)

        delete(retired(name, repository))
    return tuple(configs)


def _entries(name: str, version: int, repository: Path, configs: Mapping[str, ModelConfig]) -> list[ModelEntry]:
    """The models of a version that is there, set as ``configs``."""
    return entries_of(Release.of_version(repository / name, version), name, False, configs)


def _fitted(config: ModelConfig, wanted: ModelConfig) -> ModelConfig:
    """The configuration of one of the models of a generator that is to be run as ``wanted``.

    A graph takes all settings over; a model that asks the generator takes batches as large, and nothing else.
    """
    is_graph = config.backend == wanted.backend
    return config.set_as(wanted) if is_graph else replace(config, max_batch_size=wanted.max_batch_size)
