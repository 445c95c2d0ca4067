"""Seeds to latents inside Triton: the ``model.py`` of NAME_latents, for clients that send a seed and nothing else.

The same stream as core/latents.py, and as every other copy of it. Runs in any Triton with a Python backend, NVIDIA's
container included: it imports NumPy, nothing of ours. The numbers come out in a stub process of their own.
"""

import importlib.util
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

LAST_SEED = 2**32 - 1
NO_LABELS = np.zeros((0, 1), np.int64)
DEFAULTS = {"truncation": 1.0, "codes": 0.0}  # of inputs that a request may leave out

with suppress(OSError):  # what importing this file left beside it is no part of the version
    CACHE = Path(importlib.util.cache_from_source(__file__))
    CACHE.unlink()
    CACHE.parent.rmdir()


class TritonPythonModel:
    """``seed`` INT64 (n, 1) to ``z`` and perhaps ``noise``, FP32; and what may be left out, as ``given_…``.

    That is FP32, and INT64 for the class, which is asked for by its number, ``label``, or by its name, ``class``.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read from the configuration how long everything is. ``args`` is what Triton's Python backend passes."""
        config = json.loads(args["model_config"])
        self.sides = {output["name"]: int(output["dims"][0]) for output in config["output"]}
        self.optional = [name for name in DEFAULTS if f"given_{name}" in self.sides]
        facts = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        self.whole = facts.get("ganfoundry_part_of", "")
        self.classes = json.loads(facts.get("ganfoundry_spec", "{}")).get("classes", [])
        self.stream = np.random.RandomState(0)  # making one takes as long as the rest of a request; seeding it does not

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch; one that is wrong fails alone."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        seeds = pb_utils.get_input_tensor_by_name(request, "seed").as_numpy()
        numbers = {f"given_{name}": self._given(request, name, len(seeds)) for name in self.optional}
        made: dict[str, NDArray[Any]] = {**numbers}
        fault = fault_of(seeds, numbers)
        if "given_label" in self.sides and not fault:
            made["given_label"], fault = self._label(request, len(seeds))
        if fault:
            error = pb_utils.TritonError(fault, pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=error)
        values = latents(self.stream, seeds[:, 0], self.sides["z"] + self.sides.get("noise", 0))
        made["z"] = values[:, : self.sides["z"]]
        if "noise" in self.sides:
            made["noise"] = values[:, self.sides["z"] :]
        tensors = [pb_utils.Tensor(name, np.ascontiguousarray(value)) for name, value in made.items()]
        return pb_utils.InferenceResponse(tensors)

    def _label(self, request: Any, count: int) -> tuple[NDArray[np.int64], str]:
        """The numbers of the classes, ``(count, 1)``, and what is wrong with them; in a warm-up all names are empty."""
        label, named = (pb_utils.get_input_tensor_by_name(request, name) for name in ("label", "class"))
        names = [] if named is None else names_in(named)
        if any(names) == (label is not None):
            return NO_LABELS, f"'{self.whole}' has classes: give either 'label', a number, or 'class', one of its names"
        if label is not None:
            return np.asarray(label.as_numpy(), np.int64), ""
        if unknown := next((name for name in names if name not in self.classes), None):
            some = ", ".join(self.classes[:12])
            return NO_LABELS, f"'{self.whole}' has no class '{unknown[:80]}': choose {some}"
        return np.array([[self.classes.index(name)] for name in names], np.int64), ""

    def _given(self, request: Any, name: str, count: int) -> NDArray[np.float32]:
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        if tensor is None:
            return np.full((count, self.sides[f"given_{name}"]), DEFAULTS[name], np.float32)
        return np.asarray(tensor.as_numpy(), np.float32)


def names_in(tensor: Any) -> list[str]:
    """The texts of a BYTES tensor ``(n, 1)``; a ``?`` for one that is no text."""
    try:
        return [row[0].decode("utf-8", "replace") for row in tensor.as_numpy()]
    except Exception:  # Triton's own kinds, for bytes that are no texts
        return ["?"]


def latents(stream: np.random.RandomState, seeds: NDArray[np.int64], dim: int) -> NDArray[np.float32]:
    """One row a seed, float32 ``(len(seeds), dim)``, of ``stream`` seeded anew; NumPy has frozen it (NEP 19)."""
    rows = np.empty((len(seeds), dim), np.float32)
    for row, seed in zip(rows, seeds, strict=True):
        stream.seed(seed)
        row[:] = stream.standard_normal(dim)
    return rows


def fault_of(seeds: NDArray[np.int64], given: dict[str, NDArray[np.float32]]) -> str | None:
    """What is wrong with a request, or None.

    Triton counts a batch in 32 bits: one of 0, or of a multiple of 2**32, arrives as an array without that axis.
    """
    if seeds.ndim != 2 or not len(seeds):
        return "'seed' must have the shape [batch, 1], the batch at least 1"
    if not 0 <= seeds.min() <= seeds.max() <= LAST_SEED:
        return f"a seed is outside 0 to {LAST_SEED}"
    for name, values in given.items():
        if not np.isfinite(values).all():
            return f"'{name.removeprefix('given_')}' holds a NaN or an infinity: send finite numbers, or leave it out"
    return None
