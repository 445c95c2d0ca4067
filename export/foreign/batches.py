"""Frees a graph of the batch size that it was made for: nodes that hold that size take the one of their input instead.

Whether the graph still makes the same images is not known here: ``check_against_reference`` finds out.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from export.onnx_graph import attribute_of, constant_names, constant_tensors

MOST_GROUPS = 64

_ELEMENTWISE = {
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Tanh",
    "Sigmoid",
    "Relu",
    "LeakyRelu",
    "Sqrt",
    "Cast",
    "Identity",
    "MatMul",
}


def likely_batches(model: ModelProto) -> list[int]:
    """The batch sizes that a graph may be made for although it leaves its batch open.

    These are 1 and, as modulated convolutions have a group for each image, the numbers of groups of convolutions whose
    weights are computed.
    """
    held = constant_names(model.graph)
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    groups = [a.i for node in layers if node.input[1] not in held for a in node.attribute if a.name == "group"]
    return [1, *sorted({group for group in groups if 1 < group <= MOST_GROUPS})]


class BatchFreeing:
    """Changes ``graph``, which was made for ``batch`` images at once.

    ``moving`` names the values that have a row for each image; those that are computed of them are added on the way.
    """

    def __init__(self, graph: GraphProto, batch: int, moving: set[str]) -> None:
        self.graph, self.batch, self.moving = graph, batch, moving
        self.lost: set[str] = set()  # values of a batch of 1 whose first side was taken away
        self.nodes: list[NodeProto] = []
        self.constants = constant_tensors(graph)

    def run(self) -> None:
        """Go through the graph once, in order."""
        for node in self.graph.node:
            node = NodeProto.FromString(node.SerializeToString())
            if self.moving & set(node.input):
                self._free(node)
                self.moving |= set(node.output)
            self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)

    def _free(self, node: NodeProto) -> None:
        if self.batch == 1 and node.op_type in ("Squeeze", "Gather") and self._takes_first(node):
            self._become_identity(node)
            self.lost |= set(node.output)
        elif self.lost & set(node.input):
            self._found_again(node)
        elif node.input[0] in self.moving and node.op_type in ("Reshape", "Expand", "Resize"):
            {"Reshape": self._reshape, "Expand": self._expand, "Resize": self._resize}[node.op_type](node)
        elif node.op_type == "Concat":
            self._concat(node)
        elif self.batch > 1 and node.op_type in ("Add", "Sub", "Mul", "Div"):
            self._one_row(node)

    def _one_row(self, node: NodeProto) -> None:
        """A constant beside what moves, with the same row for each image, is that row."""
        for place in range(len(node.input)):
            value = self._constant(node, place)
            if value is not None and value.ndim > 1 and len(value) == self.batch and (value == value[:1]).all():
                node.input[place] = self._held(value[:1], node, f"_row_{place}")

    def _takes_first(self, node: NodeProto) -> bool:
        """Squeeze of the first side, or Gather of the first row."""
        chosen = self._constant(node, 1)
        if node.op_type == "Squeeze":
            return chosen is not None and chosen.reshape(-1).tolist() == [0]
        axis = attribute_of(node, "axis", 0)
        return axis == 0 and node.input[0] in self.moving and chosen is not None and not chosen.ndim and chosen == 0

    def _found_again(self, node: NodeProto) -> None:
        """The first side, which the graph took away, stays in the value here; where it puts one back, it is there."""
        axes = self._constant(node, 1)
        if node.op_type == "Unsqueeze" and axes is not None and axes.reshape(-1).tolist() == [0]:
            self._become_identity(node)
        elif node.op_type == "Reshape":
            self._reshape(node)
        elif node.op_type in _ELEMENTWISE:
            self.lost |= set(node.output)

    def _reshape(self, node: NodeProto) -> None:
        """-1 where no other side is, else 0, which copies the side of what is reshaped."""
        shape = self._constant(node, 1)
        if shape is not None and shape.size and shape[0] == self.batch:
            shape[0] = 0 if -1 in shape else -1
            node.input[1] = self._held(shape, node)
            kept = [a for a in node.attribute if a.name != "allowzero"]  # by which 0 would be no side at all
            del node.attribute[:]
            node.attribute.extend(kept)

    def _expand(self, node: NodeProto) -> None:
        """A side of 1 is as long as what is expanded has it."""
        shape = self._constant(node, 1)
        if shape is not None and shape.size and shape[0] == self.batch:
            shape[0] = 1
            node.input[1] = self._held(shape, node)

    def _resize(self, node: NodeProto) -> None:
        sizes = self._constant(node, 3)
        if sizes is not None and sizes.size and sizes[0] == self.batch:
            node.input[3] = self._sides(node.input[0], sizes[1:], node)

    def _concat(self, node: NodeProto) -> None:
        """A constant beside what moves is repeated for each image, where its rows are all the same."""
        axis = attribute_of(node, "axis", 0)
        like = next(name for name in node.input if name in self.moving)
        for place, name in enumerate(node.input):
            value = self._constant(node, place) if name not in self.moving else None
            if axis == 0 or value is None or value.shape[:1] != (self.batch,) or not (value == value[:1]).all():
                continue
            row = self._held(value[:1], node, f"row_{place}")
            sides = self._sides(like, np.array(value.shape[1:], np.int64), node, f"_{place}")
            repeated = f"{node.output[0]}_rows_{place}"
            self.nodes.append(helper.make_node("Expand", [row, sides], [repeated], name=repeated))
            node.input[place] = repeated

    def _sides(self, like: str, rest: NDArray[np.int64], node: NodeProto, more: str = "") -> str:
        """The batch of ``like``, and ``rest``, as a shape."""
        start = f"{node.output[0]}_sides{more}"
        ends = [self._held(np.array([end], np.int64), node, f"{more}_{end}") for end in (0, 1)]
        self.nodes.append(helper.make_node("Shape", [like], [f"{start}_all"], name=f"{start}_all"))
        self.nodes.append(helper.make_node("Slice", [f"{start}_all", *ends], [f"{start}_batch"], name=f"{start}_batch"))
        parts = [f"{start}_batch", self._held(rest, node, f"{more}_rest")]
        self.nodes.append(helper.make_node("Concat", parts, [start], name=start, axis=0))
        return start

    def _constant(self, node: NodeProto, place: int) -> NDArray[np.int64] | None:
        held = self.constants.get(node.input[place]) if len(node.input) > place else None
        return None if held is None else numpy_helper.to_array(held).copy()

    def _held(self, value: NDArray[np.int64], node: NodeProto, what: str = "") -> str:
        name = f"{node.output[0]}_any_batch{what}"
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def _become_identity(self, node: NodeProto) -> None:
        node.op_type = "Identity"
        del node.attribute[:], node.input[1:]
