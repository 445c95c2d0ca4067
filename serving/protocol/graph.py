"""What an ONNX graph takes and gives, in Triton's words, and what the graph contract wants it to."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tritonclient.utils import np_to_triton_dtype

from core.contract import Port
from core.errors import BundleError
from core.onnx.reading import read_model
from serving.protocol.model_config import Tensor, Tensors

_TRITON_TYPES = {
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.UINT8: "UINT8",
}


def tensors_of(graph: Path) -> tuple[Tensors, Tensors]:
    """The inputs and outputs of the ONNX file ``graph``. Raises BundleError if Triton could not batch or load it."""
    model = read_model(graph)
    outside = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise BundleError(f"{graph} keeps the weights {outside[0]} in another file: export it as one file")
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_tensor(graph, value) for value in model.graph.input if value.name not in weights)
    return inputs, tuple(_tensor(graph, value) for value in model.graph.output)


def tensors_from(ports: Iterable[Port]) -> Tensors:
    """Inputs or outputs of the graph contract."""
    return tuple(Tensor(port.name, np_to_triton_dtype(np.dtype(port.dtype)), port.shape) for port in ports)


def _tensor(graph: Path, value: Any) -> Tensor:
    kind = value.type.tensor_type
    data_type = _TRITON_TYPES.get(kind.elem_type)
    if data_type is None:
        raise BundleError(f"{graph}: '{value.name}' has a type that is not served: export again")
    dims = [dim.dim_value for dim in kind.shape.dim]  # 0 where a dimension has a name instead of a number
    if len(dims) < 2 or dims[0] != 0 or min(dims[1:]) < 1:
        raise BundleError(f"{graph}: '{value.name}' must have a dynamic batch and fixed sizes after it: export again")
    return Tensor(value.name, data_type, tuple(dims[1:]))
