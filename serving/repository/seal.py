"""What proves that a published version is whole: the hashes of its files, which are written last."""

from pathlib import Path

from core.errors import RepositoryError
from core.files import sha256, write_atomic
from core.hashes import hashes_of, parse_sums, render_sums

SUMS = "SHA256SUMS"


def seal(version: Path) -> None:
    """Write the hashes of all files of a version, as ``sha256sum -c`` takes them."""
    files = sorted(path.name for path in version.iterdir() if path.name != SUMS)
    write_atomic(version / SUMS, render_sums(hashes_of(version, files)))


def add_to_seal(version: Path, hashes: dict[str, str]) -> None:
    """Write the hashes of further files of a version, by name, behind those that are there."""
    write_atomic(version / SUMS, (version / SUMS).read_text("ascii") + render_sums(hashes))


def check_seal(version: Path) -> None:
    """Raise RepositoryError for a file of a version that is missing or not what it was when it was published."""
    try:
        sealed = _read(version)
    except (OSError, UnicodeDecodeError):
        raise RepositoryError(f"{version} has no readable {SUMS}: publish it again, or delete it") from None
    for name, digest in sealed.items():
        file = version / Path(name).name
        if not file.is_file():
            raise RepositoryError(f"{file} is missing: publish it again, and delete {version}")
        if sha256(file) != digest:
            raise RepositoryError(f"{file} was changed after it was published: publish it again, and delete {version}")


def sealed_hashes(version: Path) -> dict[str, str]:
    """The hash of every file of a version, by name, as its seal has them, and of the seal itself; none without one."""
    try:
        return _read(version) | {SUMS: sha256(version / SUMS)}
    except (OSError, UnicodeDecodeError):
        return {}


def _read(version: Path) -> dict[str, str]:
    return parse_sums((version / SUMS).read_text(encoding="ascii"))
