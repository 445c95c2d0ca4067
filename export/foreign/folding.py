"""A graph at one batch size, with everything computed that depends on no input: the form that rewrites look at."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnxruntime
from onnx import ModelProto

from core.errors import ExportError, first_line
from core.onnx.reading import read_model
from export.onnx_graph import STANDARD

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

    # It adds its own domains, which nothing uses
    standard = [entry for entry in result.opset_import if entry.domain in STANDARD]
    del result.opset_import[:]
    result.opset_import.extend(standard)
    return result
