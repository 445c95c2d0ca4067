"""The Triton model repository: its layout, what is in it, and whether a server could load it.

model_repository/NAME/
  config.pbtxt      rendered from the graph; the same bytes wherever it is made
  configs/          the same model with limits, and on other engines (serving/repository/engines.py)
  1/ 2/ …           model.onnx, golden.npz (checked at every start), manifest.json, SHA256SUMS
model_repository/NAME_mapping/, NAME_synthesis/
                    the same for the two parts of a generator that has styles, under the same version numbers
model_repository/NAME_from_seed/, NAME_png/
                    for thin clients (serving/repository/thin_clients.py), under the same version numbers
model_repository/.ganfoundry.lock
                    what publishers and servers lock; no model, for it is no directory
"""

import itertools
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import RepositoryError
from core.files import sha256, write_atomic
from core.hashes import hashes_of, parse_sums, render_sums
from serving.protocol.model_config import BUNDLE, PART, WHOLE, ModelConfig, glance, parse, part_name
from serving.repository.locks import alone
from serving.repository.release import PARTS
from serving.repository.thin_clients import RETIRED, THIN

CONFIG, CONFIGS = "config.pbtxt", "configs"
SUMS = "SHA256SUMS"
STAGED = ".ganfoundry"  # in a directory in which a publisher makes a version: the proof that all of it is ours
BESIDE = (*PARTS, *THIN)  # which parts of a generator are models beside it
_BEFORE = (*BESIDE, *RETIRED)  # those that appear before the whole
CACHE = "__pycache__"  # which servers leave beside models in Python
_REFUSED = re.compile(r"\.([0-9]+)\.refused")
_OF_FILE_SYSTEMS = ("lost+found", ".snapshot", ".zfs")  # where one is mounted
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Model:
    """A model in a repository: its versions, oldest first, and the directory that holds them."""

    name: str
    versions: tuple[int, ...]
    path: Path


def check_servable(repository: Path) -> None:
    """Delete what publishers that were killed left, then raise RepositoryError for what Triton could not load."""
    if repository.is_dir() and any(staged(repository, repository)):
        with alone(repository):  # after a publisher that is still at work
            sweep(repository)
    if any(unfinished(repository)):
        with alone(repository):
            delete(unfinished(repository))
    for path in repository.glob("*") if repository.is_dir() else ():
        if path.name in _OF_FILE_SYSTEMS:
            raise RepositoryError(
                f"{path} is the file system's own, and Triton would take it for a model: give --repository a folder "
                f"inside {repository}, and publish there"
            )
        if path.is_dir() and not _NAME.fullmatch(path.name):
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
    config = glance_at(model.path)
    for name, version in needs_of(model, config):
        beside = model.path.parent / name
        if not (beside / str(version)).is_dir():
            raise RepositoryError(f"{model.path} needs version {version} of {beside}: publish it again")
        if (most := glance_at(beside).max_batch_size) < config.max_batch_size:
            raise RepositoryError(
                f"{model.path / CONFIG} takes batches of {config.max_batch_size}, and {name}, which it needs, of "
                f"{most}: give both the same max_batch_size"
            )
    if (most := max(config.warmup, default=0)) > max(config.max_batch_size, 1):
        raise RepositoryError(
            f"{model.path / CONFIG} takes batches of {config.max_batch_size} and is warmed up with {most}: give its "
            "largest model_warmup the max_batch_size too"
        )
    ours = BUNDLE in config.parameters
    for version in model.versions[-config.versions :] if ours else ():
        check_seal(model.path / str(version))


def needs_of(model: Model, config: ModelConfig) -> list[tuple[str, int]]:
    """Other models that it asks, and which versions of them: its steps, or the generator that it is a door to."""
    if config.steps or not asks_others(config):
        return [(step.model, step.version) for step in config.steps]
    return [(config.parameters.get(WHOLE, ""), version) for version in model.versions[-config.versions :]]


def asks_others(config: ModelConfig) -> bool:
    """Whether a model is a door to others."""
    return bool(config.steps) or config.parameters.get(PART) in THIN


def seal(version: Path) -> None:
    """Write the hashes of all files of a version, as ``sha256sum -c`` takes them."""
    files = sorted(path.name for path in version.iterdir() if path.name != SUMS)
    write_atomic(version / SUMS, render_sums(hashes_of(version, files)))


def check_seal(version: Path) -> None:
    """Raise RepositoryError for a file of a version that is missing or not what it was when it was published."""
    try:
        known = parse_sums((version / SUMS).read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        raise RepositoryError(f"{version} has no readable {SUMS}: publish it again, or delete it") from None
    for name, digest in known.items():
        file = version / Path(name).name
        if not file.is_file():
            raise RepositoryError(f"{file} is missing: publish it again, and delete {version}")
        if sha256(file) != digest:
            raise RepositoryError(f"{file} was changed after it was published: publish it again, and delete {version}")


def hashes(version: Path) -> dict[str, str]:
    """The hash of every file of a version, by name, as its seal has them, and of the seal itself."""
    try:
        return parse_sums((version / SUMS).read_text(encoding="ascii")) | {SUMS: sha256(version / SUMS)}
    except (OSError, UnicodeDecodeError):
        return {}


def number_of(path: Path) -> int | None:
    """Which version of a model is at ``path``, hidden from servers or not; None for what is no version."""
    found = _REFUSED.fullmatch(path.name)
    return int(found[1] if found else path.name) if (found or path.name.isdecimal()) and path.is_dir() else None


def list_models(repository: Path) -> list[Model]:
    """The models in ``repository`` by name; none if there is no such directory. Looks at nothing inside a version."""
    directories = sorted(path for path in repository.glob("*") if path.is_dir() and not path.name.startswith("."))
    return [Model(path.name, tuple(versions_of(path)), path) for path in directories]


def read_config(model: Path) -> ModelConfig:
    """The configuration of the model in the directory ``model``. Raises RepositoryError if it is not one of ours."""
    return _understood(model, parse)


def glance_at(model: Path) -> ModelConfig:
    """As ``read_config``, of a model that anyone may have configured: what ModelConfig does not hold is left out."""
    return _understood(model, glance)


def _understood(model: Path, read: Callable[[str], ModelConfig]) -> ModelConfig:
    try:
        text = _text_of(model)
        glance(text)
        return read(text)
    except RepositoryError as error:
        raise RepositoryError(f"{model / CONFIG}: {error}") from None


def versions_of(model: Path) -> list[int]:
    """The versions of the model in the directory ``model``, oldest first."""
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if path.name.isdecimal() and path.is_dir())


