"""What every served version of a model is held against: inputs, and what it must make of them."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.difference import MOST_LEVELS, levels_apart, relative_difference
from core.errors import BundleError
from core.golden import Golden, pack_golden, unpack_golden
from core.images import Images, from_pillow
from serving.protocol.requests import OUTPUT

PNG = "png"  # the output of a model that gives files

# Styles are float32: runtimes differ in the last digits, of wrong weights or broken tensors much earlier ones. A
# distance is a share of the largest of the expected values.
MOST_APART = 1e-3


@dataclass(frozen=True)
class Reference:
    """Inputs of a model by name, each ``(n, …)``, and what one ``output`` of it must be, ``(n, …)``.

    ``values`` are uint8 images ``(n, h, w, c)``, those in the files where the model gives PNG files, or float32 where
    it gives styles or latents.
    """

    inputs: dict[str, NDArray[Any]]
    output: str
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    def to_bytes(self) -> bytes:
        """The npz file, numbers only."""
        return pack_golden(self.inputs, _kept_as(self.output), self.values)

    @classmethod
    def read(cls, path: Path, output: str = OUTPUT) -> Self:
        """The reference in an npz file for a model that gives ``output``. Raises BundleError if it is not one."""
        if _kept_as(output) == OUTPUT:
            golden = Golden.read(path)
            return cls(golden.inputs, output, golden.images)
        try:
            inputs, values = unpack_golden(path, output)
        except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
            raise BundleError(f"{path} holds no golden {output} ({error}): publish again") from None
        fits = all(value.shape[:1] == values.shape[:1] for value in inputs.values())
        if values.dtype != np.float32 or values.ndim < 2 or not len(values) or not inputs or not fits:
            raise BundleError(f"{path} holds a golden {output} of the wrong shape: publish again")
        return cls(inputs, output, values)

    def difference(self, values: NDArray[Any], first: int = 0) -> str:
        """How far ``values`` are from those that start at row ``first``; empty where it is no more than rounding."""
        expected = self.values[first : first + len(values)]
        if self.output == PNG:
            values = images_in(values, expected.shape[-1])
        if expected.dtype == np.uint8:
            levels = levels_apart(values, expected)
            return f"{levels} levels off" if levels > MOST_LEVELS else ""
        if values.shape != expected.shape or values.dtype != expected.dtype:
            return f"{values.dtype} {values.shape} instead of {expected.dtype} {expected.shape}"
        share = relative_difference(values, expected)
        return "" if share <= MOST_APART else f"{share:.2%} off"  # a NaN is off


def images_in(files: NDArray[Any], channels: int) -> Images:
    """The images in PNG files ``(n, 1)``; none at all where one of them is no such file."""
    try:
        pictures = [Image.open(io.BytesIO(file), formats=["PNG"]) for file in files[:, 0]]
        return np.stack([from_pillow(picture, channels) for picture in pictures])
    except (OSError, ValueError, IndexError):  # what Pillow says of what is none, and NumPy of sizes that differ
        return np.zeros((0, 0, 0, channels), np.uint8)


def _kept_as(output: str) -> str:
    """Under which name the file holds what is given: PNG files as the images in them."""
    return OUTPUT if output == PNG else output
