"""Arrays of pictures on the disk: npy files, written one picture at a time and read through memory maps."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.images import Images, clear_hidden_colour
from trainer.data.info import INFO

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

Shape = tuple[int, int, int]  # (height, width, channels)


def save_pictures(path: Path, pictures: Iterable[Images], shape: Shape) -> tuple[int, "Hash"]:
    """Write ``shape`` pictures as one uint8 npy file. Returns how many came, and a digest of all their bytes.

    Hidden colour becomes 0. Raises DataError for a picture of another shape, and if none comes.
    """
    digest, count = sha256(), 0
    with path.open("wb") as file:
        start = _write_header(file, (count, *shape))
        for count, picture in enumerate(_clean(pictures, shape), 1):  # noqa: B007 (counted, used below)
            digest.update(picture.data)
            file.write(picture.data)
        if count == 0:
            raise DataError("there are no images to write: a pack needs at least one")
        # Written twice, as at first it cannot know the count; numpy leaves room for the longest.
        file.seek(0)
        assert _write_header(file, (count, *shape)) == start
    return count, digest


def digest_of(pictures: Images) -> "Hash":
    """The same digest of an array ``(n, h, w, c)`` that may not fit into memory."""
    digest = sha256()
    for start in range(0, len(pictures), 1024):
        digest.update(pictures[start : start + 1024].data)
    return digest


def load_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The npy file at ``path``, memory-mapped. Raises DataError unless it holds just that."""
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


def _clean(pictures: Iterable[Images], shape: Shape) -> Iterator[Images]:
    for picture in pictures:
        if picture.shape != shape or picture.dtype != np.uint8:
            raise DataError(f"an image is {picture.dtype} {picture.shape}, the pack holds uint8 {shape}")
        yield np.ascontiguousarray(clear_hidden_colour(picture))


def _write_header(file: BinaryIO, shape: tuple[int, int, int, int]) -> int:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
    return file.tell()
