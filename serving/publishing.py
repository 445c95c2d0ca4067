"""``publish`` and ``rollback``: a new version of a generator, made aside, tried, and only then visible.

Versions only ever go up. Going back is a newer version that is an older one again: whoever is in the middle of work
with the version that is taken back can finish with it, because a server keeps the version before the newest.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from core.bundle import MANIFEST
from core.errors import RepositoryError
from core.files import sha256, sync_tree
from core.places import why_not
from core.system import sync_directory
from serving.repository.compatibility import check_fits
from serving.repository.configs import configs_of, write_configs
from serving.repository.ensembles import convert_ensembles, retired
from serving.repository.layout import check_name, names_of
from serving.repository.locks import exclusive
from serving.repository.models import ModelEntry, entries_of
from serving.repository.release import Release
from serving.repository.seal import seal
from serving.repository.staging import delete_leftovers, staging, writing
from serving.repository.versions import delete, next_number, versions_of
from serving.server.trial import try_in_server

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """One version of a model in a repository; ``path`` is the version's directory.

    ``companions`` names the models beside it that belong to it; each has the same version.
    """

    name: str
    version: int
    path: Path
    companions: tuple[str, ...] = ()


def publish(bundle: Path, name: str, repository: Path, *, thin: bool = True, trial: bool = True) -> Published:
    """Add ``bundle`` as the next version of the model ``name``; the same bundle again is a new version again.

    Models beside it become those of its parts that the bundle has, and, where ``thin``, those for clients that send a
    seed and nothing else. A server or a crash sees each version whole or not at all, and nothing before what it needs.
    Before that a server of its own serves it, until every golden image has come back right; without ``trial`` it does
    not, which is for tests and for machines that cannot run one.

    Raises BundleError for a bundle that is damaged or breaks the graph contract, RepositoryError for an unfit name, a
    model whose inputs or outputs differ, one in the place of a companion, a repository that cannot be written, or a
    version that fails its trial, and MissingDependency where there is no server for that. Then nothing is published.
    """
    for each in names_of(name):
        check_name(each)
    if problem := why_not(repository, whole=False):
        raise RepositoryError(f"{repository} cannot be written: {problem}")
    release = Release.of(bundle)
    with writing(repository, bundle):
        repository.mkdir(parents=True, exist_ok=True)
        return _add(release, name, repository, thin, trial)


def rollback(name: str, repository: Path, to: int | None = None, *, trial: bool = True) -> Published:
    """Make the newest version of ``name`` be an older one again: ``to``, the last other one unless given.

    Raises RepositoryError where there is none, or it is damaged; otherwise as ``publish`` does.
    """
    check_name(name)
    model = repository / name
    versions = versions_of(model)
    if not versions:
        raise RepositoryError(f"{repository} has no model '{name}': 'models' lists those it has")
    release = Release.of_version(model, _chosen(model, versions, to))
    with writing(repository, model):
        return _add(release, name, repository, False, trial)


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


def _add(release: Release, name: str, repository: Path, thin: bool, trial: bool) -> Published:
    """Make ``release`` the next version of ``name``, while no other publisher is at work."""
    with exclusive(repository):
        # What earlier publishers left, and what they made otherwise.
        delete_leftovers(repository)
        convert_ensembles(name, repository)

        # What the version consists of, and whether that fits what is there.
        existing = configs_of(name, repository)
        entries = entries_of(release, name, thin, existing)
        for entry in reversed(entries):
            if entry.config.name in existing:
                check_fits(existing[entry.config.name], entry.config)
        version = next_number(repository / each for each in names_of(name))

        # Made aside, tried, on the disk, and then shown, the generator itself last.
        with staging(repository) as made:
            for entry in entries:
                _write(entry, made, version)
            if trial:
                logger.info("trying version %d of '%s' in a server of its own", version, name)
                try_in_server(made)
            sync_tree(made)
            for entry in entries:
                _show(entry, made, repository, version)

        delete(retired(name, repository))

    logger.info("published '%s' version %d in %s", name, version, repository)
    companions = tuple(entry.config.name for entry in entries if entry.config.name != name)
    return Published(name, version, repository / name / str(version), companions)


def _write(entry: ModelEntry, repository: Path, version: int) -> None:
    """Make the model of ``entry`` with that one version."""
    model = repository / entry.config.name
    place = model / str(version)
    place.mkdir(parents=True)
    for name, content in entry.files.items():
        if isinstance(content, Path):
            shutil.copyfile(content, place / name)
        else:
            (place / name).write_bytes(content)
    seal(place)
    write_configs(model, entry.config, entry.engines)


def _show(entry: ModelEntry, place: Path, repository: Path, version: int) -> None:
    """Move a finished model, or its one version, to where servers see it."""
    made, model = place / entry.config.name, repository / entry.config.name
    if model.exists():
        (made / str(version)).rename(model / str(version))
        write_configs(model, entry.config, entry.engines)
    else:
        made.rename(model)
    sync_directory(model)
    sync_directory(repository)
