"""The pack: images ready for training, in a directory that describes itself.

data/NAME/
  images.npy    uint8 (count, height, width, channels), straight alpha, hidden colour 0; memory-mapped
  labels.npy    int64 (count,), indices of classes; only where there are classes
  dataset.json  PackInfo: size, classes, fingerprint, licence, skipped files
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.files import new_directory, sweep_around, write_atomic
from core.images import Images, clear_hidden_colour
from core.ours import is_ours
from core.places import LITTER, is_free, why_not
from core.spec import CHANNELS

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

FORMAT_VERSION = 1
INFO = "dataset.json"
IMAGES = "images.npy"
LABELS = "labels.npy"
SHEET = "sheet.png"  # the contact sheet, if it was asked for
FEATURES = "features"  # what judging a generator keeps
_FEATURES = re.compile(rf"{FEATURES}/[\w-]+-[0-9a-f]{{16}}\.safetensors")

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class PackInfo:
    """What ``dataset.json`` says. Whoever writes a pack leaves ``count`` and ``fingerprint`` to ``write_pack``.

    ``skipped`` pairs a path, relative to the source, with the reason; ``options`` are those of the import; ``notes``
    are what it had to say, as (label, sentence), and ``warnings`` what speaks against training on it; ``alike`` pairs
    a picture with an earlier one that it looks nearly like, by their names. ``empty`` and ``duplicates`` were found
    among the source's pictures, and dropped unless the options say otherwise; ``distinct`` is how many of the pack's
    images differ, 0 if nobody counted, as in older packs.
    """

    name: str
    height: int
    width: int
    channels: int
    classes: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
    attribution: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    empty: int = 0
    duplicates: int = 0
    distinct: int = 0
    notes: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    alike: tuple[tuple[str, str], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    fingerprint: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of ``images.npy``: (count, height, width, channels)."""
        return self.count, self.height, self.width, self.channels

    def to_json(self) -> str:
        """JSON text from which ``from_json`` makes an equal info."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "PackInfo":
        """The info in ``text``. Raises DataError for another version or anything malformed."""
        try:
            values = json.loads(text)
            if (version := values["format_version"]) != FORMAT_VERSION:
                raise DataError(f"it has format version {version}, this code reads {FORMAT_VERSION}")
            values["classes"] = tuple(values["classes"])
            values["warnings"] = tuple(map(str, values.get("warnings", ())))
            for name in ("skipped", "notes", "alike"):
                values[name] = tuple((str(first), str(second)) for first, second in values.get(name, ()))
            for old, new in _RENAMED.items():
                if old in values:
                    values[new] = values.pop(old)
            info = cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"its {INFO} is malformed ({type(error).__name__}: {error})") from None
        info._check()
        return info

    def _check(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if type(value) is not kind:
                raise DataError(f"its {INFO} is malformed ({name} is {value!r})")
        texts = all(isinstance(name, str) for name in self.classes)
        if not texts or min(self.shape) < 1 or self.channels not in CHANNELS:
            raise DataError(f"its {INFO} is malformed (classes or shape)")


_RENAMED = {"empty_cells": "empty", "duplicate_cells": "duplicates"}  # in older packs

_KINDS = {f.name: f.type for f in fields(PackInfo) if f.type in (str, int)} | {"options": dict}


@dataclass(frozen=True, eq=False)
class Pack:
    """An open pack: ``images`` uint8 ``(n, h, w, c)``, memory-mapped, and ``labels`` int64 ``(n,)`` or None."""

    path: Path
    info: PackInfo
    images: Images
    labels: Labels | None

    @classmethod
    def open(cls, path: Path) -> "Pack":
        """The pack in the directory ``path``, its images not yet read. Raises DataError if it is not a whole pack."""
        path = Path(path)
        if not (path / INFO).is_file():
            raise DataError(f"{path} is not a pack: it has no {INFO} (make one with 'data import')")
        try:
            info = PackInfo.from_json((path / INFO).read_text(encoding="utf-8"))
            images = _load(path / IMAGES, np.dtype(np.uint8), info.shape)
            labels = _load_labels(path / LABELS, info)
        except (DataError, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be used: {error}; import it again") from None
        return cls(path, info, images, labels)

    def __len__(self) -> int:
        return self.info.count

    def gather(self, indices: Sequence[int] | NDArray[np.int64]) -> Images:
        """The images at ``indices``, in that order, as a contiguous uint8 ``(len(indices), h, w, c)`` array."""
        return np.ascontiguousarray(self.images[np.asarray(indices, np.int64)])

    def verify(self) -> None:
        """Read every image. Raises DataError if they are not those that were imported."""
        digest = sha256()
        for start in range(0, len(self), 1024):
            digest.update(self.images[start : start + 1024].data)
        if _fingerprint(digest, self.info, self.labels) != self.info.fingerprint:
            raise DataError(f"{self.path} was changed after the import: import it again")


def write_pack(
    destination: Path,
    images: Iterable[Images],
    labels: Sequence[int] | Labels | None,
    info: PackInfo,
    overwrite: bool = False,
) -> Pack:
    """Write ``(h, w, c)`` images one by one, so that memory holds a single one, and open the result.

    The pack appears whole or not at all. An existing ``destination`` is a DataError unless ``overwrite``, which
    replaces packs only.
    """
    check = partial(check_destination, destination, overwrite)
    check()
    with writing(destination), new_directory(destination, overwrite, check) as directory:
        digest = sha256()
        with (directory / IMAGES).open("wb") as file:
            count = _write_images(file, _hashed(images, info, digest), info)
        info = replace(info, count=count)
        array = _label_array(labels, info)
        if array is not None:
            np.save(directory / LABELS, array, allow_pickle=False)
        info = replace(info, fingerprint=_fingerprint(digest, info, array))
        write_atomic(directory / INFO, info.to_json())
    return Pack.open(destination)


def check_destination(destination: Path, overwrite: bool) -> None:
    """Raise DataError if a pack may not be written there: found out before the work, not after it."""
    if problem := why_not(destination):
        raise DataError(f"cannot write {destination}: {problem}")
    sweep_around(destination)
    if is_free(destination):
        return
    if not overwrite:
        raise DataError(f"{destination} exists: choose another name, or add --overwrite to replace that pack")
    if not destination.is_dir() or not _is_a_pack(destination):
        raise DataError(f"{destination} is not a pack and nothing else, so it is not overwritten: choose another name")
    if foreign := _foreign(destination):
        raise DataError(f"{destination} is a pack, but {foreign} in it is not of it: move that, or choose another name")


def _is_a_pack(folder: Path) -> bool:
    """Whether the folder says that it is a pack, whole or damaged."""
    try:
        PackInfo.from_json((folder / INFO).read_text(encoding="utf-8"))
    except (DataError, OSError, UnicodeDecodeError):
        return False
    return True


def _foreign(folder: Path) -> str:
    """Something in a pack that we did not write; empty if deleting it loses nothing but a pack."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name not in LITTER]
    ours = {INFO, IMAGES, LABELS, FEATURES, *([SHEET] if is_ours(folder / SHEET) else [])}
    return next((name for name in sorted(names) if name not in ours and not _FEATURES.fullmatch(name)), "")


