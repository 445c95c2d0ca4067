"""Doubling a feature map: transposed convolutions as sub-pixel convolutions (Shi et al. 2016, arXiv 1609.07009)."""

import numpy as np
import onnx_ir as ir

from export.graphs.rewrites.graph import Array, Patch, constant, ints, made_by, sides
from export.graphs.rewrites.resampling import is_doubling

ACTIVATIONS = ("Relu", "LeakyRelu")  # which a runtime joins to the convolution right before


def transposed_from_nearest(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A 3x3 convolution of a map doubled by nearest neighbours, as a 4x4 transposed convolution of stride 2.

    Each tap meets the same old pixel as a neighbouring tap in one of two places, so their weights add up: the kernel
    is ``[1, 1] * w`` along each axis, and four ninths of the multiplications are left.
    """
    weight, resize = constant(node.inputs[1]), made_by(node.inputs[0], "Resize")
    if weight is None or weight.shape[2:] != (3, 3) or not is_same(node) or resize is None:
        return None
    if not is_doubling(resize, "nearest"):
        return None
    flipped = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1].astype(np.float64)  # (i, o, 3, 3)
    wide = np.pad(flipped, ((0, 0), (0, 0), (0, 1), (0, 1)))
    wide = wide + np.roll(wide, 1, axis=2)
    wide = (wide + np.roll(wide, 1, axis=3)).astype(weight.dtype)  # (i, o, 4, 4)
    shape = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return patch.op("ConvTranspose", [resize.inputs[0], patch.constant(wide, "doubling"), *node.inputs[2:]], shape)


def subpixel(node: ir.Node, patch: Patch, everywhere: bool = False) -> ir.Value | None:
    """A 4x4 transposed convolution of stride 2, and the activation after it, as four 2x2 convolutions interleaved.

    Output pixel ``(2i + a, 2j + b)`` sees only the old pixels ``i - 1 + a`` and ``i + a``, ``j - 1 + b`` and
    ``j + b``, through the taps ``3 - a`` and ``1 - a``, ``3 - b`` and ``1 - b``. Where it is ``worthwhile``, or
    ``everywhere``.
    """
    doubling = node if node.op_type == "ConvTranspose" else made_by(node.inputs[0], "ConvTranspose")
    if doubling is None or (weight := constant(doubling.inputs[1])) is None:
        return None

    # Only the usual doubling: kernel 4, stride 2, padding 1
    shape = (
        weight.shape[2:],
        ints(doubling, "strides"),
        ints(doubling, "pads"),
        doubling.attributes.get_int("group", 1),
    )
    if shape != ((4, 4), [2, 2], [1, 1, 1, 1], 1) or any(ints(doubling, "output_padding")):
        return None
    old = sides(doubling.inputs[0])
    if old is None or not (everywhere or worthwhile(weight.shape[1])):
        return None

    # The pixels of each parity, then side by side, row by row
    rows = []
    for a in (0, 1):
        phases = [phase(doubling, weight, (a, b), node, patch) for b in (0, 1)]
        rows.append(interleaved(phases, 4, patch))
    channels, height, width = weight.shape[1], old[1], old[2]
    stacked = [patch.op("Reshape", [row, patch.ints(0, channels, height, 1, 2 * width)]) for row in rows]
    whole = patch.op("Concat", stacked, {"axis": 3})  # (n, c, h, 2, 2w)
    return patch.op("Reshape", [whole, patch.ints(0, channels, 2 * height, 2 * width)])


def worthwhile(outputs: int) -> bool:
    """Whether four small convolutions beat the transposed one, as ``benchmarks/graphs.py --doubling`` measures it.

    They do whatever the size and the batch once they fill one of ONNX Runtime's blocks of 16 channels, and never for
    an image's few.
    """
    return outputs >= 16


def phase(doubling: ir.Node, weight: Array, at: tuple[int, int], last: ir.Node, patch: Patch) -> ir.Value:
    """The output pixels of one parity, ``(n, c, h, w)``."""
    (a, b), (x, _, *bias) = at, doubling.inputs
    taps = weight[:, :, [3 - a, 1 - a]][:, :, :, [3 - b, 1 - b]].transpose(1, 0, 2, 3)  # (o, i, 2, 2)
    kernel = patch.constant(taps, f"phase_{a}{b}")
    made = patch.op("Conv", [x, kernel, *bias], {"kernel_shape": [2, 2], "pads": [1 - a, 1 - b, a, b]})
    return made if last is doubling else patch.op(last.op_type, [made], last.attributes)


def interleaved(values: list[ir.Value], axis: int, patch: Patch) -> ir.Value:
    """Maps ``(n, c, h, w)`` pixel by pixel: ``(n, c, h, w, len(values))``."""
    return patch.op("Concat", [patch.op("Unsqueeze", [value, patch.ints(axis)]) for value in values], {"axis": axis})


def is_same(node: ir.Node) -> bool:
    """Whether a convolution keeps the sides: stride 1, no holes, one group, the kernel's half as padding."""
    kernel = ints(node, "kernel_shape")
    one = ints(node, "strides", [1, 1]) == [1, 1] == ints(node, "dilations", [1, 1])
    half = [side // 2 for side in kernel]
    return one and node.attributes.get_int("group", 1) == 1 and ints(node, "pads", [0] * 4) == half + half
