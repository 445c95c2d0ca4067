"""Files that appear whole or not at all: every format of ours is written through here."""

import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core import system
from core.system import sync_directory, sync_file


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write ``data`` so that a reader, a crash or a full disk sees the old file or the new one, whole."""
    with new_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to be written that becomes ``path``, and replaces what is there, when the block ends well.

    If the block raises, nothing is left. Several writers of one ``path`` do not disturb each other: the last one's
    file stays. A writer that is killed leaves a hidden file that ``sweep`` deletes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = _locked_temporary(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            if system.WINDOWS:
                file.close()  # which moves no open file; elsewhere the lock is held until it has its name
            system.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None  # the name that the caller knows
        raise
    sync_directory(path.parent)


def sweep(path: Path) -> None:
    """Delete what killed writers of the file ``path`` left beside it. What others are writing now stays."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        system.delete_unless_held(left)


@contextmanager
def new_directory(path: Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty directory beside ``path`` that becomes ``path`` when the block ends well.

    If the block raises, nothing is left. An existing ``path`` is an error (FileExistsError) unless ``replace``,
    in which case it is moved aside first and deleted afterwards.
    """
    path = path.absolute()  # "." has no name to stand beside
    if path.exists() and not replace:
        raise FileExistsError(f"{path} exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        sync_tree(temporary)
        _move_into_place(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(path.parent)


def sync_tree(root: Path) -> None:
    """Flush every file and directory under ``root`` to the disk."""
    for path in root.rglob("*"):
        if path.is_file():
            sync_file(path)
        else:
            sync_directory(path)
    sync_directory(root)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _locked_temporary(path: Path) -> tuple[int, Path]:
    """A new hidden file beside ``path``, open for writing, with a lock that tells it from a leftover."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        system.hold(handle)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # somebody swept it in the moment before it was locked


def _move_into_place(temporary: Path, path: Path) -> None:
    if not path.exists():
        temporary.rename(path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
    try:
        path.rename(aside / path.name)
        try:
            temporary.rename(path)
        except OSError:
            (aside / path.name).rename(path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
