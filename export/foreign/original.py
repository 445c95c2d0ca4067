"""The reference: the file as it came, in ONNX Runtime, and its values made pixels in NumPy.

Shares no code with the graph that ships, so that what both get wrong in the same way is little.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from core.contract import SOURCE, Inputs, count_of
from core.errors import ExportError, first_line
from core.images import Images
from core.onnx.session import Session
from export.foreign.hints import Layout
from export.foreign.interface import GraphInterface, VectorInput

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Original:
    """The foreign graph in ONNX Runtime."""

    session: Session
    interface: GraphInterface

    def values(self, inputs: Inputs) -> NDArray[Any]:
        """What the graph itself makes of the contract's inputs, as it makes it, ``(n, …)``."""
        interface, count, feeds = self.interface, count_of(inputs), dict[str, NDArray[Any]]()
        if interface.source:
            feeds[interface.source.name] = interface.source.values(inputs[SOURCE])

        if interface.latent:
            z = _drawn(inputs["z"], interface.latent_kind)
            if interface.truncates and not interface.truncation:
                z = z * inputs["truncation"]
            feeds[interface.latent.name] = _rows(z, interface.latent)

        if interface.codes:
            feeds[interface.codes.name] = _rows(inputs["codes"], interface.codes)
        if interface.truncation:
            feeds[interface.truncation.name] = _rows(inputs["truncation"], interface.truncation)
        if interface.label:
            feeds[interface.label.name] = self._labels(inputs["label"])

        # In the batches that the graph was made for
        made = [self._run(feeds, rows) for rows in self._batches(count)]
        return np.asarray(np.concatenate(made)[:count])

    def _labels(self, label: NDArray[Any]) -> NDArray[Any]:
        wanted = self.interface.label
        assert wanted
        if wanted.one_hot:
            return np.asarray(np.eye(len(wanted.classes))[label[:, 0]].astype(_dtype(wanted.dtype)))
        return label.reshape(-1, *[1] * (wanted.rank - 1)).astype(_dtype(wanted.dtype))

    def _batches(self, count: int) -> Iterator[list[int]]:
        """Rows of the batches the graph was made for, the last filled up with its last row."""
        size = self.interface.batch or count
        for start in range(0, count, size):
            yield [min(row, count - 1) for row in range(start, start + size)]

    def _run(self, feeds: dict[str, NDArray[Any]], rows: list[int]) -> NDArray[Any]:
        given = {name: self._side(name, value[rows]) for name, value in feeds.items()}
        for name, (value, by_row) in self.interface.fixed.items():
            given[name] = np.repeat(value, len(rows), axis=0) if by_row else value

        try:
            (made,) = self.session.run([self.interface.image], given)
        except Exception as error:  # ONNX Runtime has a kind for each of its status codes
            raise ExportError(f"ONNX Runtime cannot run the graph as it is ({first_line(error, 300)})") from None

        if self.interface.batch == 1 and np.shape(made)[:1] != (1,):  # a single image, without a batch
            made = np.asarray(made)[None]
        if np.shape(made)[:1] != (len(rows),):
            raise ExportError(f"the graph makes {np.shape(made)} of {len(rows)} inputs: not an image for each")
        return np.asarray(made)

    def _side(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """One row in the shape of an input that has no batch, or of a single number; else the rows as they are."""
        shape = {part.name: part for part in self.session.get_inputs()}[name].shape  # type: ignore[attr-defined]
        return value.reshape([]) if not shape else value.reshape(value.shape[1:]) if len(shape) < value.ndim else value


def _drawn(z: NDArray[Any], kind: str) -> NDArray[Any]:
    """Standard normal latents made those that the generator wants: each value's quantile, or a vector's direction."""
    if kind == "uniform":
        return np.asarray(np.vectorize(math.erf, otypes=[np.float32])(z / math.sqrt(2)))
    return z / np.linalg.norm(z, axis=1, keepdims=True) if kind == "sphere" else z


def _rows(values: NDArray[Any], port: VectorInput) -> NDArray[Any]:
    return np.asarray(values.reshape(len(values), *port.sides).astype(_dtype(port.dtype)))


def to_images(values: NDArray[Any], layout: Layout, value_range: tuple[float, float], premultiplied: bool) -> Images:
    """Values ``(n, c, h, w)`` or ``(n, h, w, c)`` to straight-alpha uint8 ``(n, h, w, c)``, in double precision.

    Colour fades to black below one level of alpha, as in core.pixels.
    """
    low, high = value_range
    unit: Values = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
    if layout == "NCHW":
        unit = unit.transpose(0, 2, 3, 1)
    if unit.shape[-1] == 4:
        colour, alpha = unit[..., :3], unit[..., 3:]
        if premultiplied:
            colour = np.minimum(colour, alpha) / np.maximum(alpha, 0.5 / 255)
        unit = np.concatenate([colour * np.clip(510 * alpha - 1, 0, 1), alpha], axis=-1)
    return np.asarray(np.rint(unit * 255), np.uint8)


def _dtype(code: int) -> np.dtype[Any]:
    return onnx.helper.tensor_dtype_to_np_dtype(code)  # type: ignore[no-any-return]
