"""A seed to an image or a PNG file inside Triton: the ``model.py`` of NAME_from_seed and of NAME_png.

seed, class → latents → the same version of the generator NAME → image → png, base64
"""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .door import Door, Inputs
from .png import Wrong

LAST_SEED = 2**32 - 1
DEFAULTS = {"truncation": 1.0, "codes": 0.0}  # of inputs that a request may leave out


class TritonPythonModel(Door):
    """``seed`` INT64 (n, 1), and what else the generator takes.

    A class is asked for by its number, ``label``, or by its name, ``class``. What may be left out is as it usually is.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read what the version is. ``args`` is what Triton's Python backend passes."""
        super().initialize(args)
        self.sides = {"truncation": 1, "codes": self.spec["codes"]}
        self.stream = np.random.RandomState(0)  # making one takes as long as the rest of a request; seeding it does not

    def own_texts(self, row: int, request: Any, inputs: Inputs) -> dict[str, str]:
        """What was asked of the generator."""
        seeds = pb_utils.get_input_tensor_by_name(request, "seed").as_numpy()
        own = {"Seed": str(seeds[row, 0]), "Truncation": f"{inputs['truncation'][row, 0]:g}"}
        if "codes" in inputs:
            own["Codes"] = ",".join(map(number, inputs["codes"][row]))
        if "label" in inputs:
            own["Label"] = self.spec["classes"][inputs["label"][row, 0]]
        return own

    def inputs_of(self, request: Any) -> Inputs:
        """What the generator is asked with. Raises Wrong for what cannot be."""
        tensor = pb_utils.get_input_tensor_by_name(request, "seed")
        if tensor is None:  # where a model has inputs that may be left out, Triton lets all be left out
            raise Wrong("'seed' is missing: send one for each image, INT64 of the shape [batch, 1]")
        seeds = tensor.as_numpy()
        # Triton counts a batch in 32 bits: one of 0, or of a multiple of 2**32, arrives as an array without that axis.
        if seeds.ndim != 2 or not len(seeds):
            raise Wrong("'seed' must have the shape [batch, 1], the batch at least 1")
        if not 0 <= seeds.min() <= seeds.max() <= LAST_SEED:
            raise Wrong(f"a seed is outside 0 to {LAST_SEED}")
        dim, noise = self.spec["latent_dim"], self.spec["noise"]
        values = latents(self.stream, seeds[:, 0], dim + noise)
        inputs: Inputs = {"z": values[:, :dim]} | ({"noise": values[:, dim:]} if noise else {})
        inputs |= {name: self._given(request, name, len(seeds)) for name, side in self.sides.items() if side}
        if self.spec["classes"]:
            inputs["label"] = self._label(request, len(seeds))
        return inputs

    def _given(self, request: Any, name: str, count: int) -> NDArray[np.float32]:
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        if tensor is None:
            return np.full((count, self.sides[name]), DEFAULTS[name], np.float32)
        values: NDArray[np.float32] = tensor.as_numpy()
        if values.shape != (count, self.sides[name]):
            raise Wrong(f"'{name}' must have the shape [batch, {self.sides[name]}]")
        if not np.isfinite(values).all():
            raise Wrong(f"'{name}' holds a NaN or an infinity: send finite numbers, or leave it out")
        return values

    def _label(self, request: Any, count: int) -> NDArray[np.int64]:
        """The numbers of the classes, ``(count, 1)``."""
        classes = self.spec["classes"]
        label, named = (pb_utils.get_input_tensor_by_name(request, name) for name in ("label", "class"))
        if (label is None) == (named is None):
            raise Wrong(f"'{self.generator}' has classes: give either 'label', a number, or 'class', one of its names")
        if label is None:
            names = names_in(named)
            if unknown := [name for name in names if name not in classes]:
                some = ", ".join(classes[:12])
                raise Wrong(f"'{self.generator}' has no class '{unknown[0][:80]}': choose {some}")
            labels = np.array([[classes.index(name)] for name in names], np.int64)
        else:
            labels = label.as_numpy()
        if labels.shape != (count, 1):
            raise Wrong("'label' and 'class' must have the shape [batch, 1]")
        if not 0 <= labels.min() <= labels.max() < len(classes):
            raise Wrong(f"a label is outside 0 to {len(classes) - 1}, the classes of '{self.generator}'")
        return labels


def names_in(tensor: Any) -> list[str]:
    """The texts of a BYTES tensor ``(n, 1)``; a ``?`` for one that is no text."""
    try:
        return [row[0].decode("utf-8", "replace") for row in tensor.as_numpy()]
    except Exception:  # Triton's own kinds, for bytes that are no texts
        return ["?"]


def latents(stream: np.random.RandomState, seeds: NDArray[np.int64], dim: int) -> NDArray[np.float32]:
    """One row a seed, float32 ``(len(seeds), dim)``, as core/latents.py draws it: NumPy has frozen it (NEP 19).

    ``stream`` is seeded anew for each.
    """
    rows = np.empty((len(seeds), dim), np.float32)
    for row, seed in zip(rows, seeds, strict=True):
        stream.seed(seed)
        row[:] = stream.standard_normal(dim)
    return rows


def number(value: np.float32) -> str:
    """As serving/protocol/picture_texts.py writes numbers: six digits, or as many as tell it from others."""
    short = f"{value:g}"
    return short if np.float32(short) == value else str(value)
