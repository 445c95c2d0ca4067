"""Two names of one file system exchanged in one step, where the system can do that."""

import ctypes
import errno
import os
from pathlib import Path

from core.system import LINUX

_HERE = -100  # AT_FDCWD: paths are as the process sees them
_EXCHANGE = 2  # RENAME_EXCHANGE, of <linux/fs.h>
# What a kernel, a C library or a file system without it says. NFS and FUSE say EINVAL.
_UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV})


def exchange(one: Path, other: Path) -> bool:
    """Let ``one`` and ``other`` trade places, as renameat2(2) does: nobody ever sees either name without a file.

    False, with nothing done, where the system or the file system cannot. Raises OSError for all else.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _renameat2() -> "ctypes._NamedFuncPointer | None":
    """The function of the C library; None where there is none (glibc before 2.28, musl, macOS, Windows)."""
    if not LINUX:
        return None
    call: ctypes._NamedFuncPointer | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call
