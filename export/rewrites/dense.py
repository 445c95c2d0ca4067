"""The first layer: a transposed convolution of one pixel is a matrix product."""

import onnx_ir as ir

from export.rewrites.graph import Patch, constant, ints, sides


def dense_first_layer(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A transposed convolution of a 1x1 input, its whole kernel the output, as Gemm and Reshape.

    ``y[n, o, i, j] = Σ x[n, c] w[c, o, i, j] + b[o]``, which is ``x @ w.reshape(c, -1)`` with each bias repeated.
    """
    x, weight, bias = node.inputs[0], constant(node.inputs[1]), constant(node.inputs[2] if node.inputs[2:] else None)
    out = sides(node.outputs[0])
    if x is None or weight is None or out is None or (sides(x) or [])[1:] != [1, 1]:
        return None
    if out != list(weight.shape[1:]) or any(ints(node, "pads")):  # groups, and what enlarges or cuts the output
        return None
    inputs = weight.shape[0]
    operands = [patch.op("Reshape", [x, patch.ints(0, inputs)]), patch.constant(weight.reshape(inputs, -1), "dense")]
    if bias is not None:
        operands.append(patch.constant(bias.repeat(out[1] * out[2]), "dense_bias"))
    return patch.op("Reshape", [patch.op("Gemm", operands), patch.ints(0, *out)])
