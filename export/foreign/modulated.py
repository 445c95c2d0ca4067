"""Convolutions with a weight for each image, made ones with a weight for all.

StyleGAN2 and 3 write a modulated convolution as one that has a group for each image (Karras et al. 2020, section 2.2:
weights times styles, over their own length), which freezes the batch, and TensorRT and Unity take no computed weights.
Where the weight is a constant times factors of its inputs and outputs, ``w[n,o,i] = c[o,i] s[n,i] d[n,o]``, the same is
``d * conv(s * x, c)``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from export.flops import known_shapes
from export.foreign.folding import constants_of, without_the_unused

Roles = tuple[str, ...]  # what each side of a weight is: image, output, input, height, width; "no" are two in one
Array = NDArray[Any]

_EACH_BY_ITSELF = ("LeakyRelu", "Relu", "PRelu", "Mul", "Add", "Sub", "Div", "Pad", "Slice", "Cast", "Identity")


@dataclass(frozen=True)
class Factors:
    """A weight as a ``constant``, in the order of a convolution's own, and the names of what multiplies it."""

    constant: Array
    styles: tuple[str, ...] = ()
    demodulations: tuple[str, ...] = ()


class NotModulatedError(Exception):
    """A weight is no product of a constant with factors for its inputs and outputs."""


def unmodulated(model: ModelProto, batch: int) -> ModelProto:
    """A copy of ``model``, which is made for ``batch`` and folded, without such convolutions; else as it was."""
    copy = ModelProto()
    copy.CopyFrom(model)
    _Rewriting(copy, batch).run()
    without_the_unused(copy)
    return copy


