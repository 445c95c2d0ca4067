"""Where pictures begin and end, in few channels: convolutions of theirs in blocks of channels that are full."""

import numpy as np
import onnx_ir as ir

from export.graphs.rewrites.graph import Array, Patch, constant, ints, made_by, sides

MOST_OUTPUTS = 4  # four pixels of so many channels fill a block of 16, the width of ONNX Runtime's kernels
FEWEST_INPUTS = 8
BLOCK = 16  # channels that ONNX Runtime computes at once


def four_at_a_time(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A ``k x k`` convolution to at most 4 channels as one of ``k + 1`` and stride 2 to the 4 pixels of a square.

    Output pixel ``(2i + a, 2j + b)`` sees the inputs from ``2i + a`` and ``2j + b`` on, of a window from ``2i`` and
    ``2j`` on that is larger by one: its kernel lies ``a`` further down and ``b`` to the right. A runtime that makes 16
    channels at once, however few are wanted, does ``(k + 1)² / 4k²`` of the work: 4/9 for 3, 16/49 for 7.
    """
    weight, out = constant(node.inputs[1]), sides(node.outputs[0])
    if weight is None or out is None or not _fits(node, weight, out):
        return None

    # The four kernels, each at its place in the wider window
    outputs, inputs, k, _ = weight.shape
    wide = np.zeros((2, 2, outputs, inputs, k + 1, k + 1), weight.dtype)
    for a in (0, 1):
        for b in (0, 1):
            wide[a, b, :, :, a : a + k, b : b + k] = weight

    given = [node.inputs[0], patch.constant(wide.reshape(4 * outputs, inputs, k + 1, k + 1), "four_pixels")]
    if node.inputs[2:]:
        bias = constant(node.inputs[2])
        if bias is None:
            return None
        given.append(patch.constant(np.tile(bias, 4), "four_biases"))

    shape = {"kernel_shape": [k + 1, k + 1], "strides": [2, 2], "pads": ints(node, "pads", [0] * 4)}
    squares = patch.op("Conv", given, shape)  # (n, 4c, h, w), by a, b, channel
    return patch.op("DepthToSpace", [squares], {"blocksize": 2, "mode": "DCR"})


def _fits(node: ir.Node, weight: Array, out: list[int]) -> bool:
    plain = node.attributes.get_int("group", 1) == 1 and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
    ones = ints(node, "strides", [1, 1]) == [1, 1] == ints(node, "dilations", [1, 1])
    odd = weight.shape[2] == weight.shape[3] and weight.shape[2] % 2 == 1 and weight.shape[2] > 1
    even = out[1] % 2 == out[2] % 2 == 0
    return plain and ones and odd and even and len(weight) <= MOST_OUTPUTS and weight.shape[1] >= FEWEST_INPUTS


def beside_the_source(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A convolution of maps beside a source's few channels as two, one of each: ``W [x, s]`` is ``W₁ x + W₂ s``.

    So the maps stay in full blocks of channels, in the layout that they were made in.
    """
    weight, joined = constant(node.inputs[1]), made_by(node.inputs[0], "Concat")
    if weight is None or joined is None or joined.attributes.get_int("axis", 0) != 1 or len(joined.inputs) != 2:
        return None

    parts = [sides(value) for value in joined.inputs]
    if parts[0] is None or parts[1] is None or node.attributes.get_int("group", 1) != 1:
        return None
    maps, few = parts[0][0], parts[1][0]
    if maps % BLOCK or few > MOST_OUTPUTS:
        return None

    first = [joined.inputs[0], patch.constant(np.ascontiguousarray(weight[:, :maps]), "of_maps")]
    second = [joined.inputs[1], patch.constant(np.ascontiguousarray(weight[:, maps:]), "of_source"), *node.inputs[2:]]
    made = [patch.op("Conv", given, node.attributes) for given in (first, second)]
    return patch.op("Add", made)
