"""The Triton model repository: ``publish`` adds a bundle to it as the next version of a model.

model_repository/NAME/
  config.pbtxt      rendered from the graph; the same bytes wherever it is made
  1/ 2/ …           model.onnx, golden.npz (checked at every start), manifest.json
model_repository/NAME_mapping/, NAME_synthesis/
                    the same for the two parts of a generator that has styles, under the same version numbers
"""

import errno
import fcntl
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.bundle import GOLDEN, MANIFEST
from core.errors import RepositoryError
from core.files import new_directory, sync_directory, sync_tree, write_atomic
from serving.config import PART, WHOLE, ModelConfig, check_readable, parameters_of, parse, part_name, render
from serving.pieces import PARTS, Piece, listed, pieces_of

CONFIG = "config.pbtxt"
MODEL = "model.onnx"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Published:
    """One version of a model in a repository; ``path`` is the version's directory.

    ``parts`` names the models beside it that are its parts; each has the same version.
    """

    name: str
    version: int
    path: Path
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model in a repository: its versions, oldest first, and the directory that holds them."""

    name: str
    versions: tuple[int, ...]
    path: Path


def publish(bundle: Path, name: str, repository: Path) -> Published:
    """Add ``bundle`` as the next version of the model ``name``; the same bundle again is a new version again.

    The parts of a bundle that has them become models of their own, ``name_mapping`` and ``name_synthesis``, of the
    same version. A server or a crash sees each version whole or not at all, and that of ``name`` only when its parts
    are there. Raises BundleError for a bundle that is damaged or breaks the graph contract, RepositoryError for an
    unfit name, a model whose inputs or outputs differ, one in the place of a part, or a repository that cannot be
    written.
    """
    check_name(name)
    pieces = pieces_of(bundle, name)
    for piece in pieces:
        check_name(piece.config.name)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with _alone(repository):
            _sweep(repository, _beside(repository))
            try:
                version = _publish_all(pieces, bundle / MANIFEST, repository)
            finally:
                _delete(_unfinished(repository))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RepositoryError(f"{repository} has no room for {bundle}: make room, then publish again") from None
        raise RepositoryError(f"{repository} cannot be written ({error.strerror or error}): choose another") from None
    parts = tuple(piece.config.name for piece in pieces[:-1])
    return Published(name, version, repository / name / str(version), parts)


def check_servable(repository: Path) -> None:
    """Delete what publishers that were killed left, then raise RepositoryError for what Triton could not load."""
    if repository.is_dir() and any(_staged(repository, repository)):
        with _alone(repository):  # after a publisher that is still at work
            _sweep(repository)
    if any(_unfinished(repository)):
        with _alone(repository):
            _delete(_unfinished(repository))
    for path in repository.glob(".*"):
        if path.is_dir():
            raise RepositoryError(f"{path} is a folder Triton would take for a model: move it out of {repository}")
    models = list_models(repository)
    if not models:
        raise RepositoryError(f"{repository} has no models: add one with 'publish'")
    for model in models:
        if not model.versions or not (model.path / CONFIG).is_file():
            raise RepositoryError(f"{model.path} is not a model Triton can load: publish it again, or delete it")
        try:
            check_readable(_text_of(model.path))
        except RepositoryError as error:
            raise RepositoryError(f"{model.path / CONFIG}: {error}") from None


def list_models(repository: Path) -> list[Model]:
    """The models in ``repository`` by name; none if there is no such directory. Looks at nothing inside a version."""
    directories = sorted(path for path in repository.glob("*") if path.is_dir() and not path.name.startswith("."))
    return [Model(path.name, tuple(_versions(path)), path) for path in directories]


def read_config(model: Path) -> ModelConfig:
    """The configuration of the model in the directory ``model``. Raises RepositoryError if it is not one of ours."""
    try:
        text = _text_of(model)
        check_readable(text)
        return parse(text)
    except RepositoryError as error:
        raise RepositoryError(f"{model / CONFIG}: {error}") from None


def read_parameters(model: Path) -> dict[str, str]:
    """The parameters of the model in the directory ``model``, whoever configured it. Raises RepositoryError."""
    try:
        return parameters_of(_text_of(model))
    except RepositoryError as error:
        raise RepositoryError(f"{model / CONFIG}: {error}") from None


def check_name(name: str) -> None:
    """Raise RepositoryError unless ``name`` can be a model's: it becomes a directory, and part of addresses."""
    if not _NAME.fullmatch(name):
        raise RepositoryError(
            f"'{name}' cannot name a model: use up to 128 letters, digits, '_', '-' and '.', not starting with '.'"
        )


def _publish_all(pieces: list[Piece], manifest: Path, repository: Path) -> int:
    """Add every piece under one new version number, which is returned; the last becomes visible last."""
    models = [repository / piece.config.name for piece in pieces]
    for piece, model in zip(pieces, models, strict=True):
        if model.exists():
            _check_fits(read_config(model), piece.config)
    version = 1 + max((number for model in models for number in _versions(model)), default=0)
    # The stack ends in reverse: the last piece is entered first, and appears when all others have.
    with ExitStack() as stack:
        for piece, model in reversed(list(zip(pieces, models, strict=True))):
            adding = _adding_version if model.exists() else _adding_model
            _fill(stack.enter_context(adding(model, piece.config, version)), piece, manifest)
    return version


