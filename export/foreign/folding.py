"""A graph at one batch, with everything computed that no input decides: what its other forms are found in."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from core.errors import ExportError, first_line
from core.onnx.reading import read_model
from export.checks.rules import STANDARD

_FATAL_ONLY = 4


def folded(model: ModelProto, inputs: Mapping[str, tuple[int, ...]]) -> ModelProto:
    """``model`` with the shapes in ``inputs`` written into those, by name, and constants computed.

    ONNX Runtime does it: its basic optimisations keep to standard operators. Raises ExportError if it cannot.
    """
    fixed = ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for side, length in zip(value.type.tensor_type.shape.dim, inputs.get(value.name, ()), strict=False):
            side.dim_value = length
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    del fixed.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "folded.onnx"
            options.optimized_model_filepath = str(path)
            onnxruntime.InferenceSession(fixed.SerializeToString(), options, providers=["CPUExecutionProvider"])
            result = read_model(path)
    except Exception as error:  # ONNX Runtime has a kind for each of its status codes
        raise ExportError(f"ONNX Runtime cannot compute its constants ({first_line(error, 200)})") from None
    standard = [entry for entry in result.opset_import if entry.domain in STANDARD]
    del result.opset_import[:]
    result.opset_import.extend(standard)
    return result


def constants_of(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    """What is always the same, by name."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    held |= {
        n.output[0]: a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"
    }
    return {name: numpy_helper.to_array(tensor) for name, tensor in held.items()}


def without_the_unused(model: ModelProto) -> None:
    """Leave out the nodes and weights that no output needs."""
    needed = {value.name for value in model.graph.output}
    nodes: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.append(NodeProto.FromString(node.SerializeToString()))
            needed |= set(node.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    copies = [type(tensor).FromString(tensor.SerializeToString()) for tensor in weights]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)
