"""Whether ONNX Runtime has what a graph computes with, for the types that it computes in: asked, not known. Torch-free.

A session is made of the graph without its weights and without optimisation, which finds a kernel for every node and
runs none of them.
"""

import math
import re

import onnx
from onnx import ModelProto, TensorProto, helper

from core.errors import BundleError, MissingDependency
from core.onnx.session import open_session
from export.targets.runtimes import text

KEPT = 1024  # numbers: lists of sides and the like, which some nodes must know beforehand

_MISSING = re.compile(r"implementation for ([\w.:]+)\(\d+\) node with name '(.*?)'")
_UNKNOWN = re.compile(r"([\w.]+:\w+)\(-?\d+\) is not a registered function/op")


def without_kernels(model: ModelProto) -> str | None:
    """What ONNX Runtime's CPU lacks to run ``model``; None if it lacks nothing."""
    try:
        open_session(_without_weights(model).SerializeToString(), optimise=False)
    except MissingDependency as error:
        return str(error)
    except BundleError as error:
        return _said(str(error), model)
    return None


def _without_weights(model: ModelProto) -> ModelProto:
    """The graph with inputs in the place of weights."""
    bare = ModelProto()
    bare.CopyFrom(model)
    graph, given = bare.graph, {value.name for value in model.graph.input}
    kept = [t for t in model.graph.initializer if math.prod(t.dims) <= KEPT and not t.external_data]
    names = {tensor.name for tensor in kept}
    for tensor in model.graph.initializer:
        if tensor.name not in names | given:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return bare


def _said(complaint: str, model: ModelProto) -> str:
    if found := _MISSING.search(complaint):
        kinds = _kinds(model)
        node = next((node for node in model.graph.node if node.name == found[2] and node.op_type == found[1]), None)
        kind = next((kinds[name] for name in node.input if name in kinds), None) if node else None
        what = f"{found[1]} in {kind}" if kind else found[1]
        remedy = ": convert the model to float32" if kind in ("double", "bfloat16", "float16") else ""
        return f"ONNX Runtime's CPU has no {what} (node {text(found[2])!r}){remedy}"
    if found := _UNKNOWN.search(complaint):
        return f"ONNX Runtime has no operator {text(found[1])}"
    reason = complaint.removeprefix("ONNX Runtime refuses the graph (").removesuffix(")")
    return f"ONNX Runtime refuses it: {text(re.sub(r'^.ONNXRuntimeError. : [0-9]+ : ', '', reason))}"


def _kinds(model: ModelProto) -> dict[str, str]:
    """The types of values, as far as they can be known."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # a graph that contradicts itself
        graph = model.graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
    kinds |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {
        name: TensorProto.DataType.Name(kind).lower()
        for name, kind in kinds.items()
        if kind in TensorProto.DataType.values()
    }
