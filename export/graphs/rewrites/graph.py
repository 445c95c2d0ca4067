"""What the rewrites share: reading constants and attributes of a graph, and putting new nodes in an old one's place."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.tape import Tape

Array = NDArray[Any]


class Patch(Tape):
    """New nodes, in order, and the constants they need."""

    def __init__(self) -> None:
        super().__init__()
        self.constants: list[ir.Value] = []

    def constant(self, value: Array, name: str) -> ir.Value:
        """A weight; a number is added to its name if that is taken."""
        self.constants.append(ir.Value(name=name, const_value=ir.tensor(np.ascontiguousarray(value), name=name)))
        return self.constants[-1]

    def ints(self, *values: int) -> ir.Value:
        """A list of integers, such as axes or a shape."""
        return self.constant(np.array(values, np.int64), "ints")


# Looks at one node: what takes the place of its output, made of the patch's new nodes, or None to leave it.
Rewrite = Callable[[ir.Node, Patch], ir.Value | None]


def nodes_of(model: ir.Model, kind: str) -> Iterator[ir.Node]:
    """The nodes of one operator, as they were before the first of them is replaced."""
    yield from [node for node in model.graph if node.op_type == kind and node.domain == ""]


def constant(value: ir.Value | None) -> Array | None:
    """The array a value always holds, or None."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The number a value always holds, or None."""
    array = constant(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def operands(node: ir.Node) -> tuple[ir.Value, Array] | None:
    """The variable and the constant of a commutative operator that has one of each, or None."""
    first, second = node.inputs
    if first is not None and (array := constant(second)) is not None and constant(first) is None:
        return first, array
    if second is not None and (array := constant(first)) is not None and constant(second) is None:
        return second, array
    return None


def made_by(value: ir.Value | None, *kinds: str) -> ir.Node | None:
    """The node that makes ``value``, if it is of one of ``kinds`` and nothing else uses what it makes."""
    node = None if value is None else value.producer()
    if node is None or node.op_type not in kinds or node.domain != "" or only_user(node) is None:
        return None
    return node


def only_user(node: ir.Node) -> ir.Node | None:
    """The one node that uses what ``node`` makes, if there is just one and the graph does not give it away."""
    made = node.outputs[0]
    users = [user for user, _ in made.uses()]
    return users[0] if len(users) == 1 and not made.is_graph_output() else None


def ints(node: ir.Node, name: str, default: list[int] | None = None) -> list[int]:
    """An attribute that is a list of integers."""
    attribute = node.attributes.get(name)
    return list(attribute.as_ints()) if attribute is not None else list(default or [])


def sides(value: ir.Value | None) -> list[int] | None:
    """The sizes of a value but the batch, if they are all known."""
    if value is None or value.shape is None or value.shape.rank() == 0:
        return None
    rest = [side for side in list(value.shape)[1:] if isinstance(side, int)]
    return rest if len(rest) == value.shape.rank() - 1 else None


def apply(model: ir.Model, kind: str, rewrite: Rewrite) -> int:
    """Let ``rewrite`` look at every node of one operator; how many it replaced. Leftovers stay until the tidying."""
    count = 0
    for node in nodes_of(model, kind):
        patch, old = Patch(), node.outputs[0]
        unused = not old.uses() and not old.is_graph_output()  # left behind by a rewrite of what came after it
        if unused or (new := rewrite(node, patch)) is None:
            continue
        new.shape, new.type = old.shape, old.type
        register(model, patch)
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], list(patch.nodes), [old], [new])
        count += 1
    return count


def register(model: ir.Model, patch: Patch) -> None:
    """Give the graph the constants that new nodes use, under names that nothing else has."""
    taken = {value.name for node in model.graph for value in (*node.inputs, *node.outputs) if value is not None}
    taken |= {*model.graph.initializers, *(value.name for value in model.graph.inputs)}
    for value in patch.constants:
        name, count = value.name, 0
        while value.name in taken:
            count += 1
            value.name = f"{name}_{count}"
        taken.add(value.name)
        model.graph.register_initializer(value)