def nearest_folder(destination: Path) -> Path:
    """The folder that exists nearest above the destination: temporary data belongs on the same disk."""
    return next(path for path in destination.absolute().parents if path.is_dir())


@contextmanager
def writing(destination: Path) -> Iterator[None]:
    """Turn a full disk, or a place that may not be written, into a DataError of one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {destination}: {error.strerror or error}") from None


def _hashed(images: Iterable[Images], info: PackInfo, digest: "Hash") -> Iterator[Images]:
    for image in images:
        if image.shape != info.shape[1:] or image.dtype != np.uint8:
            raise DataError(f"an image is {image.dtype} {image.shape}, the pack holds uint8 {info.shape[1:]}")
        clean = np.ascontiguousarray(clear_hidden_colour(image))
        digest.update(clean.data)
        yield clean


def _write_images(file: BinaryIO, images: Iterable[Images], info: PackInfo) -> int:
    """Write an npy file and return how many images came. Its header is written twice: first it cannot know."""
    count = 0
    start = _write_header(file, info, count)
    for count, image in enumerate(images, 1):  # noqa: B007 (counted, not used here)
        file.write(image.data)
    if count == 0:
        raise DataError("there are no images to write: a pack needs at least one")
    file.seek(0)
    # numpy leaves room for the longest count, so that the header's length does not depend on it.
    assert _write_header(file, info, count) == start
    return count


def _write_header(file: BinaryIO, info: PackInfo, count: int) -> int:
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *info.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
    return file.tell()


def _label_array(labels: Sequence[int] | Labels | None, info: PackInfo) -> Labels | None:
    if labels is None and not info.classes:
        return None
    array = np.asarray(() if labels is None else labels, np.int64)
    if array.shape != (info.count,) or array.min() < 0 or array.max() >= len(info.classes):
        raise DataError(f"{len(array)} labels do not fit {info.count} images of {len(info.classes)} classes")
    return array


def _fingerprint(digest: "Hash", info: PackInfo, labels: Labels | None) -> str:
    """Completes a digest of all image bytes: the same images, labels and classes give the same fingerprint."""
    if labels is not None:
        digest.update(np.ascontiguousarray(labels, "<i8").data)
    digest.update(json.dumps([*info.shape, *info.classes]).encode())
    return digest.hexdigest()


def _load_labels(path: Path, info: PackInfo) -> Labels | None:
    if not info.classes:
        return None
    labels = np.array(_load(path, np.dtype(np.int64), (info.count,)))
    if labels.min() < 0 or labels.max() >= len(info.classes):
        raise DataError(f"{path.name} holds labels outside its {len(info.classes)} classes")
    return labels


def _load(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        # Unlike np.load this opens nothing but plain arrays.
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        raise DataError(f"it has no {path.name}") from None
    except (ValueError, EOFError, OSError):
        raise DataError(f"its {path.name} is truncated or damaged") from None
    if array.dtype != dtype or array.shape != shape:
        raise DataError(f"its {path.name} does not hold {dtype} {shape} as its {INFO} says")
    return array
