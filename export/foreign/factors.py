"""A weight that a graph computes, taken apart into a constant and what multiplies it for each image.

``w[n,o,i] = c[o,i] s[n,i] d[n,o]``: the constant, styles of its inputs, and demodulations of its outputs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from export.checks.flops import known_shapes
from export.onnx_graph import attribute_of, constants_of

Roles = tuple[str, ...]  # what each side of a weight is: image, output, input, height, width; "no" are two in one
Array = NDArray[Any]


@dataclass(frozen=True)
class Factors:
    """A weight as a ``constant``, in the order of a convolution's own, and the names of what multiplies or divides it,
    each with the operator that does."""

    constant: Array
    styles: tuple[tuple[str, str], ...] = ()
    demodulations: tuple[tuple[str, str], ...] = ()


class NotModulatedError(Exception):
    """A weight is no product of a constant with factors for its inputs and outputs."""


class Weights:
    """What ``model``, made for ``batch``, computes of weights; ``roles`` are those of the values on the way."""

    def __init__(self, model: ModelProto, batch: int) -> None:
        self.batch, self.shapes, self.constants = batch, known_shapes(model), constants_of(model.graph)
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.roles: dict[str, Roles] = {}

    def look_at(self, name: str, roles: Roles) -> None:
        """Find out the roles of what leads to the weight ``name``."""
        try:
            self.factors(name, roles)
        except NotModulatedError:
            return

    def factors(self, name: str, roles: Roles) -> Factors:
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

        # A factor: what is smaller than the weight is no product worth a look
        shape, node = self.shapes.get(name), self.makers.get(name)
        if shape is None or len(shape) > len(roles):
            raise NotModulatedError
        roles = roles[len(roles) - len(shape) :]
        least = {"no": whole["o"], "ni": whole["i"], "o": whole["o"], "i": whole["i"]}
        if node is None or any(side < least.get(role, 0) for side, role in zip(shape, roles, strict=True)):
            return [self._leaf(name, shape, roles)]

        # Operators that keep it a product of factors
        self.roles[name] = roles
        if node.op_type == "Mul":
            return [part for operand in node.input for part in self._parts(operand, roles, whole)]
        if node.op_type == "Div":
            divisor = [_inverse(part) for part in self._parts(node.input[1], roles, whole)]
            return [*self._parts(node.input[0], roles, whole), *divisor]
        if node.op_type == "Transpose":
            inside = [""] * len(roles)
            for place, origin in enumerate(attribute_of(node, "perm", range(len(roles))[::-1])):
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

        # Images and the next side were two sides before
        if roles[0] in ("no", "ni") and given == (self.batch, shape[0] // self.batch, *shape[1:]):
            return ("n", roles[0][1], *roles[1:])

        # They were one side before
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
            return "style", (name, "Mul"), roles
        if set(sides) <= {"n", "o"}:
            return "demodulation", (name, "Mul"), roles
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

    def root(self, name: str) -> str | None:
        """What ``name`` is the square of."""
        node = self.makers.get(name)
        if node is not None and node.op_type == "Mul" and node.input[0] == node.input[1]:
            return str(node.input[0])
        if node is not None and node.op_type == "Pow" and node.input[1] in self.constants:
            power = self.constants[node.input[1]]
            return str(node.input[0]) if power.size == 1 and float(power.reshape(-1)[0]) == 2 else None
        return None


def _inverse(part: tuple[str, Any, Roles]) -> tuple[str, Any, Roles]:
    """What divides by the same."""
    kind, found, roles = part
    if kind == "constant":
        return kind, 1 / found, roles
    name, operator = found
    return kind, (name, {"Mul": "Div", "Div": "Mul"}[operator]), roles
