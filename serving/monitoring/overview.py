"""``models``: what a repository holds, and what of it a server serves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.bundle import MANIFEST
from core.errors import RepositoryError
from core.files import sha256
from serving.monitoring.metrics import Snapshot
from serving.protocol.model_config import WHOLE
from serving.repository.configs import read_config_lenient
from serving.repository.seal import check_seal
from serving.repository.versions import Model, list_models


@dataclass(frozen=True)
class Version:
    """A version of a generator.

    ``bundle`` is the sha256 of the manifest it came with, ``same_as`` an older version that came with the same.
    ``damage`` says which file is not what was published. ``requests`` are those that the server has answered since it
    loaded the version; None where it has not, or there is no server.
    """

    model: str
    number: int
    bundle: str
    same_as: int | None
    damage: str
    requests: int | None


def overview(repository: Path, served: Snapshot | None = None) -> list[Version]:
    """Every version of every generator in ``repository``; what belongs to another model is left out.

    ``served`` is what a server's metrics say. Raises RepositoryError for a repository without models.
    """
    models = [model for model in list_models(repository) if not _belongs_to_another(model)]
    if not models:
        raise RepositoryError(f"{repository} has no models: add one with 'publish'")
    answered = {(each.name, each.version): int(each.counts.successes) for each in served.models} if served else {}
    return [version for model in models for version in _versions(model, answered)]


def table(versions: list[Version], server: bool) -> tuple[list[str], list[list[str]]]:
    """The overview as people read it, heads and rows; ``server`` is whether one was asked."""
    heads = ["model", "version", "bundle", *(["requests answered"] if server else [])]
    rows = []
    for each in versions:
        origin = f"{each.bundle[:12]}, as {each.same_as}" if each.same_as else each.bundle[:12]
        traffic = "not served" if each.requests is None else f"{each.requests:,}"
        rows.append([each.model, str(each.number), each.damage or origin, *([traffic] if server else [])])
    return heads, rows


def _belongs_to_another(model: Model) -> bool:
    try:
        return WHOLE in read_config_lenient(model.path).parameters
    except RepositoryError:
        return False


def _versions(model: Model, answered: dict[tuple[str, str], int]) -> Iterator[Version]:
    seen: dict[str, int] = {}
    for number in model.versions:
        path = model.path / str(number)
        bundle = sha256(path / MANIFEST) if (path / MANIFEST).is_file() else ""
        requests = answered.get((model.name, str(number)))
        yield Version(model.name, number, bundle, seen.get(bundle), _damage(path), requests)
        seen.setdefault(bundle, number)


def _damage(version: Path) -> str:
    try:
        check_seal(version)
    except RepositoryError as error:
        return str(error)
    return ""
