"""Where something new of ours may go: looked at before the work, so that nothing is found out after it."""

import os
import re
from pathlib import Path

from core.system import LINUX, fault_of_place

LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # what desktops leave in every folder they show


def held(folder: Path) -> list[str]:
    """The names in ``folder`` that someone put there, in order: what a desktop leaves by itself is not among them."""
    return sorted(path.name for path in folder.iterdir() if path.name not in LITTER)


def is_free(path: Path) -> bool:
    """Whether nothing is at ``path``, or a folder that holds nothing, but for what a desktop leaves."""
    return not path.exists() or (path.is_dir() and not held(path))


def why_not(path: Path, whole: bool = True) -> str:
    """Why nothing of ours can be made at ``path``, as a line that says what to do; empty where it can.

    ``whole`` says that it would be put there in one piece, and so replace what is there. Whether something may be
    replaced, and whose it is, is for the caller to judge.
    """
    if fault := fault_of_place(path):
        return fault

    for place in (path, *path.absolute().parents):
        if place.is_symlink() and not place.exists():
            return f"{place} is a link to {place.readlink()}, which is not there: make that, or delete the link"

    above = next(place for place in path.absolute().parents if place.exists())
    if not above.is_dir():
        return f"{above} is a file, so nothing can be made in it: choose another place"
    if path.is_dir() and (not whole or must_stay(path)):
        if whole and held(path) and (is_mounted(path) or not _writable(above)):
            return f"{path} cannot be replaced as a whole where it is: choose a folder inside it"
        above = path

    if not _writable(above):
        return f"{above} may not be written to: choose another place"
    return ""


def must_stay(folder: Path) -> bool:
    """Whether the existing ``folder`` cannot be replaced by another: only what is in it can.

    So it is where a disk is mounted, or where the folder above may not be written to. The working directory could be,
    but whoever stands in it would go on seeing the old one.
    """
    above = folder.resolve().parent
    return is_mounted(folder) or not _writable(above) or folder.samefile(os.curdir)


def is_mounted(folder: Path) -> bool:
    """Whether something is mounted at ``folder``, a part of the same disk too, as containers do it."""
    return os.path.ismount(folder) or os.fsencode(folder.resolve()) in _mounted()


def shown(text: str) -> str:
    """A name fit to be printed, whatever bytes it is made of."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _mounted() -> set[bytes]:
    """Every place where Linux has something mounted, as proc(5) describes ``mountinfo``; elsewhere none."""
    if not LINUX:
        return set()
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return set()
    return {re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), line.split(b" ")[4]) for line in lines}