@contextmanager
def _adding_model(model: Path, config: ModelConfig, version: int) -> Iterator[Path]:
    """The directory of a new model's first version, to be filled in the block; the model appears when it ends."""
    # Triton takes every directory in the repository for a model, hidden and half-written ones too: build it beside.
    where, prefix = _beside(model.parent), _staging_prefix(model.parent)
    with tempfile.TemporaryDirectory(dir=where, prefix=prefix, ignore_cleanup_errors=True) as staging:
        staged = Path(staging) / model.name
        (staged / str(version)).mkdir(parents=True)
        yield staged / str(version)
        write_atomic(staged / CONFIG, render(config))
        sync_tree(staged)
        staged.rename(model)
    sync_directory(model.parent)


@contextmanager
def _adding_version(model: Path, config: ModelConfig, version: int) -> Iterator[Path]:
    """The directory of another version of a model, to be filled in the block; it appears when the block ends."""
    existing = read_config(model)
    for left in model.glob(".[0-9]*.tmp"):  # by a publisher that was killed
        shutil.rmtree(left, ignore_errors=True)
    with new_directory(model / str(version)) as staged:  # Triton ignores directories that are not numbers in here
        yield staged
    # Batching and instances stay as they were set for this machine; what the model is comes from the newest bundle.
    write_atomic(model / CONFIG, render(replace(existing, parameters=existing.parameters | config.parameters)))


def _fill(version: Path, piece: Piece, manifest: Path) -> None:
    shutil.copyfile(piece.graph, version / MODEL)
    (version / GOLDEN).write_bytes(piece.golden.to_bytes())
    shutil.copyfile(manifest, version / MANIFEST)


def _check_fits(existing: ModelConfig, config: ModelConfig) -> None:
    """The versions of a model share one configuration, so they must share its role, inputs and outputs."""
    was, becomes = _role(existing), _role(config)
    if was != becomes:
        raise RepositoryError(f"'{config.name}' is already {was}, so it cannot be {becomes}: choose another --name")
    for kind, old, new in (("inputs", existing.inputs, config.inputs), ("outputs", existing.outputs, config.outputs)):
        if set(old) != set(new):
            raise RepositoryError(
                f"the {kind} of this bundle are {listed(new)}, those of the model '{config.name}' "
                f"{listed(old)}: publish it under another name"
            )


def _role(config: ModelConfig) -> str:
    if PART not in config.parameters:
        return "a model of its own"
    return f"the {config.parameters[PART]} of '{config.parameters.get(WHOLE, '')}'"


def _unfinished(repository: Path) -> Iterator[Path]:
    """Versions of parts that are newer than the whole's newest, and parts of which nothing else is left.

    A publisher that was killed before the last of its models left them, or whoever took a version of the whole
    back. A server would load them instead of those that belong to the whole.
    """
    models = {model.name: model.versions for model in list_models(repository)}
    for name, part in itertools.product(models, PARTS):
        beside = repository / part_name(name, part)
        versions, newest = models.get(beside.name, ()), max(models[name], default=0)
        newer = [version for version in versions if version > newest]
        if newer and _is_part(beside, name, part):
            yield from [beside] if len(newer) == len(versions) else (beside / str(version) for version in newer)


def _is_part(model: Path, whole: str, part: str) -> bool:
    try:
        parameters = read_config(model).parameters
    except RepositoryError:
        return False
    return (parameters.get(PART), parameters.get(WHOLE)) == (part, whole)


def _delete(directories: Iterable[Path]) -> None:
    for path in list(directories):
        shutil.rmtree(path, ignore_errors=True)


def _versions(model: Path) -> list[int]:
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if path.name.isdecimal() and path.is_dir())


def _text_of(model: Path) -> str:
    try:
        return (model / CONFIG).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        why = "it is not text"
    except OSError as error:
        why = error.strerror or str(error)
    raise RepositoryError(f"it cannot be read ({why}): delete {model} and publish again")


def _staging_prefix(repository: Path) -> str:
    return f".{repository.resolve().name}.publishing."


def _staged(repository: Path, *places: Path) -> Iterator[Path]:
    """What publishers to ``repository`` are making in ``places``, or have left there."""
    ours = re.compile(re.escape(_staging_prefix(repository)) + "[a-z0-9_]+")  # what tempfile adds
    return (path for place in places for path in place.iterdir() if ours.fullmatch(path.name))


def _sweep(repository: Path, *more: Path) -> None:
    """Delete what publishers that were killed left. Only whoever holds the repository's lock may call it."""
    _delete(_staged(repository, *{repository, *more}))


def _beside(repository: Path) -> Path:
    """A directory on the file system of ``repository``, so that a rename into it works: its parent, if that is one."""
    parent = repository.resolve().parent
    same = parent.stat().st_dev == repository.stat().st_dev
    return parent if same and os.access(parent, os.R_OK | os.W_OK) else repository


@contextmanager
def _alone(repository: Path) -> Iterator[None]:
    """One publisher at a time: two would choose the same version."""
    handle = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
