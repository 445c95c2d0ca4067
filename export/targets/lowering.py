"""A graph in an older opset: what the older one has is written as it had it, what it has not in operators that it has.

ONNX's own converter has no way down for Pad, Split, Identity, ConstantOfShape, Gelu, GroupNormalization and others.
Whether a graph still computes the same, whoever asks for it tries: operators change what they mean without a new sign.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from core.errors import BundleError
from export.onnx_graph import attribute_of, constant_tensors, opset_of
from export.targets.runtimes import text

Array = NDArray[Any]


def lowered(model: ModelProto, opset: int) -> ModelProto:
    """``model`` in ``opset``, if its own is newer. Raises BundleError, naming the node that has no older form."""
    found = opset_of(model) or opset
    older = ModelProto()
    older.CopyFrom(model)
    if found > opset:
        _Lowering(older, found, opset).run()
    del older.opset_import[:]
    older.opset_import.append(helper.make_opsetid("", min(found, opset)))
    return older


class _Lowering:
    """``model`` is changed from the opset ``now`` to ``then``."""

    def __init__(self, model: ModelProto, now: int, then: int) -> None:
        self.graph, self.now, self.then = model.graph, now, then
        self.nodes: list[NodeProto] = []
        self.held = constant_tensors(model.graph)

    def run(self) -> None:
        """Go through the graph once, in order."""
        for node in list(self.graph.node):
            node = NodeProto.FromString(node.SerializeToString())
            if not onnx.defs.has(node.op_type) or self._since(node, self.now) is None:
                raise BundleError(f"{_name(node)} is no operator of ONNX")
            if self._since(node, self.then) is not None:
                self._kept(node)
            elif node.op_type in NEWER:
                NEWER[node.op_type](self, node)
            else:
                raise BundleError(f"{_name(node)} is newer than opset {self.then}: export it without")

        del self.graph.node[:]
        self.graph.node.extend(self.nodes)

    def _since(self, node: NodeProto, opset: int) -> Any:
        """How the operator was defined in ``opset``; None where it was not."""
        try:
            return onnx.defs.get_schema(node.op_type, opset)
        except onnx.defs.SchemaError:
            return None

    def _kept(self, node: NodeProto) -> None:
        """The same operator, without what came later where that is how it was before."""
        now, then = self._since(node, self.now), self._since(node, self.then)
        if now.since_version != then.since_version:
            self._axes_as_before(node, then)
            self._without_new_attributes(node, now, then)
            if any(node.input[then.max_input :]):
                raise BundleError(f"{_name(node)} takes more than opset {self.then} had: export it without")
            del node.input[then.max_input :]
        self.nodes.append(node)

    def _axes_as_before(self, node: NodeProto, then: Any) -> None:
        """Reductions had their axes as an attribute."""
        if "axes" in then.attributes and node.op_type.startswith("Reduce") and len(node.input) > 1 and node.input[1]:
            axes = self.held.get(node.input[1])
            if axes is None:
                raise BundleError(f"{_name(node)} computes its axes, which opset {self.then} had fixed: export it so")
            node.attribute.append(helper.make_attribute("axes", numpy_helper.to_array(axes).reshape(-1).tolist()))
            del node.input[1:]

    def _without_new_attributes(self, node: NodeProto, now: Any, then: Any) -> None:
        for attribute in list(node.attribute):
            if attribute.name in then.attributes:
                continue
            usual = now.attributes[attribute.name].default_value if attribute.name in now.attributes else None
            same = usual is not None and helper.get_attribute_value(attribute) == _value(usual)
            if not same and (node.op_type, attribute.name) != ("Split", "num_outputs"):  # as many as it has outputs
                raise BundleError(f"{_name(node)} has {attribute.name}, which opset {self.then} had not")
            node.attribute.remove(attribute)

    # What the new operators' definitions say

    def gelu(self, node: NodeProto) -> None:
        """x Φ(x) (Hendrycks and Gimpel 2016), or its approximation by a tanh."""
        x = node.input[0]
        if attribute_of(node, "approximate", b"none") == b"tanh":
            cube = self._add("Mul", [self._add("Mul", [x, x], node), x], node)
            inner = self._add("Add", [x, self._add("Mul", [cube, self._number(0.044715)], node)], node)
            part = self._add("Tanh", [self._add("Mul", [inner, self._number(math.sqrt(2 / math.pi))], node)], node)
        else:
            part = self._add("Erf", [self._add("Mul", [x, self._number(math.sqrt(0.5))], node)], node)
        half = self._add("Mul", [x, self._number(0.5)], node)
        self._last("Mul", [half, self._add("Add", [part, self._number(1)], node)], node)

    def mish(self, node: NodeProto) -> None:
        """x tanh(softplus(x)) (Misra 2019)."""
        soft = self._add("Tanh", [self._add("Softplus", [node.input[0]], node)], node)
        self._last("Mul", [node.input[0], soft], node)

    def layer_normalisation(self, node: NodeProto) -> None:
        """(x - mean) / sqrt(variance + ε), over the sides from ``axis`` on (Ba et al. 2016)."""
        first = attribute_of(node, "axis", -1)
        if first >= 0 or len(node.output) > 1:
            raise BundleError(f"{_name(node)} counts its sides from the first, or gives more: export it without")
        axes = list(range(first, 0))
        apart = self._add("Sub", [node.input[0], self._add("ReduceMean", [node.input[0]], node, axes=axes)], node)
        variance = self._add("ReduceMean", [self._add("Mul", [apart, apart], node)], node, axes=axes)
        stable = self._add("Add", [variance, self._number(attribute_of(node, "epsilon", 1e-5))], node)
        self._scaled(self._add("Div", [apart, self._add("Sqrt", [stable], node)], node), list(node.input[1:]), node)

    def group_normalisation(self, node: NodeProto) -> None:
        """Instance normalisation of groups of channels (Wu and He 2018); scales are a channel's, before opset 21 a
        group's."""
        groups, scale, bias = attribute_of(node, "num_groups", 1), self._held(node, 1), self._held(node, 2)
        sides = self._add("Shape", [node.input[0]], node)
        rows = self._add("Reshape", [node.input[0], self._weight(np.array([0, groups, -1], np.int64))], node)
        ends = [self._weight(np.full(groups, end, np.float32)) for end in (1, 0)]

        # Every group with mean 0 and variance 1
        epsilon = attribute_of(node, "epsilon", 1e-5)
        same = self._add("InstanceNormalization", [rows, *ends], node, epsilon=epsilon)

        if self.now < 21:
            scaled = [self._weight(part.reshape(1, -1, 1)) for part in (scale, bias)]
            rows = self._add("Add", [self._add("Mul", [same, scaled[0]], node), scaled[1]], node)
            self._last("Reshape", [rows, sides], node)
            return

        back = self._add("Reshape", [same, sides], node)
        self._scaled(back, [self._weight(part.reshape(-1, 1, 1)) for part in (scale, bias)], node)

    def _scaled(self, value: str, parts: list[str], node: NodeProto) -> None:
        if len(parts) > 1 and parts[1]:
            self._last("Add", [self._add("Mul", [value, parts[0]], node), parts[1]], node)
        else:
            self._last("Mul", [value, parts[0]], node)

    # Pieces

    def _held(self, node: NodeProto, place: int) -> Array:
        if (tensor := self.held.get(node.input[place])) is None:
            raise BundleError(f"{_name(node)} computes its scale, and opset {self.then} has no such: export it without")
        return numpy_helper.to_array(tensor)  # type: ignore[no-any-return]

    def _add(self, op: str, inputs: list[str], node: NodeProto, **attributes: Any) -> str:
        name = f"{node.output[0]}_{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def _last(self, op: str, inputs: list[str], node: NodeProto) -> None:
        self.nodes.append(helper.make_node(op, inputs, list(node.output[:1]), name=f"{node.output[0]}_{op.lower()}"))

    def _number(self, value: float) -> str:
        return self._weight(np.array(value, np.float32))

    def _weight(self, value: Array) -> str:
        name = f"older_{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


NEWER: dict[str, Callable[[_Lowering, NodeProto], None]] = {
    "Gelu": _Lowering.gelu,
    "GroupNormalization": _Lowering.group_normalisation,
    "LayerNormalization": _Lowering.layer_normalisation,
    "Mish": _Lowering.mish,
}


def _value(attribute: onnx.AttributeProto) -> Any:
    return None if attribute.type == onnx.AttributeProto.UNDEFINED else helper.get_attribute_value(attribute)


def _name(node: NodeProto) -> str:
    return f"the node {text(node.name) or ', '.join(node.output)!r} ({text(node.op_type)})"