@dataclass
class _Rewriting:
    """``model`` is changed. ``apart`` has, by name, what is the same with a row for each image, not all in one."""

    model: ModelProto
    batch: int
    apart: dict[str, str] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)

    def run(self) -> None:
        """Go through the graph once, in order."""
        graph = self.model.graph
        self.shapes, self.constants = known_shapes(self.model), constants_of(self.model)
        self.makers = {name: node for node in graph.node for name in node.output}
        self.roles: dict[str, Roles] = {}
        for node in graph.node:
            if _computes_weight(node, self.constants) and len(self.shapes.get(node.input[1], ())) == 4:
                self._look_at(node.input[1], _roles_of(node))
        for node in graph.node:
            node = NodeProto.FromString(node.SerializeToString())
            if not self._rewritten(node):
                self.nodes.append(node)
        del graph.node[:]
        graph.node.extend(self.nodes)

    def _rewritten(self, node: NodeProto) -> bool:
        """Whether its output is made in another way now; what it makes of all images in one may still be needed."""
        made = False
        if node.op_type in ("Conv", "ConvTranspose"):
            made = self._modulated(node) if node.input[1] not in self.constants else self._plain(node)
        elif node.op_type == "Reshape":
            made = self._reshape(node)
        elif node.op_type in ("ReduceSum", "ReduceSumSquare"):
            made = self._demodulation(node)
        elif node.op_type in _EACH_BY_ITSELF and node.input[0] in self.apart:
            made = self._by_itself(node)
        return made

    # Weights

    def _look_at(self, name: str, roles: Roles) -> None:
        try:
            self._factors(name, roles)
        except NotModulatedError:
            return

    def _factors(self, name: str, roles: Roles) -> Factors:
        """What the weight ``name`` is made of, whose sides are ``roles``."""
        constants, styles, demodulations = [], [], []
        sides = dict(zip(roles, self.shapes[name], strict=True))
        whole = {role[1]: sides[role] // self.batch for role in sides if len(role) == 2} | sides
        for kind, found, its_roles in self._parts(name, roles, whole):
            if kind == "constant":
                constants.append(self._ordered(found, its_roles))
            elif kind == "style":
                styles.append(found)
            else:
                demodulations.append(found)
        if not constants:
            raise NotModulatedError
        product = constants[0]
        for each in constants[1:]:
            product = product * each
        return Factors(
            np.broadcast_to(product, [whole[role] for role in ("o", "i", "h", "w")]),
            tuple(styles),
            tuple(demodulations),
        )

    def _parts(self, name: str, roles: Roles, whole: Mapping[str, int]) -> Iterable[tuple[str, Any, Roles]]:
        """Constants, styles and demodulations whose product is ``name``, with the roles of their sides.

        ``whole`` is how many outputs and inputs the weight has: what has fewer is no product of others worth a look.
        """
        if name in self.constants:
            roles = roles[len(roles) - self.constants[name].ndim :]
            return [("constant", self.constants[name], roles)]
        shape, node = self.shapes.get(name), self.makers.get(name)
        if shape is None or len(shape) > len(roles):
            raise NotModulatedError
        roles = roles[len(roles) - len(shape) :]
        least = {"no": whole["o"], "ni": whole["i"], "o": whole["o"], "i": whole["i"]}
        if node is None or any(side < least.get(role, 0) for side, role in zip(shape, roles, strict=True)):
            return [self._leaf(name, shape, roles)]
        self.roles[name] = roles
        if node.op_type == "Mul":
            return [part for operand in node.input for part in self._parts(operand, roles, whole)]
        if node.op_type == "Transpose":
            inside = [""] * len(roles)
            for place, origin in enumerate(_attribute(node, "perm", range(len(roles))[::-1])):
                inside[origin] = roles[place]
            return self._parts(node.input[0], tuple(inside), whole)
        reshaped = node.op_type in ("Reshape", "Identity", "Unsqueeze", "Squeeze")
        if reshaped and (before := self._before_reshape(node.input[0], shape, roles)) is not None:
            return self._parts(node.input[0], before, whole)
        return [self._leaf(name, shape, roles)]

    def _before_reshape(self, source: str, shape: tuple[int, ...], roles: Roles) -> Roles | None:
        """The roles of what was reshaped into ``shape``, where images and the next side were put together or apart."""
        given = self.shapes.get(source)
        if given == shape:
            return roles
        if roles[0] in ("no", "ni") and given == (self.batch, shape[0] // self.batch, *shape[1:]):
            return ("n", roles[0][1], *roles[1:])
        if (
            roles[0] == "n"
            and len(shape) == 5
            and given == (shape[0] * shape[1], *shape[2:])
            and shape[0] == self.batch
        ):
            return ("n" + roles[1], *roles[2:])
        return None

    def _leaf(self, name: str, shape: tuple[int, ...], roles: Roles) -> tuple[str, Any, Roles]:
        sides = {role: side for role, side in zip(roles, shape, strict=True) if side > 1}
        if roles[0] != "n" or shape[0] != self.batch:
            raise NotModulatedError
        if set(sides) <= {"n", "i"}:
            return "style", name, roles
        if set(sides) <= {"n", "o"}:
            return "demodulation", name, roles
        raise NotModulatedError

    def _ordered(self, value: Array, roles: Roles) -> Array:
        """A constant as a weight ``(o, i, h, w)``, without images; sides that it lacks are 1."""
        if roles and roles[0] in ("no", "ni"):
            value = value.reshape(self.batch if value.shape[0] > 1 else 1, -1, *value.shape[1:])
            roles = ("n", roles[0][1], *roles[1:])
        if roles and roles[0] == "n":
            if not (value == value[:1]).all():
                raise NotModulatedError
            value, roles = value[0], roles[1:]
        places = {role: place for place, role in enumerate(roles)}
        order = [role for role in ("o", "i", "h", "w") if role in places]
        value = value.transpose([places[role] for role in order])
        return value.reshape([value.shape[order.index(role)] if role in order else 1 for role in ("o", "i", "h", "w")])

    # Nodes

    def _modulated(self, node: NodeProto) -> bool:
        """``d * conv(s * x, c)``."""
        if _attribute(node, "group", 1) != self.batch or len(self.shapes.get(node.input[1], ())) != 4:
            return False
        if (x := self._rows(node.input[0])) is None:
            return False
        try:
            found = self._factors(node.input[1], _roles_of(node))
        except NotModulatedError:
            return False
        weight = found.constant if node.op_type == "Conv" else found.constant.swapaxes(0, 1)
        for style in found.styles:
            x = self._add("Mul", [x, self._as_factor(style, node)], node)
        made = self._convolved(node, x, weight, 1)
        for factor in found.demodulations:
            made = self._add("Mul", [made, self._as_factor(factor, node)], node)
        if len(node.input) > 2 and node.input[2]:
            bias = self._repeated(self.constants.get(node.input[2]))
            if bias is None:
                return False
            made = self._add("Add", [made, self._held(bias.reshape(1, -1, 1, 1), node)], node)
        self._done(node, made)
        return True

    def _plain(self, node: NodeProto) -> bool:
        """A filter for every channel of every image is one for every channel."""
        groups = _attribute(node, "group", 1)
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
        if self.batch == 1 or given is None or shape is None or len(given) < 2 or len(shape) < 2:
            return False
        if source in self.apart:
            channels = given[1] // self.batch
            if shape[:2] == (1, given[1]):
                self._done(node, self._reshaped(self.apart[source], (self.batch, channels, *shape[2:]), node))
            elif shape[:2] == (self.batch, channels):
                self.nodes.append(
                    helper.make_node("Identity", [self._reshaped(self.apart[source], shape, node)], node.output)
                )
            return shape[:2] in ((1, given[1]), (self.batch, channels))
        if given[0] == self.batch and shape == (1, given[0] * given[1], *given[2:]) and source not in self.constants:
            self.apart[node.output[0]] = source
        return False

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
        name = node.input[0] if node.op_type == "ReduceSumSquare" else self._root(node.input[0])
        roles, shape = self.roles.get(name or ""), self.shapes.get(node.output[0])
        axes = self.constants.get(node.input[1]) if len(node.input) > 1 else _attribute(node, "axes", None)
        if name is None or roles is None or shape is None or axes is None or roles[0] != "n":
            return False
        summed = {roles[int(axis)] for axis in np.asarray(axes).reshape(-1)}
        try:
            found = self._factors(name, roles)
        except NotModulatedError:
            return False
        if summed != {"i", "h", "w"} or found.demodulations or not found.styles:
            return False
        outside, inside = found.constant.shape[:2]
        squares = np.square(found.constant.astype(np.float64)).sum(axis=(2, 3)).T.astype(found.constant.dtype)
        row = self._reshaped(found.styles[0], (-1, inside), node)
        for style in found.styles[1:]:
            row = self._add("Mul", [row, self._reshaped(style, (-1, inside), node)], node)
        total = self._add("MatMul", [self._add("Mul", [row, row], node), self._held(squares, node)], node)
        wanted = self._held(np.array([self.batch, *shape[1:]], np.int64), node)
        self.nodes.append(helper.make_node("Reshape", [total, wanted], node.output))
        return int(np.prod(shape[1:])) == outside

    def _root(self, name: str) -> str | None:
        """What ``name`` is the square of."""
        node = self.makers.get(name)
        if node is not None and node.op_type == "Mul" and node.input[0] == node.input[1]:
            return str(node.input[0])
        if node is not None and node.op_type == "Pow" and node.input[1] in self.constants:
            power = self.constants[node.input[1]]
            return str(node.input[0]) if power.size == 1 and float(power.reshape(-1)[0]) == 2 else None
        return None

    # Pieces

    def _rows(self, name: str) -> str | None:
        """``name`` with a row for each image: one for all where it is a constant."""
        if name in self.apart or self.batch == 1:
            return self.apart.get(name, name)
        value = self.constants.get(name)
        row = None if value is None or value.ndim != 4 else self._repeated(value[0])
        return None if row is None else self._held(row[None], self.makers.get(name, NodeProto(output=[name])))

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
        return self._reshaped(name, (-1, int(np.prod(self.shapes[name][1:])), 1, 1), node)

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


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
