"""The pictures that ``translate`` is given: files, folders and patterns, and where the result of each goes."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from PIL import Image

from core.errors import RequestRefused
from core.ours import is_ours, of_any_size
from core.sheets import PAGE
from core.system import folded
from serving.protocol.picture_texts import TRANSLATED
from serving.sampling.files import check_free

_LITTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})


@dataclass(frozen=True)
class Given:
    """A file to be translated, and the file of its result."""

    path: Path
    result: Path


def find_inputs(inputs: Sequence[str], out: Path) -> list[Given]:
    """Every file that ``inputs`` name, in order, each once; results are called as they are, ``.png``, in ``out``.

    Of a folder that is all files in it and in folders in it, which stay as they are below ``out``; of several folders,
    below their own names. Left out is what begins with a dot, ``out`` where it lies in a folder, and, however they were
    found, earlier results and sheets below ``out``, unless there is nothing else. Where two results would have one name
    they are called by the whole names of their files, ``a.jpg.png``. Raises RequestRefused for what is not there, where
    that does not help, and where a result would take the place of a file that is to be translated, or is not ours.
    """
    found = _found(inputs, out)
    if not found:
        raise RequestRefused(
            f"there is no file to translate in {', '.join(inputs)}: give pictures, or a folder of some"
        )

    given = [Given(path, out / name) for path, name in zip(found, _names(found), strict=True)]
    sources = {os.path.realpath(each.path) for each in given}

    # No result takes the place of a picture that is still to be read.
    for each in given:
        if os.path.realpath(each.result) in sources:
            raise RequestRefused(f"{each.result} is to be translated itself: choose another --out")
        check_free(each.result)
    return given


def _found(inputs: Sequence[str], out: Path) -> dict[Path, PurePath]:
    """The files, and where each lies below whatever was given."""
    paths = [path for text in inputs for path in _expanded(text)]
    several = sum(path.is_dir() for path in paths) > 1
    found: dict[Path, PurePath] = {}
    known = set()
    for path in paths:
        files = _files_under(path, out) if path.is_dir() else [path]
        above = path.resolve().name if several and path.is_dir() else ""
        for file in files:
            if (real := os.path.realpath(file)) not in known:
                known.add(real)
                found[file] = PurePath(above) / (file.relative_to(path) if path.is_dir() else file.name)
    # A shell writes out patterns before we see them: results are told by what they say, not by who named them.
    here = Path(os.path.realpath(out))
    fresh = {file: place for file, place in found.items() if not _is_result(file, here)}
    return fresh or found


def _is_result(file: Path, out: Path) -> bool:
    """Whether ``translate`` wrote the file, a picture or a sheet, and it lies below ``out``."""
    if file.suffix != ".png" or not file.is_file() or out not in Path(os.path.realpath(file)).parents:
        return False
    if not is_ours(file):
        return False
    with of_any_size(), Image.open(file) as picture:
        return not {TRANSLATED, PAGE}.isdisjoint(picture.info)


def _expanded(text: str) -> list[Path]:
    """A path, or the paths that a pattern stands for, in order: not every shell expands them."""
    if os.path.lexists(text):
        return [Path(text)]
    matching = glob.glob(text, recursive=True) if glob.has_magic(text) else []  # noqa: PTH207 (Path's: relative only)
    paths = sorted(matching)
    if not paths:
        raise RequestRefused(f"{text} is not there: give a picture, a folder of some, or a pattern like 'lines/*.png'")
    return [Path(path) for path in paths]


def _files_under(root: Path, out: Path) -> Iterator[Path]:
    """The files in a folder and in those in it, in the order of their names. Links are followed, each folder once."""
    here, known = os.path.realpath(out), set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in known or (real == here and not Path(root).samefile(out)):
            folders[:] = []
            continue
        known.add(real)
        folders[:] = sorted(name for name in folders if _is_shown(name))
        yield from (Path(folder, name) for name in sorted(names) if _is_shown(name))


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name not in _LITTER


def _names(found: dict[Path, PurePath]) -> list[PurePath]:
    """The names of the results, all different on any disk."""
    short = [place.with_suffix(".png") for place in found.values()]
    alike = Counter(folded(str(name)) for name in short)

    # Where two would be called alike, both keep the ending of their file in the name.
    names = [
        place.with_name(f"{place.name}.png") if alike[folded(str(name))] > 1 else name
        for place, name in zip(found.values(), short, strict=True)
    ]

    # Where that does not help, people must choose.
    first: dict[str, Path] = {}
    for path, name in zip(found, names, strict=True):
        other = first.setdefault(folded(str(name)), path)
        if other != path:
            raise RequestRefused(f"{other} and {path} would both become {name}: translate them into different folders")
    for path, name in zip(found, names, strict=True):
        if above := next((each for each in name.parents if folded(str(each)) in first), None):
            raise RequestRefused(f"{above} would be both a picture and the folder of that of {path}: rename one")
    return names
