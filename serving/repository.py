"""The Triton model repository: ``publish`` adds a bundle to it as the next version of a model.

model_repository/NAME/
  config.pbtxt      rendered from the graph; the same bytes wherever it is made
  1/ 2/ …           model.onnx, golden.npz (checked at every start), manifest.json
"""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.bundle import GOLDEN, GRAPH, MANIFEST, Golden, Manifest, read_bundle
from core.errors import BundleError, RepositoryError
from core.files import new_directory, sha256, sync_directory, sync_tree, write_atomic
from serving.config import BUNDLE, SPEC, ModelConfig, Tensors, check_readable, parse, render
from serving.graph import expected_tensors, tensors_of

CONFIG = "config.pbtxt"
MODEL = "model.onnx"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Published:
    """One version of a model in a repository; ``path`` is the version's directory."""

    name: str
    version: int
    path: Path


@dataclass(frozen=True)
class Model:
    """A model in a repository: its versions, oldest first, and the directory that holds them."""

    name: str
    versions: tuple[int, ...]
    path: Path


def publish(bundle: Path, name: str, repository: Path) -> Published:
    """Add ``bundle`` as the next version of the model ``name``; the same bundle again is a new version again.

    A server or a crash sees the version whole or not at all. Raises BundleError for a bundle that is damaged or
    breaks the graph contract, RepositoryError for an unfit name, a model whose inputs or outputs differ, or a
    repository that cannot be written.
    """
    check_name(name)
    config = config_for(bundle, name)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with _alone(repository):
            _sweep(repository, _beside(repository))
            model = repository / name
            return _publish_next(bundle, config, model) if model.exists() else _publish_first(bundle, config, model)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RepositoryError(f"{repository} has no room for {bundle}: make room, then publish again") from None
        raise RepositoryError(f"{repository} cannot be written ({error.strerror or error}): choose another") from None


def check_servable(repository: Path) -> None:
    """Delete what publishers that were killed left, then raise RepositoryError for what Triton could not load."""
    if repository.is_dir() and any(_staged(repository, repository)):
        with _alone(repository):  # after a publisher that is still at work
            _sweep(repository)
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


def config_for(bundle: Path, name: str) -> ModelConfig:
    """The configuration with which ``bundle`` is served as ``name``, after checking every hash and the contract."""
    manifest = read_bundle(bundle)
    inputs, outputs = tensors_of(bundle / GRAPH)
    _check_contract(bundle, manifest, inputs, outputs)
    parameters = {SPEC: manifest.spec.to_json(), BUNDLE: sha256(bundle / MANIFEST)}
    return ModelConfig(name, inputs, outputs, parameters=parameters)


def check_name(name: str) -> None:
    """Raise RepositoryError unless ``name`` can be a model's: it becomes a directory, and part of addresses."""
    if not _NAME.fullmatch(name):
        raise RepositoryError(
            f"'{name}' cannot name a model: use up to 128 letters, digits, '_', '-' and '.', not starting with '.'"
        )


def _publish_first(bundle: Path, config: ModelConfig, model: Path) -> Published:
    # Triton takes every directory in the repository for a model, hidden and half-written ones too: build it beside.
    where, prefix = _beside(model.parent), _staging_prefix(model.parent)
    with tempfile.TemporaryDirectory(dir=where, prefix=prefix, ignore_cleanup_errors=True) as staging:
        staged = Path(staging) / model.name
        (staged / "1").mkdir(parents=True)
        _copy_version(bundle, staged / "1")
        write_atomic(staged / CONFIG, render(config))
        sync_tree(staged)
        staged.rename(model)
    sync_directory(model.parent)
    return Published(config.name, 1, model / "1")


def _publish_next(bundle: Path, config: ModelConfig, model: Path) -> Published:
    existing = read_config(model)
    _check_same_interface(existing, config)
    for left in model.glob(".[0-9]*.tmp"):  # by a publisher that was killed
        shutil.rmtree(left, ignore_errors=True)
    version = max(_versions(model), default=0) + 1
    with new_directory(model / str(version)) as staged:  # Triton ignores directories that are not numbers in here
        _copy_version(bundle, staged)
    # Batching and instances stay as they were set for this machine; what the model is comes from the newest bundle.
    write_atomic(model / CONFIG, render(replace(existing, parameters=existing.parameters | config.parameters)))
    return Published(config.name, version, model / str(version))


def _copy_version(bundle: Path, version: Path) -> None:
    for source, target in ((GRAPH, MODEL), (GOLDEN, GOLDEN), (MANIFEST, MANIFEST)):
        shutil.copyfile(bundle / source, version / target)


def _check_same_interface(existing: ModelConfig, config: ModelConfig) -> None:
    """The versions of a model share one configuration, so they must share its inputs and outputs."""
    for kind, old, new in (("inputs", existing.inputs, config.inputs), ("outputs", existing.outputs, config.outputs)):
        if set(old) != set(new):
            raise RepositoryError(
                f"the {kind} of this bundle are {_listed(new)}, those of the model '{config.name}' "
                f"{_listed(old)}: publish it under another name"
            )


def _check_contract(bundle: Path, manifest: Manifest, inputs: Tensors, outputs: Tensors) -> None:
    for kind, found, expected in zip(
        ("inputs", "outputs"), (inputs, outputs), expected_tensors(manifest.spec), strict=True
    ):
        if set(found) != set(expected):
            raise BundleError(
                f"the {kind} of {bundle / GRAPH} are {_listed(found)}, its spec wants {_listed(expected)}: export again"
            )
    golden = Golden.read(bundle / GOLDEN)
    shapes = {name: values.shape[1:] for name, values in golden.inputs.items()} | {"image": golden.images.shape[1:]}
    if shapes != {tensor.name: tensor.dims for tensor in (*inputs, *outputs)}:
        raise BundleError(f"{bundle / GOLDEN} does not fit the graph beside it: export again")


def _listed(tensors: Tensors) -> str:
    return ", ".join(
        f"{each.name} {each.data_type} {list(each.dims)}" for each in sorted(tensors, key=lambda t: t.name)
    )


def _versions(model: Path) -> list[int]:
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
    for path in list(_staged(repository, *{repository, *more})):
        shutil.rmtree(path, ignore_errors=True)


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
