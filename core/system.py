"""What operating systems do differently: locks, renames, flushing to the disk, signals, names of files, consoles.

Nothing else in core, trainer and export asks which system it runs on. Modules that some systems lack are looked up, not
imported, so that everything starts where they are absent.
"""

import importlib
import os
import signal
import sys
import time
import unicodedata
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from core.errors import UnsupportedSystem

WINDOWS = os.name == "nt"
LINUX = sys.platform.startswith("linux")
LONGEST_PATH = 259  # characters of a whole path on Windows, the drive among them, where long paths are not switched on
_SECONDS_IN_USE = 2.0  # how long a file that another program looks at, such as a virus scanner, may stay in the way
_PUNCTUATION = frozenset(" +-_.,=@()")  # which stays in names that are made of other text
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) | {
    f"{device}{digit}" for device in ("COM", "LPT") for digit in "0123456789¹²³"
}

# How long the threads of GNU's OpenMP (Linux) and of LLVM's and Intel's (macOS, Windows) spin before they sleep: about
# as long as it takes to be woken, and not at all.
WAITS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "0"}


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl = _module("fcntl")


def hold(handle: int) -> None:
    """Lock an open file until it is closed; nothing where the system or the file system has no such locks.

    On Windows none is needed: a file that is open cannot be deleted there.
    """
    if _fcntl:
        with suppress(OSError):
            _fcntl.flock(handle, _fcntl.LOCK_EX)


def take(handle: int) -> None:
    """Lock an open file until it is closed. Raises OSError where somebody holds it, or where none can tell."""
    if not _fcntl:
        raise OSError("this system does not say whether a file is locked")
    _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)


def delete_unless_held(path: Path) -> None:
    """Delete a file, unless a process that lives holds it."""
    with suppress(OSError):
        if WINDOWS:
            path.unlink()  # refused while it is open
        elif _fcntl:
            with path.open("r+b") as file:
                _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
                path.unlink()


def replace(old: Path, new: Path) -> None:
    """Rename a file over another. On Windows that fails while a program has either open: it is tried for a moment."""
    end = time.monotonic() + _SECONDS_IN_USE
    while True:
        try:
            old.replace(new)
            return
        except PermissionError:
            if not WINDOWS or time.monotonic() > end:
                raise
            time.sleep(0.05)


def sync_file(path: Path) -> None:
    """Flush a file's bytes to the disk; Windows wants it open for writing."""
    with path.open("r+b" if WINDOWS else "rb") as file:
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Flush a directory's entries, so that a rename in it survives a power cut. Windows has no such thing."""
    if WINDOWS:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def end_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a process to end: Ctrl-C, Ctrl-Break on Windows, and SIGTERM where there is one."""
    return tuple(getattr(signal, name) for name in ("SIGINT", "SIGBREAK", "SIGTERM") if hasattr(signal, name))


def wait_asleep() -> None:
    """Let threads that wait for one another sleep soon, unless somebody chose otherwise; before torch is imported.

    They spin as libraries come, and a thread that spins takes the core of the one it waits for as soon as anything else
    runs on the machine: then training is many times slower (benchmarks/RESULTS.md has the figures).
    """
    if not any(name in os.environ for name in WAITS):
        os.environ.update(WAITS)


def use_utf8() -> None:
    """Print UTF-8, whatever the console's code page; a name that is no Unicode is printed with a mark, not refused."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def fault_of_name(name: str) -> str:
    """Why no file can have this ``name`` on Windows, and so may not travel between systems; empty if it can.

    Microsoft, "Naming Files, Paths, and Namespaces": reserved characters, devices with any ending, dots and spaces
    at the end.
    """
    if not name:
        return "it is empty"
    if found := sorted({letter for letter in name if letter in _FORBIDDEN or ord(letter) < 32}):
        return f"it holds {', '.join(map(ascii, found))}"
    if name[-1] in ". ":
        return "it ends in a dot or a space"
    if name.split(".")[0].rstrip().upper() in _DEVICES:
        return f"{name.split('.')[0].rstrip()} is a device"
    return ""


def portable_name(text: str, narrow: bool = False) -> str:
    """``text`` as a part of a file's name that every system takes: else it is percent-encoded (RFC 3986, section 2.1).

    Different texts have different names. Where ``narrow``, nothing stays that a disk might take for something else:
    neither upper case nor what is not ASCII.
    """
    kept = _stays_narrow if narrow else _stays
    return "".join(letter if kept(letter) else _percent_encoded(letter) for letter in text)


def usable_name(name: str, ending: str = "") -> str:
    """A file's ``name``, made of such parts, as every system takes it before its ``ending``.

    Where it would be hidden, look like an option, or be a device of Windows, its first letter is percent-encoded.
    """
    if not name or name[0] in " -." or fault_of_name(name + ending):
        return _percent_encoded(name[:1]) + name[1:]
    return name


def folded(name: str) -> str:
    """What a name comes down to on disks that tell neither case nor ways to compose a letter apart."""
    upper = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).upper())
    return unicodedata.normalize("NFD", upper.casefold())


def _percent_encoded(text: str) -> str:
    """Every byte of ``text``, as UTF-8, as a ``%`` and two digits."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def _stays(letter: str) -> bool:
    return letter in _PUNCTUATION or unicodedata.category(letter)[0] in "LMN"


def _stays_narrow(letter: str) -> bool:
    return letter.isascii() and letter == letter.lower() and _stays(letter)


def fault_of_place(path: Path) -> str:
    """Why Windows would turn ``path`` into another one, or into a device; empty if it would not, or elsewhere."""
    if not WINDOWS:
        return ""
    for part in path.parts:
        if part not in (path.anchor, ".", "..") and (fault := fault_of_name(part)):
            return f"{path}: '{part}' cannot be a name on Windows ({fault}): choose another"
    if len(str(path.absolute())) > LONGEST_PATH:
        return f"{path} is longer than Windows' {LONGEST_PATH} characters: choose a shorter folder"
    return ""


def runs_triton() -> bool:
    """Whether this is Linux, where alone Triton runs."""
    return sys.platform.startswith("linux")


def need_linux(command: str) -> None:
    """Raise UnsupportedSystem for a ``command`` that works with Triton, where it does not run."""
    if not runs_triton():
        system = {"win32": "Windows", "darwin": "macOS"}.get(sys.platform, sys.platform)
        raise UnsupportedSystem(
            f"'{command}' needs Triton, which does not run on {system}: run it in a Linux container or in WSL, "
            "or make images without a server: 'sample BUNDLE --seeds 0-63 --out images'"
        )
