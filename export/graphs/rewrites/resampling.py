"""Doubled maps: what is the same at every position, or mixes channels only, is done before or after, where cheaper."""

import onnx_ir as ir

from export.graphs.rewrites.graph import Patch, constant, ints, made_by, sides

FEWEST_INPUTS = 64  # below, a smaller convolution does not pay for doubling its outputs beside its inputs


def is_doubling(node: ir.Node, *modes: str) -> bool:
    """Whether a Resize doubles both sides of a map, by the given interpolations, as PyTorch does."""
    scales = constant(node.inputs[2] if len(node.inputs) > 2 else None)
    mode = node.attributes.get_string("mode", "nearest")
    return scales is not None and scales.tolist() == [1, 1, 2, 2] and mode in modes


def scaled_after(node: ir.Node, patch: Patch) -> ir.Value | None:
    """``resize(x · s)`` as ``resize(x) · s`` for a factor per channel, so that the resize follows its convolution.

    ONNX Runtime then doubles in the convolution's own layout, four times as fast.
    """
    product = made_by(node.inputs[0], "Mul")
    if product is None or not is_doubling(node, "linear", "nearest"):
        return None
    for x, factor in (product.inputs, product.inputs[::-1]):
        if made_by(x, "Conv") and (sides(factor) or [])[1:] == [1, 1]:
            return patch.op("Mul", [patch.op("Resize", [x, *node.inputs[1:]], node.attributes), factor])
    return None


def mixed_before(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A 1x1 convolution of a doubled map as the doubled map of a 1x1 convolution: a quarter of the work.

    Exact, bias and all, because the weights of an interpolation add up to 1.
    """
    weight, resize = constant(node.inputs[1]), node.inputs[0].producer() if node.inputs[0] else None
    if weight is None or weight.shape[2:] != (1, 1) or node.attributes.get_int("group", 1) != 1 or resize is None:
        return None
    if ints(node, "strides", [1, 1]) != [1, 1] or any(ints(node, "pads")) or resize.op_type != "Resize":
        return None
    if not is_doubling(resize, "linear", "nearest") or weight.shape[1] < FEWEST_INPUTS:
        return None
    mixed = patch.op("Conv", [resize.inputs[0], *node.inputs[1:]], node.attributes)
    return patch.op("Resize", [mixed, *resize.inputs[1:]], resize.attributes)
