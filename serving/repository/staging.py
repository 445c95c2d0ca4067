"""Where a version is made, or what is deleted lies a moment: a marked directory beside the repository."""

import errno
import itertools
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import RepositoryError
from serving.protocol.model_config import part_name
from serving.repository.configs import is_part
from serving.repository.layout import COMPANIONS, RETIRED
from serving.repository.versions import delete, list_models

logger = logging.getLogger(__name__)

MARK = ".ganfoundry"  # a file in such a directory: the proof that all of it is ours


@contextmanager
def staging(repository: Path) -> Iterator[Path]:
    """A directory for a repository with the new version alone; gone when the block ends."""
    # Triton takes every directory in the repository for a model, hidden and half-written ones too: build it beside.
    where, prefix = _place_for_staging(repository), _prefix(repository)
    with tempfile.TemporaryDirectory(dir=where, prefix=prefix, ignore_cleanup_errors=True) as place:
        (Path(place) / MARK).touch()
        yield Path(place)


@contextmanager
def writing(repository: Path, source: Path) -> Iterator[None]:
    """Raise RepositoryError, which names both, for what the file system refuses in the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RepositoryError(f"{repository} has no room for {source}: make room, then publish again") from None
        raise RepositoryError(f"{repository} cannot be written ({error.strerror or error}): choose another") from None


def delete_leftovers(repository: Path) -> None:
    """Delete what publishers that were killed left. The caller must hold the repository's lock."""
    delete_staged(repository, repository, _place_for_staging(repository))
    delete(unfinished(repository))


def delete_staged(repository: Path, *places: Path) -> None:
    """Delete what publishers that were killed left in ``places``. The caller must hold the repository's lock."""
    for path in list(staged(repository, *set(places))):
        logger.info("deleting %s, which a publisher that was killed left", path)
        shutil.rmtree(path, ignore_errors=True)


def staged(repository: Path, *places: Path) -> Iterator[Path]:
    """What publishers to ``repository`` make in ``places``, or have left there: it is marked, or holds no file."""
    ours = re.compile(re.escape(_prefix(repository)) + "[a-z0-9_]+")  # what tempfile adds
    found = (path for place in places for path in place.iterdir())
    named = (path for path in found if ours.fullmatch(path.name) and path.is_dir())
    return (path for path in named if (path / MARK).is_file() or not _files(path))


def unfinished(repository: Path) -> Iterator[Path]:
    """Versions of companions that are newer than the generator's newest, and companions with no other version.

    A publisher that was killed before the generator's own version appeared left them, or whoever took that version
    back. A server would load them instead of those that belong to the generator.
    """
    models = {model.name: model.versions for model in list_models(repository)}
    for name, part in itertools.product(models, (*COMPANIONS, *RETIRED)):
        companion = repository / part_name(name, part)
        versions, newest = models.get(companion.name, ()), max(models[name], default=0)
        newer = [version for version in versions if version > newest]
        if newer and is_part(companion, name, part):
            whole = len(newer) == len(versions)
            yield from [companion] if whole else (companion / str(version) for version in newer)


def _prefix(repository: Path) -> str:
    """How the names of the directories begin in which publishers to ``repository`` make new versions."""
    return f".{repository.resolve().name}.publishing."


def _place_for_staging(repository: Path) -> Path:
    """A directory on the file system of ``repository``, so that a rename into it works: its parent, if that is one."""
    parent = repository.resolve().parent
    same = parent.stat().st_dev == repository.stat().st_dev
    return parent if same and os.access(parent, os.R_OK | os.W_OK) else repository


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
