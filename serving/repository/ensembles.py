"""Models for thin clients that earlier publishers made as ensembles: what runs them now, and which are left over."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from core.bundle import read_manifest
from core.errors import RepositoryError
from core.files import write_atomic
from serving.protocol.model_config import part_name
from serving.repository.configs import is_part
from serving.repository.layout import RETIRED, THIN
from serving.repository.seal import add_to_seal, sealed_hashes
from serving.repository.thin_clients import SCRIPT, own_files
from serving.repository.versions import versions_of


def convert_ensembles(name: str, repository: Path) -> None:
    """Give the older versions of models beside the generator ``name`` that were ensembles the program that runs them.

    The configuration of a model is one for all of its versions, and a new version will change it. Raises
    RepositoryError where something else lies in the program's place.
    """
    for model in (repository / part_name(name, part) for part in THIN):
        for version in (model / str(number) for number in versions_of(model)):
            known = sealed_hashes(version)
            if known and SCRIPT not in known:
                _add_program(version, name)


def _add_program(version: Path, name: str) -> None:
    files = own_files(read_manifest(version).spec, name)
    for file, data in files.items():
        if (version / file).exists() and (version / file).read_bytes() != data:
            raise RepositoryError(f"{version / file} is not what 'publish' wrote: move it, then publish again")

    for file, data in files.items():
        write_atomic(version / file, data)
    add_to_seal(version, {file: hashlib.sha256(data).hexdigest() for file, data in files.items()})


def retired(name: str, repository: Path) -> Iterator[Path]:
    """Models beside the generator ``name`` that nothing asks any more."""
    places = {part: repository / part_name(name, part) for part in RETIRED}
    return (place for part, place in places.items() if place.is_dir() and is_part(place, name, part))
