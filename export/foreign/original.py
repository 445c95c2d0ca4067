"""The reference: the file as it came, in ONNX Runtime, and its values made pixels in NumPy.

Shares no code with the graph that ships, so that what both get wrong in the same way is little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from core.contract import Inputs
from core.errors import ExportError
from core.images import Images
from export.foreign.ports import Layout, Ports
from export.runtime import Session

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Original:
    """The foreign graph in ONNX Runtime."""

    session: Session
    ports: Ports

    def values(self, inputs: Inputs) -> NDArray[Any]:
        """What the graph itself makes of the contract's inputs, as it makes it, ``(n, …)``."""
        ports, count = self.ports, len(inputs["z"])
        z = inputs["z"] * inputs["truncation"]
        feeds = {ports.latent: z.reshape(*z.shape, *[1] * ports.ones).astype(_dtype(ports.latent_dtype))}
        if ports.label:
            feeds[ports.label.name] = self._labels(inputs["label"])
        made = [self._run(feeds, rows) for rows in self._batches(count)]
        return np.asarray(np.concatenate(made)[:count])

    def _labels(self, label: NDArray[Any]) -> NDArray[Any]:
        told = self.ports.label
        assert told
        if told.one_hot:
            return np.asarray(np.eye(len(told.classes))[label[:, 0]].astype(_dtype(told.dtype)))
        return label.reshape(-1, *[1] * (told.rank - 1)).astype(_dtype(told.dtype))

    def _batches(self, count: int) -> Iterator[list[int]]:
        """Rows of the batches the graph was made for, the last filled up with its last row."""
        size = self.ports.batch or count
        for start in range(0, count, size):
            yield [min(row, count - 1) for row in range(start, start + size)]

    def _run(self, feeds: dict[str, NDArray[Any]], rows: list[int]) -> NDArray[Any]:
        given = {name: value[rows] for name, value in feeds.items()}
        for name, (value, by_row) in self.ports.fixed.items():
            given[name] = np.repeat(value, len(rows), axis=0) if by_row else value
        try:
            (made,) = self.session.run([self.ports.image], given)
        except Exception as error:  # ONNX Runtime has a kind for each of its status codes
            reason = (str(error).strip() or repr(error)).splitlines()[0][:300]
            raise ExportError(f"ONNX Runtime cannot run the graph as it is ({reason})") from None
        if np.shape(made)[:1] != (len(rows),):
            raise ExportError(f"the graph makes {np.shape(made)} of {len(rows)} latents: not an image for each")
        return np.asarray(made)


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
