"""A foreign graph inside ours: the contract's inputs before it, pixels after it, and any batch where it allows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx.compose
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from core.contract import SOURCE, Port, batch_of, input_ports, output_port
from core.spec import GeneratorSpec
from export.foreign.batches import BatchFreeing
from export.foreign.hints import Layout
from export.foreign.interface import GraphInterface, VectorInput
from export.foreign.pictures import MOVES, PictureInput, bytes_are_cast
from export.onnx_graph import opset_of

PREFIX = "foreign_"  # of every name of theirs, so that none of ours is among them
IR_VERSION = 10  # the newest that the servers read


def wrapped(
    model: ModelProto,
    interface: GraphInterface,
    spec: GeneratorSpec,
    layout: Layout,
    dtype: int,
    premultiplied: bool,
    sides: Sequence[int] = (),
) -> ModelProto:
    """The graph that ships, of a ``model`` that is prepared and gives ``dtype`` values in ``layout``.

    ``sides`` are an image's in that layout, where the graph gives its values in other ones. One that ``spec`` says
    takes one image at a time stays as it is: where it was made for a batch, all of its rows are the same.
    """
    inner = onnx.compose.add_prefix(model, PREFIX).graph
    alone = spec.most_at_once(2) == 1
    if interface.batch is not None and not alone:
        taking = [*interface.rows, *([interface.label] if interface.label else [])]
        BatchFreeing(inner, interface.batch, {PREFIX + port.name for port in taking}).run()

    # Our inputs before it, pixels after it
    build = Builder({value.name: value for value in inner.input} if alone else {}, interface.batch or 1)
    if interface.source and interface.source.dtype == TensorProto.UINT8:
        build.floats_do = bytes_are_cast(inner.node, PREFIX + interface.source.name)
    build.before(interface, spec)
    floats = dtype == TensorProto.UINT8 and _give_floats(inner, PREFIX + interface.image)
    build.nodes += inner.node
    given = {PREFIX + name for name in interface.fixed}  # some inputs have a value of their own, for when none is given
    build.weights += [weight for weight in inner.initializer if weight.name not in given]
    build.after(
        build.first(PREFIX + interface.image) if alone else PREFIX + interface.image,
        layout,
        TensorProto.FLOAT if floats else dtype,
        spec,
        premultiplied,
        sides,
    )

    # Nothing of the machine that made it
    for part in (*build.nodes, *build.weights):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")

    graph = helper.make_graph(
        build.nodes,
        "generator",
        [_value(p, spec) for p in input_ports(spec)],
        [_value(output_port(spec), spec)],
        build.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset_of(model))], ir_version=IR_VERSION)


def _give_floats(graph: GraphProto, image: str) -> bool:
    """Let the Cast that makes bytes of an image, if they are only moved after it, make whole floats instead, as large:
    then bytes are cast to but once, last. Whether there was one."""
    makers = {name: node for node in graph.node for name in node.output}
    while (node := makers.get(image)) is not None and node.op_type in MOVES:
        image = node.input[0]
    if node is None or node.op_type != "Cast":
        return False

    wide, whole, place = f"{image}_wide", f"{image}_whole", list(graph.node).index(node)
    new = [
        helper.make_node("Cast", [node.input[0]], [wide], name=wide, to=TensorProto.FLOAT),
        helper.make_node("Floor", [wide], [whole], name=whole),
        helper.make_node("Clip", [whole, f"{image}_least", f"{image}_most"], [image], name=f"{image}_clip"),
    ]

    graph.initializer.append(numpy_helper.from_array(np.float32(0), f"{image}_least"))
    graph.initializer.append(numpy_helper.from_array(np.float32(255), f"{image}_most"))
    graph.node.remove(node)
    for step, each in enumerate(new):
        graph.node.insert(place + step, each)
    return True


def _value(port: Port, spec: GeneratorSpec) -> ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(port.dtype))
    return helper.make_tensor_value_info(port.name, kind, [batch_of(spec), *port.shape])


class Builder:
    """Nodes and weights in order; each method that adds one gives the name of what it makes."""

    def __init__(self, alone: Mapping[str, ValueInfoProto] | None = None, batch: int = 1) -> None:
        """``alone`` are the inputs, by name, of a graph that is given one image as all rows of its ``batch``."""
        self.alone, self.batch = alone or {}, batch
        self.floats_do = False  # where bytes are wanted: they are cast to floats first
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """A node with one output."""
        output = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{op}_{len(self.nodes)}", **attributes))
        return output

    def weight(self, value: NDArray[Any] | np.generic) -> str:
        """A constant."""
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value: float) -> str:
        """A float32 constant."""
        return self.weight(np.float32(value))

    def before(self, interface: GraphInterface, spec: GeneratorSpec) -> None:
        """The contract's inputs become the graph's own: truncation moves the latent towards 0, its mean."""
        if interface.source:
            self._picture(interface.source)
        if interface.latent:
            z = self._drawn(interface.latent_kind)
            if interface.truncates and not interface.truncation:
                z = self.node("Mul", [z, "truncation"])
            self._rows(z, interface.latent)

        # The other inputs
        if interface.codes:
            self._rows("codes", interface.codes)
        if interface.truncation:
            self._rows("truncation", interface.truncation)
        if interface.label:
            self._label(interface)
        for name, (value, by_row) in interface.fixed.items():
            self._fixed(PREFIX + name, value, by_row, input_ports(spec)[0].name)

    def _drawn(self, kind: str) -> str:
        """Latents as the generator wants them, of standard normal ones, so that every client's seeds are right."""
        if kind == "uniform":
            return self.node("Erf", [self.node("Mul", ["z", self.number(0.5**0.5)])])
        if kind == "sphere":
            squares = self.node("Mul", ["z", "z"])
            total = self.node("ReduceSum", [squares, self.weight(np.array([1], np.int64))], keepdims=1)
            return self.node("Div", ["z", self.node("Sqrt", [total])])
        return "z"

    def first(self, image: str) -> str:
        """The first row of what a batch of the same rows became; a single image has none."""
        ends = [self.weight(np.array([end], np.int64)) for end in (0, 1)]
        return self.node("Slice", [image, *ends, ends[0]]) if self.batch > 1 else image

    def _as_one(self, values: str, name: str) -> str:
        """A row as the input ``name`` takes it, as often as it wants."""
        shape = [side.dim_value or 1 for side in self.alone[name].type.tensor_type.shape.dim]
        batched = self.batch > 1 and shape[:1] == [self.batch]
        row = self.node("Reshape", [values, self.weight(np.array([1, *shape[1:]] if batched else shape, np.int64))])
        return self.node("Expand", [row, self.weight(np.array(shape, np.int64))]) if batched else row

    def _picture(self, port: PictureInput) -> None:
        """Levels become the values that are wanted. Cast first: TensorRT transposes no bytes."""
        values = self.node("Cast", [SOURCE], to=TensorProto.FLOAT)
        if port.premultiplied and port.spec.channels == 4:
            values = self._premultiplied(values)

        low, high = port.value_range
        if (low, high) != (0.0, 255.0):
            values = self.node("Mul", [values, self.number((high - low) / 255)])
        if low:
            values = self.node("Add", [values, self.number(low)])

        if port.layout == "NCHW":
            values = self.node("Transpose", [values], perm=[0, 3, 1, 2])
        if port.dtype == TensorProto.UINT8 and port.premultiplied:
            values = self.node("Round", [values])
        self._rows(values, port, TensorProto.FLOAT if self.floats_do else None)

    def _premultiplied(self, levels: str) -> str:
        """Levels ``(n, h, w, 4)``, colour times alpha."""
        colour, alpha = self._parts(levels, 3)
        unit = self.node("Mul", [alpha, self.number(1 / 255)])
        return self.node("Concat", [self.node("Mul", [colour, unit]), alpha], axis=3)

    def _parts(self, values: str, axis: int) -> list[str]:
        """Colour and alpha."""
        ends = ((0, 3), (3, 4))
        return [
            self.node("Slice", [values, *(self.weight(np.array([n], np.int64)) for n in (start, end, axis))])
            for start, end in ends
        ]

    def _rows(self, values: str, port: VectorInput | PictureInput, dtype: int | None = None) -> None:
        if self.alone:
            values = self._as_one(values, PREFIX + port.name)
        elif len(port.sides) != (3 if isinstance(port, PictureInput) else 1):
            values = self.node("Reshape", [values, self.weight(np.array([-1, *port.sides], np.int64))])
        self.node("Cast", [values], PREFIX + port.name, to=dtype or port.dtype)

    def _label(self, interface: GraphInterface) -> None:
        label = interface.label
        assert label
        given = "label"
        if label.one_hot:
            given = self.node("Equal", [given, self.weight(np.arange(len(label.classes), dtype=np.int64)[None])])
        if self.alone:
            given = self._as_one(given, PREFIX + label.name)
        elif label.rank < 2 and not label.one_hot:
            given = self.node("Reshape", [given, self.weight(np.array([-1], np.int64))])
        self.node("Cast", [given], PREFIX + label.name, to=label.dtype)

    def _fixed(self, name: str, value: NDArray[Any], by_row: bool, like: str) -> None:
        """A value for the input ``name``, by row as many times as ``like`` has rows."""
        if not by_row or self.alone:
            value = np.repeat(value, self.batch, axis=0) if by_row else value
            self.weights.append(numpy_helper.from_array(value, name))
            return
        first, rest = self.weight(np.array([0], np.int64)), self.weight(np.array(value.shape[1:], np.int64))
        batch = self.node("Gather", [self.node("Shape", [like]), first])
        self.node("Expand", [self.weight(value), self.node("Concat", [batch, rest], axis=0)], name)

    def after(
        self,
        image: str,
        layout: Layout,
        dtype: int,
        spec: GeneratorSpec,
        premultiplied: bool,
        sides: Sequence[int] = (),
    ) -> None:
        """The graph's values become pixels. Transpose, then Cast last: TensorRT refuses the reverse."""
        low, high = spec.value_range
        if sides:
            image = self.node("Reshape", [image, self.weight(np.array([-1, *sides], np.int64))])
        values = image if dtype == TensorProto.FLOAT else self.node("Cast", [image], to=TensorProto.FLOAT)
        if layout == "NHWC":
            values = self.node("Transpose", [values], perm=[0, 3, 1, 2])

        # From the range to 0 to 1, and to levels
        moved = self.node("Sub", [values, self.number(low)])
        unit = self._clip(self.node("Mul", [moved, self.number(1 / (high - low))]))
        if spec.channels == 4:
            unit = self._straight(unit, premultiplied)
        levels = self.node("Round", [self.node("Mul", [unit, self.number(255)])])
        self.node("Cast", [self.node("Transpose", [levels], perm=[0, 2, 3, 1])], "image", to=TensorProto.UINT8)

    def _straight(self, unit: str, premultiplied: bool) -> str:
        """Straight alpha, colour fading to black below one level of it: see core.pixels."""
        colour, alpha = self._parts(unit, 1)
        if premultiplied:
            least = self.node("Max", [alpha, self.number(0.5 / 255)])
            colour = self.node("Div", [self.node("Min", [colour, alpha]), least])
        many = self.node("Mul", [alpha, self.number(2 * 255)])
        fade = self._clip(self.node("Sub", [many, self.number(1)]))
        return self.node("Concat", [self.node("Mul", [colour, fade]), alpha], axis=1)

    def _clip(self, values: str) -> str:
        return self.node("Clip", [values, self.number(0), self.number(1)])
