"""Generators as others make them: one matrix, in every shape that an ONNX file may have, and what it computes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("cat", "dog", "newt")
FIXED = 0.25  # what another input, ``psi``, is multiplied into, where there is one


@dataclass(frozen=True)
class Foreign:
    """``tanh((z @ weight + class) * psi)``, moved into a range and shaped into images."""

    height: int = 6
    width: int = 10
    channels: int = 3
    latent: int = 8
    batch: int | None = None
    ones: int = 0
    layout: str = "NCHW"
    half: bool = False
    opset: int = 18
    label: str | None = None  # "one-hot", "number" (n,), "column" (n, 1)
    psi: str | None = None  # "scalar", "one" (1,), "row" (n, 1)
    low: float = -1.0
    high: float = 1.0

    @property
    def sides(self) -> tuple[int, ...]:
        h, w, c = self.height, self.width, self.channels
        return (h, w, c) if self.layout == "NHWC" else (c, h, w)

    @property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.RandomState(self.channels)
        size = self.height * self.width * self.channels
        kind = np.float16 if self.half else np.float32
        weight = random.standard_normal((self.latent, size)) / 3
        return weight.astype(kind), (random.standard_normal((len(CLASSES), size)) / 3).astype(kind)

    def model(self) -> onnx.ModelProto:
        """Plain operators only, so that any opset from 7 on has them."""
        kind = TensorProto.FLOAT16 if self.half else TensorProto.FLOAT
        number = np.float16 if self.half else np.float32
        n, (weight, by_class) = self.batch or "n", self.weights
        inputs = [helper.make_tensor_value_info("z", kind, [n, self.latent, *[1] * self.ones])]
        constants: dict[str, Any] = {"weight": weight, "shape": np.array([self.batch or -1, *self.sides], np.int64)}
        constants["half"] = np.asarray((self.high - self.low) / 2, number)
        constants["middle"] = np.asarray((self.high + self.low) / 2, number)
        nodes = [helper.make_node("Flatten", ["z"], ["flat"], axis=1)]
        nodes.append(helper.make_node("MatMul", ["flat", "weight"], ["sum"], name="sum_up"))
        last = "sum"
        if self.label:
            constants["by_class"] = by_class
            shape = {"one-hot": [n, len(CLASSES)], "number": [n], "column": [n, 1]}[self.label]
            inputs.append(
                helper.make_tensor_value_info("y", kind if self.label == "one-hot" else TensorProto.INT64, shape)
            )
            if self.label == "one-hot":
                nodes.append(helper.make_node("MatMul", ["y", "by_class"], ["chosen"]))
            else:
                size = constants["one_row"] = np.array([-1, weight.shape[1]], np.int64)
                assert size.size == 2
                nodes.append(helper.make_node("Gather", ["by_class", "y"], ["found"], axis=0))
                nodes.append(helper.make_node("Reshape", ["found", "one_row"], ["chosen"]))
            nodes.append(helper.make_node("Add", [last, "chosen"], ["classed"]))
            last = "classed"
        if self.psi:
            inputs.append(
                helper.make_tensor_value_info("psi", kind, {"scalar": [], "one": [1], "row": [n, 1]}[self.psi])
            )
            nodes.append(helper.make_node("Mul", [last, "psi"], ["scaled"]))
            last = "scaled"
        nodes += [
            helper.make_node("Tanh", [last], ["value"]),
            helper.make_node("Mul", ["value", "half"], ["wide"]),
            helper.make_node("Add", ["wide", "middle"], ["moved"]),
            helper.make_node("Reshape", ["moved", "shape"], ["out"]),
        ]
        graph = helper.make_graph(
            nodes,
            "theirs",
            inputs,
            [helper.make_tensor_value_info("out", kind, [n, *self.sides])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        ir_version = 3 if self.opset < 9 else 8
        if ir_version == 3:  # weights were inputs then
            graph.input.extend(
                helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in graph.initializer
            )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir_version)

    def values(self, z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
        """From 0 to 1, ``(n, h, w, c)``, in double precision."""
        weight, by_class = (part.astype(np.float64) for part in self.weights)
        total = z.astype(np.float64) @ weight
        if self.label:
            assert label is not None
            total = total + by_class[label]
        made = (np.tanh(total * (FIXED if self.psi else 1)) + 1) / 2
        made = made.reshape(len(z), *self.sides)
        return made if self.layout == "NHWC" else made.transpose(0, 2, 3, 1)
