"""Where a pack may be written: found out before the work, and never over what is not a pack."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import DataError
from core.files import sweep_around
from core.ours import is_ours
from core.places import LITTER, is_free, why_not
from trainer.data.info import (
    FEATURES,
    IMAGES,
    INFO,
    LABELS,
    PARTS_OF_IMAGES,
    PARTS_OF_SOURCES,
    SHEET,
    SOURCES,
    PackInfo,
)

# What a pack may hold, and a contact sheet if it is ours.
FILES = frozenset({INFO, IMAGES, LABELS, SOURCES, PARTS_OF_IMAGES, PARTS_OF_SOURCES, FEATURES})
_FEATURES = re.compile(rf"{FEATURES}/[\w-]+-[0-9a-f]{{16}}\.safetensors")


def check_destination(destination: Path, overwrite: bool) -> None:
    """Raise DataError if a pack may not be written there: found out before the work, not after it."""
    if problem := why_not(destination):
        raise DataError(f"cannot write {destination}: {problem}")
    sweep_around(destination)
    if is_free(destination):
        return
    if not overwrite:
        raise DataError(f"{destination} exists: choose another name, or add --overwrite to replace that pack")
    if not destination.is_dir() or not _is_a_pack(destination):
        raise DataError(f"{destination} is not a pack and nothing else, so it is not overwritten: choose another name")
    if foreign := _foreign(destination):
        raise DataError(f"{destination} is a pack, but {foreign} in it is not of it: move that, or choose another name")


def nearest_folder(destination: Path) -> Path:
    """The folder that exists nearest above the destination: temporary data belongs on the same disk."""
    return next(path for path in destination.absolute().parents if path.is_dir())


@contextmanager
def writing(destination: Path) -> Iterator[None]:
    """Turn a full disk, or a place that may not be written, into a DataError of one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {destination}: {error.strerror or error}") from None


def _is_a_pack(folder: Path) -> bool:
    """Whether the folder says that it is a pack, whole or damaged."""
    try:
        PackInfo.from_json((folder / INFO).read_text(encoding="utf-8"))
    except (DataError, OSError, UnicodeDecodeError):
        return False
    return True


def _foreign(folder: Path) -> str:
    """Something in a pack that we did not write; empty if deleting it loses nothing but a pack."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name not in LITTER]
    ours = {*FILES, *([SHEET] if is_ours(folder / SHEET) else [])}
    return next((name for name in sorted(names) if name not in ours and not _FEATURES.fullmatch(name)), "")
