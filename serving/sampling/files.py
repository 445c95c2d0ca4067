"""Sampled images as PNG files that say where they come from, none of which takes the place of another."""

import errno
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageSequence

from core.difference import MOST_LEVELS, levels_apart
from core.errors import RequestRefused, ServingError
from core.files import sweep, write_atomic
from core.images import Images, encode_png
from core.ours import may_write, of_any_size
from core.places import why_not
from core.sheets import PAGE, Cell
from core.system import delete_unless_held, folded

_LEFT = re.compile(r"\..+\.png\.[a-z0-9_]{8}\.tmp", re.DOTALL)  # what core.files writes into before it has its name
MOST_HELD = 4096  # pictures, where a sheet or an animation of that name is there
_KINDS = ("PNG", "GIF", "WEBP")
_LARGE = 1 << 26  # pixels
_HEAD = 4096  # bytes in which a picture of ours says so


class Picture(NamedTuple):
    """An image to be written: the name of its file without ``.png``, and what is to be said of it alone."""

    name: str
    image: Images
    facts: Mapping[str, str]


class Keeper:
    """Writes pictures so that none is lost.

    What is there is replaced by the same picture only, or, where ``overwrite`` and if Ganfoundry made it, by another;
    what was written here by no other at all. ``instead`` is what those may choose whose picture would be replaced.
    """

    def __init__(self, overwrite: bool = False, instead: str = "another --out or --names") -> None:
        self.overwrite, self._instead = overwrite, instead
        self._written: set[str] = set()

    def save(self, path: Path, data: bytes, named: Path | None = None) -> None:
        """Write the picture ``data``. Raises RequestRefused where it may not be, and ServingError where it cannot."""
        self.check(path, data)
        write_file(path, data, named)
        self._written.add(folded(str(path)))

    def check(self, path: Path, data: bytes) -> None:
        """Raise RequestRefused where the picture ``data`` may not be written."""
        if not path.exists():
            return
        check_free(path)
        if folded(str(path)) in self._written and not same_picture(path, data):
            raise RequestRefused(f"{path} would be two pictures of this command: give one of them another name")
        if not self.overwrite and not same_picture(path, data):
            raise RequestRefused(f"{path} is there and is another picture: choose {self._instead}, or give --overwrite")


@dataclass(frozen=True)
class Overview:
    """Files at ``paths`` that are made of all pictures: sheets and animations. ``make`` gives the bytes of each."""

    paths: Sequence[Path]
    make: Callable[[Sequence[Cell]], Iterable[bytes]]


def save_pictures(
    pictures: Iterable[Picture], out: Path, facts: Mapping[str, str], keeper: Keeper, *overviews: Overview
) -> list[Path]:
    """Write each picture into ``out`` as it arrives, then the ``overviews`` of all; gives the file of each picture.

    That may be the file of an earlier one. Where an overview is there already, and the pictures are few enough to be
    held, it is compared before anything is written. ``facts`` go into the text chunks of all. Raises as
    ``Keeper.save`` does.
    """
    pictures, held, made = iter(pictures), [], None

    # What is there already may be somebody's: it is looked at first, if the pictures can be held until then.
    if any(path.exists() for each in overviews for path in each.paths):
        held = list(itertools.islice(pictures, MOST_HELD + 1))
        if len(held) <= MOST_HELD:  # that is all of them
            made = list(_made(overviews, [picture.image for picture in held]))
            for path, data in made:
                keeper.check(path, data)

    paths = []
    for name, image, more in itertools.chain(held, pictures):
        path = out / f"{name}.png"
        keeper.save(path, encode_png(image, {**facts, **more}), out)
        paths.append(path)

    for path, data in _made(overviews, paths) if made is None else made:
        keeper.save(path, data)
    return paths


def _made(overviews: Sequence[Overview], cells: Sequence[Cell]) -> Iterator[tuple[Path, bytes]]:
    for each in overviews if cells else ():
        if each.paths:
            yield from zip(each.paths, each.make(cells), strict=True)


