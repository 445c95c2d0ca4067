"""1x1 convolutions, which are matrix products over the channels."""

import numpy as np
import onnx_ir as ir

from export.graphs.rewrites.graph import Array, Patch, constant, ints, made_by, sides

MOST_OUTPUTS = 4  # an image's channels: as many weights for each row of the batch as there are


def is_pointwise(node: ir.Node) -> bool:
    """Whether a convolution is a matrix product over the channels, one weight for all."""
    weight = constant(node.inputs[1])
    plain = (
        node.attributes.get_int("group", 1) == 1
        and ints(node, "strides", [1, 1]) == [1, 1]
        and not any(ints(node, "pads"))
    )
    return plain and weight is not None and weight.shape[2:] == (1, 1)


def bias_of(node: ir.Node, outputs: int) -> Array:
    """A convolution's bias, zeros if it has none."""
    bias = constant(node.inputs[2]) if node.inputs[2:] else None
    return np.zeros(outputs) if bias is None else bias


def narrowed_residual(node: ir.Node, patch: Patch) -> ir.Value | None:
    """``N (x + C h)`` as ``N x + (N C) h`` where N has fewer outputs than C: no wide sum is made to be narrowed."""
    total = made_by(node.inputs[0], "Add")
    if total is None or not is_pointwise(node):
        return None
    both = ((x, made_by(branch, "Conv")) for x, branch in (total.inputs, total.inputs[::-1]))
    x, last = next(((x, last) for x, last in both if last is not None and is_pointwise(last)), (None, None))
    if last is None:
        return None

    narrow, wide = constant(node.inputs[1]), constant(last.inputs[1])
    assert narrow is not None and wide is not None
    if narrow.shape[0] >= wide.shape[0]:
        return None

    n, c = narrow[:, :, 0, 0].astype(np.float64), wide[:, :, 0, 0].astype(np.float64)
    bias = n @ bias_of(last, len(c)) + bias_of(node, len(n))
    weight = patch.constant((n @ c)[:, :, None, None].astype(narrow.dtype), "narrowed_weight")
    one = {"kernel_shape": [1, 1]}
    inner = patch.op("Conv", [last.inputs[0], weight, patch.constant(bias.astype(narrow.dtype), "narrowed_bias")], one)
    return patch.op("Add", [patch.op("Conv", [x, node.inputs[1]], one), inner])


def styled_image(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A 1x1 convolution of a map times a style as a product with styled weights: ``W (x · s) = (W · s) x``."""
    product = made_by(node.inputs[0], "Mul")
    if product is None or not is_pointwise(node) or (weight := constant(node.inputs[1])) is None:
        return None

    x, style = product.inputs if (sides(product.inputs[1]) or [])[1:] == [1, 1] else product.inputs[::-1]
    made, size, (outputs, inputs) = made_by(style, "Unsqueeze", "Reshape"), sides(x), weight.shape[:2]
    if made is None or size is None or (sides(style) or [])[1:] != [1, 1] or outputs > MOST_OUTPUTS:
        return None

    rows = patch.op("Reshape", [made.inputs[0], patch.ints(0, 1, inputs)])
    weights = patch.op("Mul", [patch.constant(weight[None, :, :, 0, 0], "image_weight"), rows])  # (n, outputs, inputs)
    flat = patch.op("Reshape", [x, patch.ints(0, inputs, size[1] * size[2])])
    image = patch.op("Reshape", [patch.op("MatMul", [weights, flat]), patch.ints(0, outputs, *size[1:])])
    bias = patch.constant(bias_of(node, outputs).astype(weight.dtype).reshape(1, -1, 1, 1), "image_bias")
    return patch.op("Add", [image, bias])
