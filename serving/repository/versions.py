"""The versions of models: which are there, which of them servers see, and how one is hidden or deleted."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serving.repository.layout import CONFIG, CONFIGS, PYTHON_CACHE
from serving.repository.seal import SUMS, sealed_hashes

_REFUSED = re.compile(r"\.([0-9]+)\.refused")


@dataclass(frozen=True)
class Model:
    """A model in a repository: its versions, oldest first, and the directory that holds them."""

    name: str
    versions: tuple[int, ...]
    path: Path


def list_models(repository: Path) -> list[Model]:
    """The models in ``repository`` by name; none if there is no such directory. Looks at nothing inside a version."""
    directories = sorted(path for path in repository.glob("*") if path.is_dir() and not path.name.startswith("."))
    return [Model(path.name, tuple(versions_of(path)), path) for path in directories]


def versions_of(model: Path) -> list[int]:
    """The versions of the model in the directory ``model`` that servers see, oldest first."""
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if path.name.isdecimal() and path.is_dir())


def number_of(path: Path) -> int | None:
    """Which version of a model is at ``path``, hidden from servers or not; None for anything else."""
    found = _REFUSED.fullmatch(path.name)
    return int(found[1] if found else path.name) if (found or path.name.isdecimal()) and path.is_dir() else None


def next_number(models: Iterable[Path]) -> int:
    """A version number that none of ``models`` has had; those of versions that were set aside are not given again."""
    paths = [path for model in models if model.is_dir() for path in model.iterdir()]
    return 1 + max((number for path in paths if (number := number_of(path)) is not None), default=0)


def set_aside(model: Path, version: int) -> None:
    """Hide a version of the model in the directory ``model`` from servers; delete the model if it is the only one."""
    _hide(model / str(version))
    if not versions_of(model):
        delete([model])


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
    for name in (*sealed_hashes(version), SUMS):
        (version / Path(name).name).unlink(missing_ok=True)
        for compiled in (version / PYTHON_CACHE).glob(f"{Path(name).stem}.*.pyc") if name.endswith(".py") else ():
            compiled.unlink()

    # Whoever put something of their own into it keeps that.
    with suppress(OSError):
        (version / PYTHON_CACHE).rmdir()
    try:
        version.rmdir()
    except OSError:
        if version.name.isdecimal():
            _hide(version)


def _hide(version: Path) -> None:
    version.rename(version.with_name(f".{version.name}.refused"))
