"""``models --prune`` and ``models --remove``: versions and models that were published go, and nothing else with them.

What goes is moved aside first, so that a server or a crash sees each version whole or not at all; whoever is killed
leaves what the next publisher clears away. A server that runs unloads what is gone (serving/server/rollout.py); it
serves the newest two versions, which are never pruned.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import RepositoryError
from core.files import sha256
from core.places import LITTER
from serving.protocol.model_config import BUNDLE, PART, WHOLE, ModelConfig
from serving.protocol.pbtxt import parse
from serving.repository.configs import read_config_lenient
from serving.repository.layout import CONFIGS, PYTHON_CACHE, THIN
from serving.repository.locks import exclusive
from serving.repository.models import KEPT
from serving.repository.seal import sealed_hashes
from serving.repository.staging import staging, writing
from serving.repository.versions import list_models, number_of, versions_of


def remove(names: Sequence[str], repository: Path, dry_run: bool = False) -> list[Path]:
    """Delete the models ``names`` with all that belongs to them; gives the folders that went.

    Raises RepositoryError, and deletes nothing, for a name that is not in the repository, or where anything is not what
    was published.
    """
    _check_there(repository)
    with writing(repository, repository), exclusive(repository):
        generators = _generators(repository, names)
        models = [model for name in dict.fromkeys(names) for model in generators[name]]
        for model in models:
            _check_model(model)
        if not dry_run:
            _delete(models, repository)
    return models


def prune(keep: int, repository: Path, names: Sequence[str] = (), dry_run: bool = False) -> list[Path]:
    """Delete all but the newest ``keep`` versions of each model, or of those in ``names``; gives the folders that went.

    Models that do not come from ``publish`` are left alone. Raises RepositoryError, and deletes nothing, for fewer
    versions than a server serves, a name that is not in the repository, and where anything in a version is not what was
    published.
    """
    if keep < KEPT:
        raise RepositoryError(f"a server serves the newest {KEPT} versions: keep {KEPT} or more")
    _check_there(repository)
    with writing(repository, repository), exclusive(repository):
        generators = _generators(repository, names)

        versions = [
            version
            for name in sorted(set(names) or generators)
            for version in _older(generators[name], versions_of(repository / name)[-keep:])
        ]

        for version in versions:
            _check_version(version)
        if not dry_run:
            _delete(versions, repository)
    return versions


def _check_there(repository: Path) -> None:
    if not repository.is_dir():
        raise RepositoryError(f"{repository} has no models: add one with 'publish'")


def _generators(repository: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """The models that ``publish`` made, by the generator they belong to: those that need others first.

    Raises RepositoryError where one of ``names`` is not among them.
    """
    found: dict[str, list[tuple[int, Path]]] = {}
    for model in list_models(repository):
        try:
            config = read_config_lenient(model.path)
        except RepositoryError:
            continue  # whose it is cannot be told

        if BUNDLE in config.parameters and not model.path.is_symlink():
            whole = config.parameters.get(WHOLE, model.name)
            found.setdefault(whole, []).append((_place_in_line(config), model.path))

    if unknown := sorted(set(names) - set(found)):
        raise RepositoryError(f"{repository} has no model '{unknown[0]}' from 'publish': 'models' lists those it has")
    return {name: [path for _, path in sorted(models)] for name, models in found.items()}


def _place_in_line(config: ModelConfig) -> int:
    """In which order models go: those for thin clients first, for they need the generator, then it, then its parts."""
    return 0 if config.parameters.get(PART) in THIN else 1 if WHOLE not in config.parameters else 2


def _older(models: list[Path], kept: list[int]) -> Iterator[Path]:
    """The versions of a generator's models that are older than those that are kept."""
    for model in models:
        for path in sorted(model.iterdir()):
            if (number := number_of(path)) is not None and kept and number < kept[0]:
                yield path


def _check_model(model: Path) -> None:
    """Raise RepositoryError unless all that is in the directory ``model`` is what ``publish`` wrote."""
    for path in sorted(model.iterdir()):
        if number_of(path) is not None:
            _check_version(path)
        elif path.name == CONFIGS and path.is_dir() and not path.is_symlink():
            for config in sorted(path.iterdir()):
                _check_config(config)
        else:
            _check_config(path)


def _check_config(path: Path) -> None:
    """Raise RepositoryError unless the file is a configuration that came with a bundle; settings may have changed."""
    try:
        ours = path.suffix == ".pbtxt" and BUNDLE in parse(path.read_text(encoding="utf-8")).parameters
    except (RepositoryError, OSError, UnicodeDecodeError):
        ours = False
    if not ours and path.name not in LITTER:
        raise _refusal(path)


def _check_version(version: Path) -> None:
    """Raise RepositoryError unless all that is in the directory ``version`` is what its seal names, or comes of it."""
    known = sealed_hashes(version)
    compiled = {name.removesuffix(".py") for name in known if name.endswith(".py")}

    for path in sorted(version.iterdir()):
        if path.name == PYTHON_CACHE and path.is_dir() and not path.is_symlink():
            strange = [
                each for each in path.iterdir() if each.suffix != ".pyc" or each.name.split(".")[0] not in compiled
            ]
            if strange:
                raise _refusal(strange[0])
        elif path.name not in LITTER and (
            path.is_symlink() or not path.is_file() or sha256(path) != known.get(path.name)
        ):
            raise _refusal(path)


def _refusal(path: Path) -> RepositoryError:
    return RepositoryError(
        f"{path} is not what 'publish' wrote: move it, or delete the folder by hand; nothing was deleted"
    )


def _delete(places: list[Path], repository: Path) -> None:
    with staging(repository) as aside:
        for index, place in enumerate(places):
            place.rename(aside / f"{index}")
