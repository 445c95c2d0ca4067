"""Golden images: inputs of a graph and what it must make of them, as an npz file that nobody need trust. Torch-free."""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
from numpy.typing import NDArray

from core.errors import BundleError
from core.images import Images

INPUT_PREFIX = "input_"  # of an input's name, beside the output's, in the npz file
LARGEST_GOLDEN = 3 << 29  # bytes, unpacked: 16 of the largest images with all of their noise


@dataclass(frozen=True)
class Golden:
    """Inputs of the graph by name, each ``(n, …)``, and the uint8 images ``(n, h, w, c)`` PyTorch made of them."""

    inputs: dict[str, NDArray[Any]]
    images: Images

    def __len__(self) -> int:
        return len(self.images)

    def to_bytes(self) -> bytes:
        """The npz file: numbers only."""
        return pack_golden(self.inputs, "image", self.images)

    @classmethod
    def read(cls, path: Path) -> "Golden":
        """The golden images in an npz file. Raises BundleError if it is not one."""
        try:
            inputs, images = unpack_golden(path, "image")
        except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
            raise BundleError(f"{path} holds no golden images ({error}): export or publish again") from None
        whole = images.dtype == np.uint8 and images.ndim == 4 and len(images) > 0
        if not whole or any(value.shape[:1] != images.shape[:1] for value in inputs.values()):
            raise BundleError(f"{path} holds golden images of the wrong shape: export or publish again")
        return cls(inputs, images)


def pack_golden(inputs: Mapping[str, NDArray[Any]], output: str, values: NDArray[Any]) -> bytes:
    """The npz file of a graph's ``inputs`` by name and the ``values`` of its one ``output``: numbers only."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{output: values}, **{INPUT_PREFIX + name: array for name, array in inputs.items()})
    return buffer.getvalue()


def unpack_golden(path: Path, output: str) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """The inputs by name and the values of ``output``. A damaged file raises what NumPy and zipfile raise."""
    golden_shapes(path)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        named = [name for name in arrays.files if name.startswith(INPUT_PREFIX)]
        inputs = {name.removeprefix(INPUT_PREFIX): arrays[name] for name in named}
        return inputs, arrays[output]


def golden_shapes(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype and shape of each array in an npz file by name, from the headers alone: nothing is unpacked.

    Raises ValueError, or what zipfile raises, unless each array is as large as its header says and all together are
    no larger than ``LARGEST_GOLDEN``: a small file can claim to hold, or be packed from, more than memory does.
    """
    shapes, left = {}, LARGEST_GOLDEN
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        # Each header, and whether the array is as large as it says
        for member in archive.infolist():
            with archive.open(member) as array:
                if npy.read_magic(array) != (1, 0):  # type: ignore[no-untyped-call] # others have headers of gigabytes
                    raise ValueError(f"{member.filename[:80]!r} is not an array of numbers")
                shape, _, dtype = npy.read_array_header_1_0(array)  # type: ignore[no-untyped-call]
                header = array.tell()
            size = math.prod(shape) * dtype.itemsize
            if any(side < 0 for side in shape) or member.file_size != header + size:
                raise ValueError(f"{member.filename[:80]!r} is not as large as it says")
            if (left := left - size) < 0:
                raise ValueError(f"it is larger than {LARGEST_GOLDEN} bytes")
            shapes[member.filename.removesuffix(".npy")] = (dtype.name, shape)
    return shapes
