"""MNIST's idx files, plain or gzipped: a header that is checked before anything is allocated, then raw bytes."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.images import Images
from trainer.data.reading import MOST_PIXELS

_UNSIGNED_BYTE = 0x08
_GZIP = b"\x1f\x8b"
MOST_BYTES = 16 * 2**30


@dataclass(frozen=True)
class IdxSet:
    """An images file and, where there is one, its labels file."""

    images: Path
    labels: Path | None


def find_idx(source: Path) -> IdxSet | None:
    """The idx set in a file or directly in a folder, or None if there is none.

    A folder with both a training and a test set (``t10k``) gives the training set. Labels are found by the usual
    name: ``train-images-idx3-ubyte`` → ``train-labels-idx1-ubyte``, either of them with or without ``.gz``.
    """
    try:
        return _idx_of_file(source) if source.is_file() else _idx_of_folder(source)
    except OSError as error:
        raise DataError(f"{source} cannot be read ({error.strerror}): check its permissions") from None


def _idx_of_file(source: Path) -> IdxSet | None:
    return IdxSet(source, _labels_beside(source)) if _looks_like_idx(source) else None


def _idx_of_folder(source: Path) -> IdxSet | None:
    files = [path for path in sorted(source.iterdir()) if "images" in path.name and "idx3" in path.name]
    sets = [path for path in files if not path.name.startswith(".") and _looks_like_idx(path)]
    if not sets:
        return None
    train = [path for path in sets if path.name.startswith("train")]
    chosen = (train or sets)[0]
    if len({_plain_name(path) for path in train or sets}) > 1:
        raise DataError(f"{source} holds several idx sets: name one file, for example {chosen}")
    return IdxSet(chosen, _labels_beside(chosen))


def read_images(path: Path) -> tuple[int, Iterator[Images]]:
    """How many images an idx file holds, and these one by one, uint8 ``(height, width, 1)``.

    Raises DataError at once for a wrong header, and while iterating where the file ends early.
    """
    count, height, width = _header(path, 3)
    if height * width > MOST_PIXELS:
        raise DataError(f"{path} claims images of {width}x{height} pixels: it is damaged, fetch it again")
    return count, _pictures(path, count, height, width)


def read_labels(path: Path, count: int) -> NDArray[np.int64]:
    """The ``count`` labels of an idx file, int64 ``(count,)``. Raises DataError if it holds another number of them."""
    (found,) = _header(path, 1)
    if found != count:
        raise DataError(f"{path} holds {found} labels for {count} images: use the files that belong together")
    with _opened(path) as file:
        file.seek(8)
        data = file.read(count)
        _check_end(file, path)
    if len(data) < count:
        raise DataError(f"{path} ends after {len(data)} of {count} labels: fetch it again")
    return np.frombuffer(data, np.uint8).astype(np.int64)


def _pictures(path: Path, count: int, height: int, width: int) -> Iterator[Images]:
    with _opened(path) as file:
        file.seek(16)
        for index in range(count):
            data = file.read(height * width)
            if len(data) < height * width:
                raise DataError(f"{path} ends after {index} of {count} images: fetch it again")
            yield np.frombuffer(data, np.uint8).reshape(height, width, 1)
        _check_end(file, path)


def _check_end(file: IO[bytes], path: Path) -> None:
    """Raise DataError if anything follows. Only at the very end is gzip's checksum looked at."""
    if file.read(1):
        raise DataError(f"{path} goes on after what its header claims: it is damaged, fetch it again")


def _header(path: Path, dimensions: int) -> tuple[int, ...]:
    """The sizes an idx file of unsigned bytes claims, each at least 1, and no more than it can hold."""
    with _opened(path) as file:
        head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        raise DataError(f"{path} is not an idx file of unsigned bytes with {dimensions} dimensions: fetch it again")
    sizes = struct.unpack(f">{dimensions}I", head[4:])
    claimed = prod(sizes) + len(head)
    if min(sizes) == 0:
        raise DataError(f"{path} holds no images: fetch it again")
    if claimed > MOST_BYTES or (not _is_gzip(path) and claimed > path.stat().st_size):
        raise DataError(f"{path} claims {claimed} bytes, which it cannot hold: it is damaged, fetch it again")
    return sizes


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file: IO[bytes]
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:  # type: ignore[assignment]
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read to its end ({error}): fetch it again") from None


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _looks_like_idx(path: Path) -> bool:
    """By its name or, whatever it is called, by its first bytes."""
    if not path.is_file():
        return False
    if "idx3" in path.name:
        return True
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:
            return file.read(3) == bytes([0, 0, _UNSIGNED_BYTE])
    except (OSError, EOFError, zlib.error):
        return False


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _labels_beside(images: Path) -> Path | None:
    plain = _plain_name(images)
    name = plain.replace("images", "labels").replace("idx3", "idx1")
    beside = (images.with_name(name), images.with_name(f"{name}.gz"))
    return next((path for path in beside if name != plain and path.is_file()), None)
