"""The files of a folder or a ZIP archive: every one once, in the order of their names."""

import io
import os
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from core.errors import DataError
from trainer.data.notes import HIDDEN, LINKS, LOOPS, OURS, Notes
from trainer.data.ours import ours
from trainer.data.reading import suffixes

MOST_UNPACKED = 1 << 29  # bytes of one file in an archive
_UTF8 = 0x800  # the flag of a ZIP entry whose name says its encoding


@dataclass(frozen=True)
class File:
    """A file by its path relative to the source, and how to open it for reading and seeking."""

    parts: tuple[str, ...]
    open: Callable[[], BinaryIO]

    @property
    def name(self) -> str:
        """The path relative to the source, as one line of text."""
        return printable("/".join(self.parts))


@dataclass
class Listing:
    """``files`` in order, and what was met on the way: ``skipped`` pairs a path with a reason."""

    files: list[File] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)


def list_folder(root: Path) -> Listing:
    """All files under a folder. What begins with a dot is ignored; what this program wrote is counted.

    Links to folders are followed once all other folders are known, each folder once, whatever leads to it.
    """
    found, known = Listing(), set[str]()
    waiting = _walk(root, (), found, known)
    while waiting:
        path, parts = waiting.pop(0)
        if os.path.realpath(path) in known:
            found.notes[LOOPS] += 1
        else:
            found.notes[LINKS] += 1
            waiting += _walk(path, parts, found, known)
    found.files.sort(key=lambda file: file.parts)
    return found


def list_zip(path: Path) -> Listing:
    """All files in a ZIP archive; nothing of it is written to the disk. Raises DataError if it cannot be read."""
    found = Listing()
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a ZIP archive ({error}): make or fetch it again") from None

    # Without folders and what systems hide
    for info in archive.infolist():
        parts = tuple(part for part in _name_of(info).replace("\\", "/").split("/") if part not in ("", ".", ".."))
        if info.is_dir() or not parts or not all(map(_shown, parts)):
            found.notes.update({HIDDEN: 1} if parts and not info.is_dir() and _hidden_picture(parts[-1]) else {})
            continue
        found.files.append(File(parts, partial(_unpacked, archive, info)))
    found.files.sort(key=lambda file: file.parts)
    return found


def printable(text: str) -> str:
    """A file name fit for one line of UTF-8; bytes and signs that are not are written as codes, so that two differ."""
    text = os.fsencode(text).decode("utf-8", "backslashreplace") if _has_bytes(text) else text
    text = unicodedata.normalize("NFC", text)
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _walk(root: Path, parts: tuple[str, ...], found: Listing, known: set[str]) -> list[tuple[Path, tuple[str, ...]]]:
    """Add the files under ``root``; the links to folders that were met, sorted, with where they lie in the source."""
    links: list[tuple[Path, tuple[str, ...]]] = []

    def complain(error: OSError) -> None:
        place = (*parts, *Path(error.filename).relative_to(root).parts)
        found.skipped.append((printable("/".join(place)), f"cannot be read: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=complain):
        real = os.path.realpath(folder)
        if real in known:
            folders[:] = []
            continue
        known.add(real)
        inside = (*parts, *Path(folder).relative_to(root).parts)
        made = ours(Path(folder), {*folders, *names})
        found.notes.update({OURS: len(made)} if made else {})
        linked = {name for name in folders if Path(folder, name).is_symlink()}
        links += [(Path(folder, name), (*inside, name)) for name in sorted(linked - made) if _shown(name)]
        folders[:] = sorted(name for name in folders if _shown(name) and name not in made | linked)
        for name in names:
            if _shown(name) and name not in made:
                found.files.append(File((*inside, name), partial(_open, Path(folder, name))))
            elif _hidden_picture(name):
                found.notes[HIDDEN] += 1
    return links


def _shown(name: str) -> bool:
    return not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini", "__MACOSX")


def _hidden_picture(name: str) -> bool:
    """Whether a person may miss the file. What begins with "._" is a Mac's notes on another file."""
    return name.startswith(".") and not name.startswith("._") and Path(name).suffix.lower() in suffixes()


def _has_bytes(text: str) -> bool:
    """Whether the name holds bytes that are no UTF-8, as Python hands them over."""
    return any("\udc80" <= sign <= "\udcff" for sign in text)


def _name_of(info: zipfile.ZipInfo) -> str:
    """The name of an entry: UTF-8 if its bytes are that, which programs write without saying so."""
    if info.flag_bits & _UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """An entry in memory. Raises DataError for what is damaged, locked or larger than any picture."""
    if info.file_size > MOST_UNPACKED:
        raise DataError(f"unpacks to {info.file_size} bytes, more than {MOST_UNPACKED}")
    try:
        with archive.open(info) as file:
            data = file.read(MOST_UNPACKED + 1)  # whatever its header claims
    except RuntimeError:
        raise DataError("locked by a password: unpack it first") from None
    except Exception as error:  # zlib's, lzma's and zipfile's own
        raise DataError(f"damaged in the archive: {type(error).__name__}") from None

    if len(data) > MOST_UNPACKED:
        raise DataError(f"unpacks to more than {MOST_UNPACKED} bytes")
    return io.BytesIO(data)


def _open(path: Path) -> BinaryIO:
    """A file of the disk. Raises DataError for what is none, such as a pipe, and for what cannot be opened."""
    try:
        if not path.is_file():
            raise DataError("a link that leads nowhere" if path.is_symlink() else "not a file")
        return path.open("rb")
    except OSError as error:
        raise DataError(f"damaged or unreadable: {error.strerror}") from None


def file_of(path: Path) -> File:
    """The file at ``path`` as the only one of a source."""
    return File((path.name,), partial(_open, path))
