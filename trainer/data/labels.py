"""The class of each file: by its folder, by a pattern of its name, or by a list that somebody wrote."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import ConfigError, DataError
from trainer.data.listing import File, printable

FOLDERS = "folders"
LISTS = (".json", ".csv", ".tsv")
# Folders of these names, and no others beside them, hold the parts of a data set and are no classes.
_PARTS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
_FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "path", "filepath", "name", "id")
_CLASS_COLUMNS = ("label", "class", "category", "target", "class_name", "breed", "type")
_LARGEST_LIST = 1 << 28  # bytes


class NoLabel(DataError):
    """A file whose class is not known."""


@dataclass(frozen=True)
class Labels:
    """``of`` gives the class of a file, by its parts; ``used`` are files that are lists and no images."""

    of: Callable[[tuple[str, ...]], str | None]
    used: frozenset[tuple[str, ...]] = frozenset()
    said: str = ""  # what a person should know of how the classes were found


def no_labels() -> Labels:
    """No classes."""
    return Labels(lambda _: None)


def check_labels(way: str) -> None:
    """Raise ConfigError unless ``way`` is one of the ways to label."""
    if way != FOLDERS and way.count("{class}") != 1 and Path(way).suffix.lower() not in LISTS:
        raise ConfigError(
            f"--labels {way}: write folders, a list (dataset.json, labels.csv), or a pattern of file names "
            "with {class} in it: '{class}_{number}'"
        )


def labels_by(way: str, source: Path, files: Iterable[File]) -> Labels:
    """How ``--labels way`` labels the files of ``source``. Raises DataError for a list that cannot be read."""
    check_labels(way)
    files = list(files)
    if way == FOLDERS:
        return _by_folder(files)
    return _by_pattern(way) if "{class}" in way else _by_list(way, source, files)


def _by_folder(files: list[File]) -> Labels:
    """The class is the first folder, behind folders that wrap all of them."""
    depth, wrapped = 0, list[str]()
    paths = [file.parts for file in files]
    while paths and (names := _wrapper(paths, depth)):
        wrapped.append(" and ".join(f"{name}/" for name in sorted(names)))
        depth += 1

    def of(parts: tuple[str, ...]) -> str:
        if len(parts) < depth + 2:
            name = printable("/".join(parts))
            raise DataError(f"{name} lies outside the class folders: move it into one, or leave out --labels folders")
        return printable(parts[depth])

    return Labels(of, said=f"the folders in {', in '.join(wrapped)}" if wrapped else "")


def _wrapper(paths: list[tuple[str, ...]], depth: int) -> set[str]:
    """The folders at ``depth`` if they hold classes and are none: a single one, or the parts of a data set."""
    names = {parts[depth] for parts in paths if len(parts) > depth + 1}
    inside = all(len(parts) > depth + 2 for parts in paths if len(parts) > depth)
    if not inside or not names:
        return set()
    return names if len(names) == 1 or {name.lower() for name in names} <= _PARTS else set()


def _by_pattern(pattern: str) -> Labels:
    """``{class}_{number}`` of a file's name, with or without its ending; of its path if there is a slash in it."""
    text = "".join(_part(part) for part in re.split(r"(\{class\}|\{number\}|\*|\?)", pattern))
    whole = re.compile(text)

    def of(parts: tuple[str, ...]) -> str:
        name = "/".join(parts) if "/" in pattern else parts[-1]
        found = whole.fullmatch(name) or whole.fullmatch(name.rpartition(".")[0])
        if not found:
            raise NoLabel(f"no class in its name ({pattern})")
        return printable(found["label"])

    return Labels(of)


def _part(part: str) -> str:
    known = {"{class}": "(?P<label>[^/]+)", "{number}": r"\d+", "*": "[^/]*", "?": "[^/]"}
    return known.get(part) or re.escape(part)


def _by_list(way: str, source: Path, files: list[File]) -> Labels:
    inside = next((file for file in files if "/".join(file.parts) == way), None)
    text = _text(inside, way, source)
    table = _of_json(text, way) if way.lower().endswith(".json") else _of_csv(text, way)
    whole = {PurePosixPath(name.replace("\\", "/")).as_posix(): label for name, label in table.items()}
    ends = _unique_ends(whole)

    def of(parts: tuple[str, ...]) -> str:
        path, name = printable("/".join(parts)), printable(parts[-1])
        for key in (path, path.rpartition(".")[0]):
            if key in whole:
                return whole[key]
        for key in (name, name.rpartition(".")[0]):
            if key in ends:
                return ends[key]
        raise NoLabel(f"no class in {Path(way).name}")

    return Labels(of, frozenset() if inside is None else frozenset({inside.parts}))


def _text(inside: File | None, way: str, source: Path) -> str:
    """The list's text: of a file of the source if it has one of that name, else of the disk."""
    try:
        with inside.open() if inside is not None else Path(way).open("rb") as file:
            data = file.read(_LARGEST_LIST)
    except OSError as error:
        raise DataError(f"--labels {way} is neither in {source} nor a file here ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unique_ends(table: Mapping[str, str]) -> dict[str, str]:
    """The labels by the last part of the name, where it says which is meant."""
    ends: dict[str, set[str]] = {}
    for name, label in table.items():
        ends.setdefault(name.rpartition("/")[2], set()).add(label)
    return {name: next(iter(labels)) for name, labels in ends.items() if len(labels) == 1}


def _of_json(text: str, way: str) -> dict[str, str]:
    """StyleGAN's ``dataset.json``, {"labels": [["00000/img00000000.png", 6], …]}, or {"a.png": "cat", …}."""
    try:
        values: Any = json.loads(text)
        pairs = values["labels"] if isinstance(values, dict) and "labels" in values else values
        pairs = pairs.items() if isinstance(pairs, dict) else pairs
        table = {str(name): label for name, label in pairs or ()}
    except (ValueError, TypeError, RecursionError):
        raise DataError(f'--labels {way} is not a list of labels: {{"labels": [["a.png", 0], …]}}') from None
    if not table:
        raise DataError(f"--labels {way} holds no labels: leave it out, or name another list")

    if not all(isinstance(label, str | int) for label in table.values()):
        raise DataError(f"--labels {way} has labels that are no numbers or names: one class for each image is meant")
    return {printable(name): printable(str(label)) for name, label in table.items()}


def _of_csv(text: str, way: str) -> dict[str, str]:
    """A table with a column of file names and one of classes: by their headings, else the first two."""
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], ",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if way.lower().endswith(".tsv") else csv.excel
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if len(row) > 1]
    except csv.Error as error:
        raise DataError(f"--labels {way} cannot be read as a table ({error})") from None

    # Which columns they are in
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = [
        next((head.index(name) for name in names if name in head), None) for names in (_FILE_COLUMNS, _CLASS_COLUMNS)
    ]
    file, label = (0, 1) if None in named else (named[0] or 0, named[1] or 0)
    rows = rows if None in named else rows[1:]

    table = {printable(row[file].strip()): printable(row[label].strip()) for row in rows if len(row) > max(file, label)}
    if not table:
        raise DataError(f"--labels {way} holds no labels: it needs a column of file names and one of classes")
    return table
