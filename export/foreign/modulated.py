"""Modulated convolutions, which have a weight for each image, rewritten as convolutions with one weight for all.

StyleGAN2 and 3 write a modulated convolution as one that has a group for each image (Karras et al. 2020, section 2.2:
weights times styles, over their own length), which freezes the batch, and TensorRT and Unity take no computed weights.
Where the weight is a constant times factors of its inputs and outputs, ``w[n,o,i] = c[o,i] s[n,i] d[n,o]``, the same is
``d * conv(s * x, c)``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from export.foreign.factors import Array, NotModulatedError, Roles, Weights
from export.onnx_graph import attribute_of, leave_out_unused

_EACH_BY_ITSELF = ("LeakyRelu", "Relu", "PRelu", "Mul", "Add", "Sub", "Div", "Pad", "Slice", "Cast", "Identity")


def without_modulation(model: ModelProto, batch: int) -> ModelProto:
    """A copy of ``model``, which is made for ``batch`` and folded, without such convolutions; else as it was."""
    copy = ModelProto()
    copy.CopyFrom(model)
    _Rewriting(copy, batch).run()
    leave_out_unused(copy.graph)
    return copy


@dataclass
class _Rewriting:
    """``model`` is changed. ``apart`` has, by name, what is the same with a row for each image, not all in one."""

    model: ModelProto
    batch: int
    apart: dict[str, str] = field(default_factory=dict)
    tall: set[str] = field(default_factory=set)  # what has a row for each channel of each image
    nodes: list[NodeProto] = field(default_factory=list)

    def run(self) -> None:
        """Go through the graph once, in order."""
        graph = self.model.graph
        self.weights = Weights(self.model, self.batch)
        self.shapes, self.constants = self.weights.shapes, self.weights.constants

        # First what each weight is made of, because sums of its squares come before its convolution
        for node in graph.node:
            if _computes_weight(node, self.constants) and len(self.shapes.get(node.input[1], ())) == 4:
                self.weights.look_at(node.input[1], _roles_of(node))

        for node in graph.node:
            node = NodeProto.FromString(node.SerializeToString())
            if not self._rewritten(node):
                self.nodes.append(node)
        del graph.node[:]
        graph.node.extend(self.nodes)

    def _rewritten(self, node: NodeProto) -> bool:
        """Whether its output is made in another way now; what it makes of all images in one may still be needed."""
        made = False
        if node.op_type != "Reshape" and self.tall & set(node.input[:1]):
            self.tall |= {name for name in node.output if self._rows_kept(node, name)}
        elif node.op_type in ("Conv", "ConvTranspose"):
            made = self._modulated(node) if node.input[1] not in self.constants else self._plain(node)
        elif node.op_type == "Reshape":
            made = self._reshape(node)
        elif node.op_type in ("ReduceSum", "ReduceSumSquare"):
            made = self._demodulation(node)
        elif node.op_type in _EACH_BY_ITSELF and node.input[0] in self.apart:
            made = self._by_itself(node)
        return made

    # Nodes

    def _modulated(self, node: NodeProto) -> bool:
        """``d * conv(s * x, c)``."""
        if attribute_of(node, "group", 1) != self.batch or len(self.shapes.get(node.input[1], ())) != 4:
            return False
        if (x := self._rows(node.input[0])) is None:
            return False

        try:
            found = self.weights.factors(node.input[1], _roles_of(node))
        except NotModulatedError:
            return False

        weight = found.constant if node.op_type == "Conv" else found.constant.swapaxes(0, 1)
        for style, operator in found.styles:
            x = self._add(operator, [x, self._as_factor(style, node)], node)
        made = self._convolved(node, x, weight, 1)
        for factor, operator in found.demodulations:
            made = self._add(operator, [made, self._as_factor(factor, node)], node)

        # The bias is one for all images
        if len(node.input) > 2 and node.input[2]:
            bias = self._repeated(self.constants.get(node.input[2]))
            if bias is None:
                return False
            made = self._add("Add", [made, self._held(bias.reshape(1, -1, 1, 1), node)], node)

        self._done(node, made)
        return True

    def _plain(self, node: NodeProto) -> bool:
        """A filter for every channel of every image is one for every channel."""
        groups = attribute_of(node, "group", 1)
        if node.input[0] not in self.apart or groups % self.batch:
            return False
        weight = self._repeated(self.constants[node.input[1]])
        if weight is None:
            return False
        self._done(node, self._convolved(node, self.apart[node.input[0]], weight, groups // self.batch))
        return True

    def _reshape(self, node: NodeProto) -> bool:
        """Images side by side in one, or back: what is done in between is done to each by itself."""
        source, given, shape = node.input[0], self.shapes.get(node.input[0]), self.shapes.get(node.output[0])

        # Filters for each channel of each image become filters for each channel
        if given and shape and source not in self.constants and self._becomes_tall(source, given, shape):
            self.tall.add(node.output[0])
            node.input[0] = self.apart.get(source, source)
            node.input[1] = self._held(np.array([-1, *shape[1:]], np.int64), node)
            return False

        if self.batch == 1 or given is None or shape is None or len(given) < 2 or len(shape) < 2:
            return False

        # All images in one become images again
        if source in self.tall and shape[:2] == (1, given[0]):
            rows = (self.batch, given[0] // self.batch, *shape[2:])
            self._done(node, self._reshaped(source, rows, node))
            return True

        if source in self.apart:
            channels = given[1] // self.batch
            if shape[:2] == (1, given[1]):
                self._done(node, self._reshaped(self.apart[source], (self.batch, channels, *shape[2:]), node))
            elif shape[:2] == (self.batch, channels):
                self.nodes.append(
                    helper.make_node("Identity", [self._reshaped(self.apart[source], shape, node)], node.output)
                )
            return shape[:2] in ((1, given[1]), (self.batch, channels))

        # Images become one, side by side: from here on their rows are kept apart too
        if given[0] == self.batch and shape == (1, given[0] * given[1], *given[2:]) and source not in self.constants:
            self.apart[node.output[0]] = source
        return False

    def _becomes_tall(self, source: str, given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
        """Whether images ``(n, c, h, w)`` become ``(n c, …)``, as filters for each channel are written too, or stay."""
        if source in self.tall:
            return shape[0] == given[0]
        if source in self.apart:
            return shape[0] == given[1]
        rows = given[0] * given[1] if len(given) == 4 and given[0] == self.batch else 0
        return shape[0] == rows != self.batch and math.prod(shape[1:]) == math.prod(given[2:])

    def _rows_kept(self, node: NodeProto, name: str) -> bool:
        given, made = self.shapes.get(node.input[0]), self.shapes.get(name)
        return bool(given and made and given[0] == made[0])

    def _by_itself(self, node: NodeProto) -> bool:
        others = [self.constants.get(name) for name in node.input[1:] if name]
        plain = all(other is not None and (other.size == 1 or node.op_type in ("Pad", "Slice")) for other in others)
        shape, given = self.shapes.get(node.output[0], ()), self.shapes.get(node.input[0], ())
        if not plain or shape[:2] != given[:2]:
            return False
        new = NodeProto.FromString(node.SerializeToString())
        new.input[0] = self.apart[node.input[0]]
        new.output[0] = f"{node.output[0]}_apart"
        self.nodes.append(new)
        self._done(node, new.output[0])
        return True

    def _demodulation(self, node: NodeProto) -> bool:
        """The sum of a weight's squares, of ``s²`` and of the constant's: the weight itself is not needed for it."""
        name = node.input[0] if node.op_type == "ReduceSumSquare" else self.weights.root(node.input[0])
        roles, shape = self.weights.roles.get(name or ""), self.shapes.get(node.output[0])
        axes = self.constants.get(node.input[1]) if len(node.input) > 1 else attribute_of(node, "axes", None)
        if name is None or roles is None or shape is None or axes is None or roles[0] != "n":
            return False

        summed = {roles[int(axis)] for axis in np.asarray(axes).reshape(-1)}
        try:
            found = self.weights.factors(name, roles)
        except NotModulatedError:
            return False
        if summed != {"i", "h", "w"} or found.demodulations or not found.styles:
            return False

        # The product of the styles' squares with those of the constant
        outside, inside = found.constant.shape[:2]
        squares = np.square(found.constant.astype(np.float64)).sum(axis=(2, 3)).T.astype(found.constant.dtype)
        row = self._held(np.ones((1, inside), found.constant.dtype), node)
        for style, operator in found.styles:
            row = self._add(operator, [row, self._reshaped(style, (-1, self._width(style)), node)], node)
        total = self._add("MatMul", [self._add("Mul", [row, row], node), self._held(squares, node)], node)

        wanted = self._held(np.array([self.batch, *shape[1:]], np.int64), node)
        self.nodes.append(helper.make_node("Reshape", [total, wanted], node.output))
        return int(np.prod(shape[1:])) == outside

    # Pieces

    def _rows(self, name: str) -> str | None:
        """``name`` with a row for each image: one for all where it is a constant."""
        if name in self.apart or self.batch == 1:
            return self.apart.get(name, name)
        value = self.constants.get(name)
        row = None if value is None or value.ndim != 4 else self._repeated(value[0])
        return None if row is None else self._held(row[None], self.weights.makers.get(name, NodeProto(output=[name])))

    def _repeated(self, value: Array | None) -> Array | None:
        """The first part of what is the same for each image, one after the other."""
        if value is None or value.shape[0] % self.batch:
            return None
        parts = value.reshape(self.batch, -1, *value.shape[1:])
        return parts[0] if (parts == parts[:1]).all() else None

    def _convolved(self, node: NodeProto, x: str, weight: Array, groups: int) -> str:
        new = NodeProto.FromString(node.SerializeToString())
        bias = None if groups == 1 or len(node.input) < 3 else self._repeated(self.constants.get(node.input[2]))
        new.input[:] = [x, self._held(weight, node), *([] if bias is None else [self._held(bias, node)])]
        new.output[0] = f"{node.output[0]}_for_all"
        kept = [attribute for attribute in new.attribute if attribute.name != "group"]
        del new.attribute[:]
        new.attribute.extend([*kept, helper.make_attribute("group", groups)])
        self.nodes.append(new)
        return str(new.output[0])

    def _as_factor(self, name: str, node: NodeProto) -> str:
        """A factor of a weight as one of images ``(n, channels, 1, 1)``."""
        return self._reshaped(name, (-1, self._width(name), 1, 1), node)

    def _width(self, name: str) -> int:
        return int(np.prod(self.shapes[name][1:]))

    def _reshaped(self, name: str, shape: tuple[int, ...], node: NodeProto) -> str:
        return self._add("Reshape", [name, self._held(np.array(shape, np.int64), node)], node)

    def _add(self, op: str, inputs: list[str], node: NodeProto) -> str:
        name = f"{node.output[0]}_{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name))
        return name

    def _held(self, value: Array, node: NodeProto) -> str:
        name = f"{node.output[0]}_held_{len(self.model.graph.initializer)}"
        self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _done(self, node: NodeProto, made: str) -> None:
        """``made`` is what ``node`` made, with a row for each image; all in one again for whoever wants it so."""
        if self.batch == 1:
            self.nodes.append(helper.make_node("Identity", [made], node.output))
            return
        self.apart[node.output[0]] = made
        wanted = self._held(np.array(self.shapes[node.output[0]], np.int64), node)
        self.nodes.append(helper.make_node("Reshape", [made, wanted], node.output))


def _computes_weight(node: NodeProto, constants: Mapping[str, Array]) -> bool:
    return node.op_type in ("Conv", "ConvTranspose") and node.input[1] not in constants


def _roles_of(node: NodeProto) -> Roles:
    return ("no", "i", "h", "w") if node.op_type == "Conv" else ("ni", "o", "h", "w")
