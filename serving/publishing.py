"""``publish`` and ``rollback``: a new version of a generator, made aside, tried, and only then visible.

Versions only ever go up. Going back is a newer version that is an older one again: whoever is in the middle of work
with the version that is taken back can finish with it, because a server keeps the version before the newest.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.bundle import MANIFEST, read_manifest
from core.errors import RepositoryError
from core.files import sha256, sync_tree, write_atomic
from core.hashes import render_sums
from core.places import why_not
from core.system import sync_directory
from serving.protocol.model_config import ModelConfig, part_name, render
from serving.repository.compatibility import check_fits
from serving.repository.layout import (
    BESIDE,
    CONFIG,
    CONFIGS,
    STAGED,
    SUMS,
    check_name,
    delete,
    hashes,
    numbers_of,
    read_config,
    retired,
    seal,
    set_aside,
    staging_prefix,
    sweep,
    unfinished,
    versions_of,
)
from serving.repository.locks import alone
from serving.repository.models import Piece, pieces_of
from serving.repository.release import Release, of_bundle, of_version
from serving.repository.thin_clients import SCRIPT, THIN, own_files

Trial = Callable[[Path], None]  # looks at a repository that holds nothing but the new version, and raises if it is bad


@dataclass(frozen=True)
class Published:
    """One version of a model in a repository; ``path`` is the version's directory.

    ``beside`` names the models beside it that belong to it; each has the same version.
    """

    name: str
    version: int
    path: Path
    beside: tuple[str, ...] = ()


def publish(bundle: Path, name: str, repository: Path, *, thin: bool = True, trial: Trial | None = None) -> Published:
    """Add ``bundle`` as the next version of the model ``name``; the same bundle again is a new version again.

    Models beside it become those of its parts that the bundle has, and, where ``thin``, those for clients that send a
    seed and nothing else. A server or a crash sees each version whole or not at all, and nothing before what it needs.
    ``trial`` sees it first. Raises BundleError for a bundle that is damaged or breaks the graph contract,
    RepositoryError for an unfit name, a model whose inputs or outputs differ, one in the place of a part, or a
    repository that cannot be written; and what ``trial`` raises. Then nothing is published.
    """
    for part in ("", *BESIDE):
        check_name(part_name(name, part) if part else name)
    if problem := why_not(repository, whole=False):
        raise RepositoryError(f"{repository} cannot be written: {problem}")
    release = of_bundle(bundle)
    with writing(repository, bundle):
        repository.mkdir(parents=True, exist_ok=True)
        return _add(release, name, repository, thin, trial)


def rollback(name: str, repository: Path, to: int | None = None, *, trial: Trial | None = None) -> Published:
    """Make the newest version of ``name`` be an older one again: ``to``, the last other one unless given.

    Raises RepositoryError where there is none, or it is damaged; otherwise as ``publish`` does.
    """
    check_name(name)
    model = repository / name
    versions = versions_of(model)
    if not versions:
        raise RepositoryError(f"{repository} has no model '{name}': 'models' lists those it has")
    release = of_version(model, _chosen(model, versions, to))
    with writing(repository, model):
        return _add(release, name, repository, False, trial)


def withdraw(name: str, version: int, repository: Path) -> int:
    """Set the newest ``version`` of ``name`` aside, as if it had not been published; gives the one that is newest now.

    Its directories stay, hidden from servers, as ``.VERSION.refused``; models that came with it go. Raises
    RepositoryError where it is the only one.
    """
    model = repository / name
    with alone(repository):
        older = [each for each in versions_of(model) if each != version]
        if not older:
            raise RepositoryError(f"'{name}' has no other version: publish one that is right, or delete {model}")
        _take_over(name, repository)
        pieces = _pieces_for(of_version(model, older[-1]), name, _there(name, repository))
        for piece in reversed(pieces):  # nothing may be left that needs what is gone
            path = repository / piece.config.name
            if (path / str(older[-1])).is_dir():
                _write_configs(piece, path)
            if (path / str(version)).is_dir():
                set_aside(path, version)
        delete(retired(name, repository))
    return older[-1]


def reconfigure(name: str, repository: Path, change: Callable[[ModelConfig], ModelConfig]) -> tuple[str, ...]:
    """Run ``name`` as ``change`` says of its configuration, its parts the same way, and fit what belongs to it to that.

    A server that runs takes it up. At no moment does a model ask for larger batches than another that it needs would
    take, so whoever is killed leaves what can be served. Gives the names of what was written.
    """
    check_name(name)
    model = repository / name
    if not versions_of(model):
        raise RepositoryError(f"{repository} has no model '{name}': 'models' lists those it has")
    with writing(repository, model), alone(repository):
        _take_over(name, repository)
        version = versions_of(model)[-1]
        there = _there(name, repository)
        wanted = change(there[name])
        fitted = {each: _fitted(config, wanted) for each, config in there.items()}
        pieces = _pieces_for(of_version(model, version), name, fitted)
        smaller = wanted.max_batch_size < there[name].max_batch_size
        for piece in pieces if smaller else reversed(pieces):
            if piece.config.name in there:
                _write_configs(piece, repository / piece.config.name)
        delete(retired(name, repository))
    return tuple(there)


def _fitted(config: ModelConfig, wanted: ModelConfig) -> ModelConfig:
    """A model of the generator that is to be run as ``wanted``: what is no graph takes batches as large, no more."""
    is_graph = config.backend == wanted.backend
    return config.set_as(wanted) if is_graph else replace(config, max_batch_size=wanted.max_batch_size)


def _chosen(model: Path, versions: list[int], to: int | None) -> int:
    """The version to go back to."""
    *older, newest = versions
    if to is not None and to not in older:
        there = ", ".join(map(str, older)) or "none"
        raise RepositoryError(f"'{model.name}' has no version {to} before {newest}: choose from {there}")
    others = [version for version in older if _identity(model, version) != _identity(model, newest)]
    if to is None and not others:
        raise RepositoryError(f"'{model.name}' has no version before {newest} that is another: nothing to go back to")
    return others[-1] if to is None else to


def _identity(model: Path, version: int) -> str:
    try:
        return sha256(model / str(version) / MANIFEST)
    except OSError as error:
        raise RepositoryError(
            f"{model / str(version) / MANIFEST} cannot be read ({error.strerror}): choose a version with --to"
        ) from None


def _add(release: Release, name: str, repository: Path, thin: bool, trial: Trial | None) -> Published:
    with alone(repository):
        sweep(repository, _beside(repository))
        delete(unfinished(repository))
        _take_over(name, repository)
        places = [repository / name, *(repository / part_name(name, part) for part in BESIDE)]
        version = 1 + max((number for place in places for number in numbers_of(place)), default=0)
        there = _there(name, repository)
        pieces = _pieces_for(release, name, there, thin)
        for piece in reversed(pieces):
            if piece.config.name in there:
                check_fits(there[piece.config.name], piece.config)
        with staging(repository) as made:
            for piece in pieces:
                _write(piece, made, version)
            if trial:
                trial(made)
            sync_tree(made)
            for piece in pieces:
                _show(piece, made, repository, version)
        delete(retired(name, repository))
    beside = tuple(piece.config.name for piece in pieces if piece.config.name != name)
    return Published(name, version, repository / name / str(version), beside)


def _there(name: str, repository: Path) -> dict[str, ModelConfig]:
    """The models of the generator ``name`` that are there already, and how they are configured."""
    places = (repository / each for each in (name, *(part_name(name, part) for part in BESIDE)))
    return {place.name: read_config(place) for place in places if place.exists()}


def _pieces_for(release: Release, name: str, there: Mapping[str, ModelConfig], thin: bool = False) -> list[Piece]:
    """The pieces of a version, set as those that are there; thin ones too where there are any of them already."""
    return pieces_of(release, name, thin or any(part_name(name, part) in there for part in THIN), there)


def _write(piece: Piece, repository: Path, version: int) -> None:
    """Make the model of ``piece`` with that one version."""
    model = repository / piece.config.name
    place = model / str(version)
    place.mkdir(parents=True)
    for name, content in piece.files.items():
        if isinstance(content, Path):
            shutil.copyfile(content, place / name)
        else:
            (place / name).write_bytes(content)
    seal(place)
    _write_configs(piece, model)


def _write_configs(piece: Piece, model: Path) -> None:
    for engine, config in piece.engines.items():
        write_atomic(model / CONFIGS / f"{engine}.pbtxt", render(config))
    write_atomic(model / CONFIG, render(piece.config))


def _show(piece: Piece, place: Path, repository: Path, version: int) -> None:
    """Move a finished model, or its one version, to where servers see it."""
    made, model = place / piece.config.name, repository / piece.config.name
    if model.exists():
        (made / str(version)).rename(model / str(version))
        _write_configs(piece, model)
    else:
        made.rename(model)
    sync_directory(model)
    sync_directory(repository)


def _take_over(name: str, repository: Path) -> None:
    """Give models for thin clients that were ensembles, of which older versions are served too, what runs them now.

    Raises RepositoryError where something else lies in its place.
    """
    for model in (repository / part_name(name, part) for part in THIN):
        for version in (model / str(number) for number in versions_of(model)):
            if SCRIPT in (known := hashes(version)) or not known:
                continue
            files = own_files(read_manifest(version).spec, name)
            for file, data in files.items():
                if (version / file).exists() and (version / file).read_bytes() != data:
                    raise RepositoryError(f"{version / file} is not what 'publish' wrote: move it, then publish again")
            for file, data in files.items():
                write_atomic(version / file, data)
            added = render_sums({file: hashlib.sha256(data).hexdigest() for file, data in files.items()})
            write_atomic(version / SUMS, (version / SUMS).read_text("ascii") + added)


@contextmanager
def staging(repository: Path) -> Iterator[Path]:
    """A directory for a repository with the new version alone; gone when the block ends."""
    # Triton takes every directory in the repository for a model, hidden and half-written ones too: build it beside.
    where, prefix = _beside(repository), staging_prefix(repository)
    with tempfile.TemporaryDirectory(dir=where, prefix=prefix, ignore_cleanup_errors=True) as place:
        (Path(place) / STAGED).touch()
        yield Path(place)


def _beside(repository: Path) -> Path:
    """A directory on the file system of ``repository``, so that a rename into it works: its parent, if that is one."""
    parent = repository.resolve().parent
    same = parent.stat().st_dev == repository.stat().st_dev
    return parent if same and os.access(parent, os.R_OK | os.W_OK) else repository


@contextmanager
def writing(repository: Path, source: Path) -> Iterator[None]:
    """Raise RepositoryError, which names both, for what the file system refuses in the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RepositoryError(f"{repository} has no room for {source}: make room, then publish again") from None
        raise RepositoryError(f"{repository} cannot be written ({error.strerror or error}): choose another") from None
