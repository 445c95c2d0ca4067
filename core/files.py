"""Files that appear whole or not at all: every format of ours is written through here."""

import errno
import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from core import system
from core.exchange import exchange
from core.places import LITTER, is_free, must_stay
from core.system import sync_directory, sync_file

_MARK = ".ganfoundry"  # in a directory in which another is made: the proof that all of it is ours
_MARKED = b"A directory is made in here by Ganfoundry. If no program of it runs, this may be deleted.\n"
# What is made there; what was replaced, where names cannot be exchanged; and what only has to be moved.
_NEW, _OLD, _READY = "new", "old", "ready"


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
            os.fsync(file)
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
def new_directory(path: Path, replace: bool = False, check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Yield an empty directory that becomes ``path`` when the block ends well.

    If the block raises, nothing is left. What is at ``path`` is an error (FileExistsError) unless it is an empty
    folder or ``replace``, in which case both trade places and the old one is deleted. Where the system cannot exchange
    two names, there is no ``path`` for a moment; whoever is killed in it leaves the old one to be put back by the next
    ``new_directory`` or ``sweep_around``. An empty folder that must stay, such as a mount, is filled entry by entry,
    what was written last at the end; they finish that, too. What desktops leave in folders is kept.

    ``check`` is called just before anything is replaced, and may raise: what was there to be replaced at first may have
    become more in the meantime.
    """
    path = path.resolve()  # "." has no name to stand beside, and a link stays a link
    sweep_around(path)
    if not is_free(path) and not (replace and path.is_dir()):
        raise FileExistsError(errno.EEXIST, "it exists", str(path))
    inside = path.is_dir() and is_free(path) and must_stay(path)

    # Made beside its place, or inside a folder that must stay, and moved when it is whole
    path.parent.mkdir(parents=True, exist_ok=True)
    with _workshop(path if inside else path.parent, path.name) as workshop:
        new = workshop / _NEW
        new.mkdir()
        yield new
        new.chmod(path.stat().st_mode & 0o7777 if path.is_dir() else 0o777 & ~_umask())
        sync_tree(new)
        if inside:
            _move_in(workshop, path)
        else:
            check()
            _move_into_place(workshop, path)
    sync_directory(path.parent)


def sweep_around(path: Path) -> None:
    """``sweep_directories`` for whatever was to become the directory ``path``."""
    path = path.resolve()
    for place in (path.parent, path):
        sweep_directories(place, path.name)


def sweep_directories(parent: Path, name: str = "") -> None:
    """Clear away what killed makers of directories, of all or of those called ``name``, left in ``parent``.

    Only what carries our mark is touched, and nothing that is being made now. An old directory that was set aside, and
    whose place nothing has taken, is put back, and an empty folder that was being filled is filled.
    """
    called = re.escape(name) if name else ".+"
    pattern = re.compile(rf"\.{called}\.[a-z0-9_]{{8}}\.tmp", re.DOTALL)  # what tempfile adds
    for left in parent.glob(".*.tmp"):
        if pattern.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
            with suppress(OSError):
                _sweep_workshop(left)


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


@contextmanager
def _workshop(parent: Path, name: str) -> Iterator[Path]:
    """A hidden directory in ``parent`` with a file that says it is ours, locked while in use; gone after the block."""
    workshop, mark = _begun_workshop(parent, name)
    try:
        with mark:
            mark.write(_MARKED)
            mark.flush()
            yield workshop
    finally:
        _clear(workshop)


def _begun_workshop(parent: Path, name: str) -> tuple[Path, BinaryIO]:
    while True:
        workshop = Path(tempfile.mkdtemp(dir=parent, prefix=f".{name}.", suffix=".tmp"))
        with suppress(FileNotFoundError):  # somebody swept it in the moment before it was locked
            mark = (workshop / _MARK).open("xb")
            system.hold(mark.fileno())
            if os.fstat(mark.fileno()).st_nlink:
                return workshop, mark
            mark.close()


def _sweep_workshop(left: Path) -> None:
    """Clear away a workshop that nobody uses; leave alone what is none."""
    if not _names(left):
        left.rmdir()  # killed before the mark
        return

    with (left / _MARK).open("r+b") as mark:
        system.take(mark.fileno())
        said = mark.read()
        if said != _MARKED and not (said == b"" and _names(left) == {_MARK}):  # killed in the middle of the mark
            return

        # What was being replaced goes back to its place; what was being moved in is finished
        target = left.with_name(left.name[1 : -len(".12345678.tmp")])
        if (left / _OLD).exists() and not os.path.lexists(target):
            (left / _OLD).rename(target)
        if (left / _READY).exists() and left.parent.name == target.name:
            _fill(left / _READY, left.parent)

    _clear(left)


def _clear(workshop: Path) -> None:
    """Delete a workshop, its mark last: a half that is left is still known to be ours."""
    for place in (workshop / _NEW, workshop / _OLD, workshop / _READY):
        shutil.rmtree(place, ignore_errors=True)
    if _names(workshop) <= {_MARK}:
        (workshop / _MARK).unlink(missing_ok=True)
        workshop.rmdir()


def _move_into_place(workshop: Path, path: Path) -> None:
    """Let the new directory of ``workshop`` take the place ``path``; what was there goes into the workshop."""
    new, old = workshop / _NEW, workshop / _OLD
    if not path.exists():
        new.rename(path)
        return

    if exchange(new, path):
        _keep_litter(new, path)
        return

    # Where two names cannot be exchanged, there is nothing at the place for a moment
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    _keep_litter(old, path)


def _move_in(workshop: Path, path: Path) -> None:
    """Move what is in the new directory of ``workshop`` into the empty folder ``path``: all of it, or nothing."""
    ready = workshop / _READY
    (workshop / _NEW).rename(ready)
    names = _names(ready)
    try:
        _fill(ready, path)
    except BaseException:
        for name in names - _names(ready):
            (path / name).rename(ready / name)
        raise


def _fill(ready: Path, path: Path) -> None:
    """Move every entry of ``ready`` into ``path``, in the order they were written: what says "whole" is the last."""
    for entry in sorted(ready.iterdir(), key=lambda each: each.stat().st_mtime_ns):
        entry.rename(path / entry.name)
    sync_directory(path)


def _keep_litter(old: Path, new: Path) -> None:
    """Move what a desktop left in ``old`` to the same place in ``new``: it may hold how a folder is shown."""
    for left in [path for path in old.rglob("*") if path.name in LITTER]:
        kept = new / left.relative_to(old)
        if kept.parent.is_dir() and not kept.exists():
            left.rename(kept)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