def set_aside(model: Path, version: int) -> None:
    """Hide a version of the model in the directory ``model`` from servers; delete the model if it is the only one."""
    (model / str(version)).rename(model / f".{version}.refused")
    if not versions_of(model):
        delete([model])


def numbers_of(model: Path) -> list[int]:
    """Its versions, and those that were set aside: no number is given twice."""
    found = map(number_of, model.iterdir()) if model.is_dir() else ()
    return [number for number in found if number is not None]


def check_name(name: str) -> None:
    """Raise RepositoryError unless ``name`` can be a model's: it becomes a directory, and part of addresses."""
    if not _NAME.fullmatch(name):
        raise RepositoryError(
            f"'{name}' cannot name a model: use up to 128 letters, digits, '_', '-' and '.', not first '-' or '.'"
        )


def unfinished(repository: Path) -> Iterator[Path]:
    """Versions of parts that are newer than the whole's newest, and parts of which nothing else is left.

    A publisher that was killed before the whole appeared left them, or whoever took a version of the whole back. A
    server would load them instead of those that belong to the whole.
    """
    models = {model.name: model.versions for model in list_models(repository)}
    for name, part in itertools.product(models, _BEFORE):
        beside = repository / part_name(name, part)
        versions, newest = models.get(beside.name, ()), max(models[name], default=0)
        newer = [version for version in versions if version > newest]
        if newer and _is_part(beside, name, part):
            yield from [beside] if len(newer) == len(versions) else (beside / str(version) for version in newer)


def delete(places: Iterable[Path]) -> None:
    """Delete models and versions: what was published there, and their folders unless somebody put more into them.

    A version in which something is left is hidden from servers.
    """
    for path in list(places):
        with suppress(OSError):
            if path.name.isdecimal():
                _delete_version(path)
            else:
                _delete_model(path)


def _delete_model(model: Path) -> None:
    for version in [path for path in model.iterdir() if path.name.isdecimal() or _REFUSED.fullmatch(path.name)]:
        _delete_version(version)
    for config in (*(model / CONFIGS).glob("*.pbtxt"), model / CONFIG):
        config.unlink(missing_ok=True)
    for folder in (model / CONFIGS, model):
        with suppress(OSError):
            folder.rmdir()


def _delete_version(version: Path) -> None:
    """Delete the files that the version's seal names, and what Python made of them."""
    seal = version / SUMS
    names = [line.partition("  ")[2] for line in seal.read_text("ascii").splitlines()] if seal.is_file() else []
    for name in (*names, SUMS):
        (version / Path(name).name).unlink(missing_ok=True)
        for compiled in (version / CACHE).glob(f"{Path(name).stem}.*.pyc") if name.endswith(".py") else ():
            compiled.unlink()
    with suppress(OSError):
        (version / CACHE).rmdir()
    try:
        version.rmdir()
    except OSError:
        if version.name.isdecimal():
            version.rename(version.with_name(f".{version.name}.refused"))


def staging_prefix(repository: Path) -> str:
    """How the names of the directories begin in which publishers to ``repository`` make new versions."""
    return f".{repository.resolve().name}.publishing."


def staged(repository: Path, *places: Path) -> Iterator[Path]:
    """What publishers to ``repository`` make in ``places``, or have left there: it is marked, or holds no file."""
    ours = re.compile(re.escape(staging_prefix(repository)) + "[a-z0-9_]+")  # what tempfile adds
    found = (path for place in places for path in place.iterdir())
    named = (path for path in found if ours.fullmatch(path.name) and path.is_dir())
    return (path for path in named if (path / STAGED).is_file() or not _files(path))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]


def sweep(repository: Path, *more: Path) -> None:
    """Delete what publishers that were killed left. Only whoever holds the repository's lock may call it."""
    for path in list(staged(repository, *{repository, *more})):
        shutil.rmtree(path, ignore_errors=True)


def retired(name: str, repository: Path) -> Iterator[Path]:
    """Models beside the generator ``name`` that nothing asks any more."""
    places = {part: repository / part_name(name, part) for part in RETIRED}
    return (place for part, place in places.items() if place.is_dir() and _is_part(place, name, part))


def _is_part(model: Path, whole: str, part: str) -> bool:
    try:
        parameters = glance_at(model).parameters
    except RepositoryError:
        return False
    return (parameters.get(PART), parameters.get(WHOLE)) == (part, whole)


def _text_of(model: Path) -> str:
    try:
        return (model / CONFIG).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        why = "it is not text"
    except OSError as error:
        why = error.strerror or str(error)
    raise RepositoryError(f"it cannot be read ({why}): delete {model} and publish again")
