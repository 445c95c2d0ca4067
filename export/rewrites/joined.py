"""Matrix products of one vector, each too small to fill a processor, as one."""

import numpy as np
import onnx_ir as ir

from export.rewrites.graph import Array, Patch, constant, nodes_of, put


def join_products(model: ir.Model) -> int:
    """Every Gemm of the same input as one Gemm and a Split: the styles of all layers. How many there are then less."""
    groups: dict[ir.Value, list[ir.Node]] = {}
    for node in nodes_of(model, "Gemm"):
        if node.inputs[0] is not None and _parts(node) is not None:
            groups.setdefault(node.inputs[0], []).append(node)
    for x, nodes in groups.items():
        if len(nodes) > 1:
            _join(model, x, nodes)
    return sum(len(nodes) - 1 for nodes in groups.values())


def _join(model: ir.Model, x: ir.Value, nodes: list[ir.Node]) -> None:
    parts = [parts for node in nodes if (parts := _parts(node)) is not None]
    sizes = [len(bias) for _, bias in parts]
    patch = Patch()
    weight = patch.constant(np.concatenate([weight for weight, _ in parts], axis=1), "joined_weight")
    bias = patch.constant(np.concatenate([bias for _, bias in parts]), "joined_bias")
    whole = patch.op("Gemm", [x, weight, bias])
    pieces = patch.op_multi_out("Split", [whole, patch.ints(*sizes)], {"axis": 1}, num_outputs=len(nodes))
    put(model, nodes, patch, list(pieces))


def _parts(node: ir.Node) -> tuple[Array, Array] | None:
    """Weight (inputs, outputs) and bias (outputs,) of a plain product with constants, or None."""
    weight, bias = constant(node.inputs[1]), constant(node.inputs[2]) if node.inputs[2:] else None
    plain = all(node.attributes.get_float(name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if weight is None or (node.inputs[2:] and bias is None) or not plain or node.attributes.get_int("transA", 0) != 0:
        return None
    weight = weight.T if node.attributes.get_int("transB", 0) != 0 else weight
    bias = np.zeros(weight.shape[1], weight.dtype) if bias is None else np.broadcast_to(bias, weight.shape[1])
    return weight, bias
