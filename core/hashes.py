"""Lists of hashes, as ``sha256sum`` writes and checks them: a line a file, sorted by name."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from core.files import sha256


def hashes_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The sha256 of each of the files in ``folder``, by name."""
    return {name: sha256(folder / name) for name in names}


def render_sums(hashes: Mapping[str, str]) -> str:
    """The text that ``sha256sum -c`` takes."""
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))


def parse_sums(text: str) -> dict[str, str]:
    """The hashes by name that ``render_sums`` wrote."""
    return {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}
