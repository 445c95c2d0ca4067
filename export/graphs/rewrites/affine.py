"""Constant factors and terms beside a linear layer become part of its weights."""

import numpy as np
import onnx_ir as ir

from export.graphs.rewrites.graph import Array, Patch, constant, made_by, operands

LINEAR = ("Gemm", "Conv", "ConvTranspose")
LARGEST_SUM = 2**19  # elements of a constant that two smaller ones become


def scaled_input(node: ir.Node, patch: Patch) -> ir.Value | None:
    """``(x · c) @ w + b`` as ``x @ (c · w) + b``: the equalised learning rate of a linear layer."""
    product = node.inputs[0].producer() if node.inputs[0] else None
    weight = constant(node.inputs[1])
    if product is None or product.op_type != "Mul" or weight is None or (parts := operands(product)) is None:
        return None
    x, factor = parts
    if factor.size != 1:
        return None
    scaled = patch.constant(weight * factor.reshape(()), "scaled_weight")
    return patch.op(node.op_type, [x, scaled, *node.inputs[2:]], node.attributes)


def affine_output(node: ir.Node, patch: Patch) -> ir.Value | None:
    """A number added to, taken from or multiplied with what a linear layer gives, as part of its weights."""
    found = operands(node)
    if found is None or found[1].size != 1 or (layer := made_by(found[0], *LINEAR)) is None:
        return None
    if node.op_type == "Sub" and found[0] is not node.inputs[0]:
        return None

    weight, bias = constant(layer.inputs[1]), constant(layer.inputs[2]) if layer.inputs[2:] else None
    if weight is None or (layer.inputs[2:] and bias is None):
        return None

    number = found[1].item()
    factor, term = {"Mul": (number, 0.0), "Add": (1.0, number), "Sub": (1.0, -number)}[node.op_type]
    bias = np.zeros(outputs_of(layer, weight), weight.dtype) if bias is None else bias
    inputs = [layer.inputs[0], patch.constant((weight * np.float64(factor)).astype(weight.dtype), "weight")]
    inputs.append(patch.constant((bias * np.float64(factor) + term).astype(weight.dtype), "bias"))
    return patch.op(layer.op_type, inputs, layer.attributes)


def outputs_of(layer: ir.Node, weight: Array) -> int:
    """How many channels a linear layer gives."""
    if layer.op_type == "Conv":
        return int(weight.shape[0])
    if layer.op_type == "ConvTranspose":
        return int(weight.shape[1]) * layer.attributes.get_int("group", 1)
    return int(weight.shape[0 if layer.attributes.get_int("transB", 0) else 1])


def joined_terms(node: ir.Node, patch: Patch) -> ir.Value | None:
    """``(x + a) + b`` as ``x + (a + b)``: the bias of a layer and its fixed noise."""
    outer = operands(node)
    inner = made_by(outer[0], "Add") if outer else None
    if outer is None or inner is None or (parts := operands(inner)) is None:
        return None
    both = parts[1] + outer[1]
    if both.size > LARGEST_SUM:
        return None
    return patch.op("Add", [parts[0], patch.constant(both, "term")])