def same_picture(path: Path, data: bytes) -> bool:
    """Whether the file ``path`` shows what ``data`` does, frame by frame, but for what a seed's image may differ by.

    Pictures too large to be looked at in memory are the same where their bytes are.
    """
    try:
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return True
        with of_any_size(), Image.open(path, formats=_KINDS) as there, Image.open(io.BytesIO(data)) as here:
            if here.width * here.height > _LARGE or (there.size, there.mode, _frames(there)) != (
                here.size,
                here.mode,
                _frames(here),
            ):
                return False
            pairs = zip(ImageSequence.Iterator(there), ImageSequence.Iterator(here), strict=True)
            # On a sheet colour and alpha are one: a level of each may be two.
            most = MOST_LEVELS * (2 if PAGE in there.info else 1)
            return all(levels_apart(*(np.asarray(each.convert("RGBA")) for each in pair)) <= most for pair in pairs)
    except (OSError, SyntaxError, ValueError):  # what Pillow says of damaged files
        return False


def _frames(picture: Image.Image) -> int:
    return int(getattr(picture, "n_frames", 1))


def older_frames(names: Iterable[str], out: Path) -> list[Path]:
    """Those of ``out/NAME.png`` that are there: frames of a longer animation, which are not to be mixed with another's.

    Raises RequestRefused for one that Ganfoundry did not make as the frame of an animation.
    """
    there = [path for path in (out / f"{name}.png" for name in names) if path.exists()]
    for path in there:
        check_free(path)
        with Image.open(path) as picture:
            if "Frame" not in picture.info:
                raise RequestRefused(f"{path} is named as a frame and is none: move it, or choose another --out")
    return there


def sweep_pictures(folder: Path) -> None:
    """Delete what killed writers of pictures of ours left in ``folder``: hidden, half-written, held by no process."""
    for left in folder.glob(".*.png.*.tmp"):
        if _LEFT.fullmatch(left.name) and left.is_file() and not left.is_symlink():
            with suppress(OSError):  # what we may not read, or somebody else swept, is none of ours
                if _begins_as_ours(left):
                    delete_unless_held(left)


def _begins_as_ours(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head or (b"Software\0" in head and b"Ganfoundry" in head)


def write_file(path: Path, data: bytes, named: Path | None = None) -> None:
    """Write ``data`` whole or not at all. Raises ServingError, which names ``named`` or the path, if it cannot."""
    with writing(named or path):
        write_atomic(path, data)


def check_free(path: Path) -> None:
    """Raise RequestRefused if writing ``path`` would replace what Ganfoundry did not make."""
    if not may_write(path):
        raise RequestRefused(f"{path} is there, and Ganfoundry did not make it: move it, or choose another place")


def make_places(out: Path, *files: Path | None) -> None:
    """Make ``out`` and the folders of ``files``, and clear away what killed writers of ours left there.

    Raises RequestRefused if something is in the way.
    """
    named = [file for file in files if file is not None]

    # Nothing is made while something is in the way.
    for place in (out, *named):
        if problem := why_not(place, whole=False):
            raise RequestRefused(problem)
    for file in named:
        if file.is_dir():
            raise RequestRefused(f"{file} is a folder: write the name of a file, like {file / 'sheet.png'}")
    for file in named:
        check_free(file)

    for folder in [out, *(file.parent for file in named)]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RequestRefused(f"{folder} is not a folder and cannot become one: choose another") from None
        except OSError as error:
            raise RequestRefused(f"{folder} cannot be made ({error.strerror}): choose another") from None

    sweep_pictures(out)
    for file in named:
        sweep(file)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise ServingError, which names ``place`` in a line, for what the file system refuses in the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ServingError(f"no room for {place}: make room and ask again; what is complete is kept") from None
        raise ServingError(f"{place} cannot be written ({error.strerror}); what is complete is kept") from None
