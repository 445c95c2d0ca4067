"""Whether a server could load a repository, looked at before Triton refuses it without a useful word."""

from pathlib import Path

from core.errors import RepositoryError
from serving.protocol.model_config import BUNDLE, WHOLE, ModelConfig
from serving.repository.configs import asks_others, read_config_lenient
from serving.repository.layout import CONFIG, is_name
from serving.repository.locks import exclusive
from serving.repository.seal import check_seal
from serving.repository.staging import delete_staged, staged, unfinished
from serving.repository.versions import Model, delete, list_models

_OF_FILE_SYSTEMS = ("lost+found", ".snapshot", ".zfs")  # where one is mounted


def check_servable(repository: Path) -> None:
    """Delete what publishers that were killed left, then raise RepositoryError for what Triton could not load."""
    # What is left of publishers; the lock waits for one that is still at work.
    if repository.is_dir() and any(staged(repository, repository)):
        with exclusive(repository):
            delete_staged(repository, repository)
    if any(unfinished(repository)):
        with exclusive(repository):
            delete(unfinished(repository))

    # Triton takes every folder for a model.
    for path in repository.glob("*") if repository.is_dir() else ():
        if path.name in _OF_FILE_SYSTEMS:
            raise RepositoryError(
                f"{path} is the file system's own, and Triton would take it for a model: give --repository a folder "
                f"inside {repository}, and publish there"
            )
        if path.is_dir() and not is_name(path.name):
            raise RepositoryError(f"{path} is a folder Triton would take for a model: move it out of {repository}")

    models = list_models(repository)
    if not models:
        raise RepositoryError(f"{repository} has no models: add one with 'publish'")
    for model in models:
        check_model(model)


def check_model(model: Model) -> None:
    """Raise RepositoryError unless Triton could load ``model``, and the versions it would serve are unchanged."""
    if not model.versions or not (model.path / CONFIG).is_file():
        raise RepositoryError(f"{model.path} is not a model Triton can load: publish it again, or delete it")
    config = read_config_lenient(model.path)

    # The models that it asks are there, and take batches as large as it does.
    for name, version in needs_of(model, config):
        needed = model.path.parent / name
        if not (needed / str(version)).is_dir():
            raise RepositoryError(f"{model.path} needs version {version} of {needed}: publish it again")
        if (most := read_config_lenient(needed).max_batch_size) < config.max_batch_size:
            raise RepositoryError(
                f"{model.path / CONFIG} takes batches of {config.max_batch_size}, and {name}, which it needs, of "
                f"{most}: give both the same max_batch_size"
            )
    if (most := max(config.warmup, default=0)) > max(config.max_batch_size, 1):
        raise RepositoryError(
            f"{model.path / CONFIG} takes batches of {config.max_batch_size} and is warmed up with {most}: give its "
            "largest model_warmup the max_batch_size too"
        )

    # Models of others have no seal.
    published = BUNDLE in config.parameters
    for version in model.versions[-config.versions :] if published else ():
        check_seal(model.path / str(version))


def needs_of(model: Model, config: ModelConfig) -> list[tuple[str, int]]:
    """Other models that it asks, and which versions of them: its steps, or the generator that it belongs to."""
    if config.steps or not asks_others(config):
        return [(step.model, step.version) for step in config.steps]
    return [(config.parameters.get(WHOLE, ""), version) for version in model.versions[-config.versions :]]
