"""What every served version of a model is held against: inputs, and what it must make of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.bundle import MOST_LEVELS, Golden, levels_apart, pack_golden, unpack_golden
from core.errors import BundleError
from serving.wire import OUTPUT, Answer, ask

# Styles are float32: runtimes differ in the last digits, of wrong weights or broken tensors much earlier ones. A
# distance is a share of the largest of the expected values.
MOST_APART = 1e-3


@dataclass(frozen=True)
class Reference:
    """Inputs of a graph by name, each ``(n, …)``, and what its one ``output`` must be, ``(n, …)``.

    ``values`` are uint8 images ``(n, h, w, c)``, or float32 where the graph gives styles.
    """

    inputs: dict[str, NDArray[Any]]
    output: str
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    def to_bytes(self) -> bytes:
        """The npz file, numbers only."""
        return pack_golden(self.inputs, self.output, self.values)

    @classmethod
    def read(cls, path: Path, output: str = OUTPUT) -> Self:
        """The reference in an npz file for a model that gives ``output``. Raises BundleError if it is not one."""
        if output == OUTPUT:
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
        if expected.dtype == np.uint8:
            levels = levels_apart(values, expected)
            return f"{levels} levels off" if levels > MOST_LEVELS else ""
        if values.shape != expected.shape or values.dtype != expected.dtype:
            return f"{values.dtype} {values.shape} instead of {expected.dtype} {expected.shape}"
        share = float(np.abs(values - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-9))
        return "" if share <= MOST_APART else f"{share:.2%} off"  # a NaN is off


@dataclass(frozen=True)
class Watched:
    """A served version of a model with what its answers are held against."""

    name: str
    version: str
    golden: Reference
    max_batch: int

    def ask(self, client: Any, first: int, last: int, seconds: float) -> Answer:
        """Ask for the golden rows from ``first`` up to ``last``."""
        inputs = {name: values[first:last] for name, values in self.golden.inputs.items()}
        return ask(client, self.name, inputs, output=self.golden.output, version=self.version, seconds=seconds)

    def difference(self, values: NDArray[Any], first: int) -> str | None:
        """How ``values`` differ from the golden ones that start at ``first``, if by more than rounding."""
        if not (how := self.golden.difference(values, first)):
            return None
        what = "images" if self.golden.output == OUTPUT else "styles"
        return (
            f"'{self.name}' version {self.version} does not make its golden {what} ({how}): run 'doctor', "
            "and if it finds nothing, export and publish again"
        )
