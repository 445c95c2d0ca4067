"""The first layer as a matrix product: a transposed convolution of one pixel, or a convolution of a constant."""

import numpy as np
import onnx_ir as ir
from numpy.lib.stride_tricks import sliding_window_view

from export.graphs.rewrites.graph import Array, Patch, constant, ints, made_by, operands, sides

MOST_GROWTH = 2  # times a convolution's weights that the products of its first layer may be


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
    rows = patch.op("Reshape", [x, patch.ints(0, inputs)])
    return _product(rows, weight.reshape(inputs, -1), bias, out, patch)


def constant_first_layer(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A convolution of a constant map times a style, whose products with the map are made once: Gemm and Reshape.

    ``y[n, o, p] = Σ s[n, c] (w[o, c] * x[c])[p] + b[o]``: for each channel a row of what it gives at every output. For
    small maps only, because where a batch is one image, reading the weights is what takes the time.
    """
    product, weight = made_by(node.inputs[0], "Mul"), constant(node.inputs[1])
    if product is None or weight is None or (parts := operands(product)) is None:
        return None
    style, x = made_by(parts[0], "Unsqueeze", "Reshape"), parts[1]
    if style is None or (sides(parts[0]) or [])[1:] != [1, 1] or x.ndim != 4 or len(x) != 1:
        return None

    bias, out = constant(node.inputs[2] if node.inputs[2:] else None), sides(node.outputs[0])
    kernel = list(weight.shape[2:])
    same = ints(node, "pads") == [side // 2 for side in kernel] * 2 and kernel[0] % 2 == kernel[1] % 2 == 1
    if not same or node.attributes.get_int("group", 1) != 1 or out is None or out[1:] != list(x.shape[2:]):
        return None
    if out[1] * out[2] > MOST_GROWTH * weight[0, 0].size:
        return None

    rows = patch.op("Reshape", [style.inputs[0], patch.ints(0, weight.shape[1])])
    return _product(rows, _products(x[0], weight), bias, out, patch)


def _products(x: Array, weight: Array) -> Array:
    """Each channel of a map ``(c, h, w)`` through its own weights ``(o, c, k, k)``: ``(c, o * h * w)``."""
    k, m = weight.shape[2:]
    padded = np.pad(x, ((0, 0), (k // 2, k // 2), (m // 2, m // 2)))
    windows = np.stack([sliding_window_view(channel, (k, m)) for channel in padded])  # (c, h, w, k, m)
    by_channel = weight.transpose(1, 0, 2, 3).reshape(len(x), -1, k * m)  # (c, o, km)
    pixels = windows.reshape(len(x), -1, k * m).transpose(0, 2, 1)  # (c, km, hw)
    products: Array = (by_channel @ pixels).reshape(len(x), -1)
    return products


def _product(rows: ir.Value, weight: Array, bias: Array | None, out: list[int], patch: Patch) -> ir.Value:
    """Maps ``(n, *out)`` from rows ``(n, c)``, with a bias for each channel."""
    inputs = [rows, patch.constant(weight, "dense_weight")]
    if bias is not None:
        inputs.append(patch.constant(bias.repeat(out[1] * out[2]), "dense_bias"))
    return patch.op("Reshape", [patch.op("Gemm", inputs), patch.ints(0, *out)])
