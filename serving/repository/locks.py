"""The lock on a repository: exclusive for a publisher, shared by servers that load what is new."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".ganfoundry.lock"  # a file that nobody but us locks, open for writing, as NFS wants it


@contextmanager
def exclusive(repository: Path) -> Iterator[None]:
    """One publisher at a time: two would choose the same version. It waits for servers that load what is new."""
    handle = os.open(repository / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def shared(repository: Path) -> Iterator[None]:
    """No publisher within the block; raises BlockingIOError if one is at work.

    Where the lock can be neither found nor made, because the repository may only be read, nobody can be publishing.
    """
    try:
        handle = os.open(repository / LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        if not repository.is_dir():
            raise
        yield
        return

    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
