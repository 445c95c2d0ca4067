"""What one image costs: the multiply-adds of a graph's convolutions and matrix products, two operations each.

Biases, activations, resampling and other work that is linear in the pixels is not counted, as in PyTorch's counter
(``torch.utils.flop_counter``). Torch-free.
"""

import math
from collections.abc import Callable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


def flops(model: ModelProto) -> int | None:
    """Operations for an image; None where a shape is not known, or an operator's cost is not."""
    if not _countable(model):
        return None
    shapes = known_shapes(model)
    try:
        total = sum(COSTS[node.op_type](node, shapes) for node in model.graph.node if node.op_type in COSTS)
        return total // _fixed_batch(model)
    except (KeyError, IndexError, ZeroDivisionError):  # a shape that inference could not find, or a broken node
        return None


def _fixed_batch(model: ModelProto) -> int:
    """The batch that the graph was made for: the first side of an output that is that of an input too."""
    firsts = [
        {v.type.tensor_type.shape.dim[0].dim_value for v in values if v.type.tensor_type.shape.dim}
        for values in (model.graph.input, model.graph.output)
    ]
    return max(firsts[0] & firsts[1], default=1) or 1


def known_shapes(model: ModelProto) -> Shapes:
    """The shape of every value that has one of known sides, where the inputs' sides that are not fixed are 1."""
    single = ModelProto()
    single.CopyFrom(model)
    for value in single.graph.input:
        for side in value.type.tensor_type.shape.dim:
            if not side.HasField("dim_value"):
                side.dim_value = 1

    for value in single.graph.output:  # what is written of these, and inside, is for any batch
        value.type.tensor_type.ClearField("shape")
    del single.graph.value_info[:]

    try:
        _plainer(single)
        single = onnx.shape_inference.infer_shapes(single, data_prop=True)
    except Exception:  # a graph that is broken or contradicts itself, which is the checker's to say
        return {}

    values = (*single.graph.input, *single.graph.output, *single.graph.value_info)
    shapes = {value.name: shape for value in values if (shape := _shape(value)) is not None}
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in single.graph.initializer}


def _countable(model: ModelProto) -> bool:
    used = {node.op_type for node in model.graph.node}
    graphs = any(
        attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute
    )
    return not (used & UNCOUNTED or graphs or model.functions)


def _plainer(model: ModelProto) -> None:
    """Write ``Reshape(scalar, [-1])``, as PyTorch makes a list of one size, in a way that inference follows."""
    lists = {t.name for t in model.graph.initializer if tuple(t.dims) == (1,) and t.data_type == TensorProto.INT64}
    minus_one = {t.name for t in model.graph.initializer if t.name in lists and numpy_helper.to_array(t)[0] == -1}
    scalars = {name for node in model.graph.node if node.op_type == "Squeeze" for name in node.output}
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), "flops_axis_0"))
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[0] in scalars and node.input[1:2] and node.input[1] in minus_one:
            del node.attribute[:]
            node.op_type, node.input[1] = "Unsqueeze", "flops_axis_0"


def _shape(value: ValueInfoProto) -> Shape | None:
    sides = value.type.tensor_type.shape.dim
    if not value.type.tensor_type.HasField("shape") or any(not side.HasField("dim_value") for side in sides):
        return None
    return tuple(side.dim_value for side in sides)


def _convolution(node: NodeProto, shapes: Shapes) -> int:
    """Weights (out, in / groups, kernel...): each element of the output is a sum over in / groups x kernel."""
    weights = shapes[node.input[1]]
    return 2 * math.prod(shapes[node.output[0]]) * math.prod(weights[1:])


def _transposed(node: NodeProto, shapes: Shapes) -> int:
    """Weights (in, out / groups, kernel...): each element of the input goes into out / groups x kernel sums."""
    weights = shapes[node.input[1]]
    return 2 * math.prod(shapes[node.input[0]]) * math.prod(weights[1:])


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    """(m, k) by (k, n), either of them transposed."""
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    inner = shapes[node.input[0]][0 if transposed else 1]
    return 2 * math.prod(shapes[node.output[0]]) * inner


def _product(node: NodeProto, shapes: Shapes) -> int:
    return 2 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


COSTS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "ConvTranspose": _transposed,
    "Gemm": _gemm,
    "MatMul": _product,
    "MatMulInteger": _product,
}
# Work of the same kind that this file has no formula for.
UNCOUNTED = {
    "Attention",
    "DeformConv",
    "Einsum",
    "GRU",
    "LSTM",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
    "If",
    "Loop",
    "Scan",
}
