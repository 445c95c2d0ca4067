"""What an ONNX graph takes and gives, in Triton's words, and what the graph contract wants it to."""

from pathlib import Path
from typing import Any

import onnx

from core.errors import BundleError
from core.spec import GeneratorSpec
from serving.config import Tensor, Tensors

_TRITON_TYPES = {
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.UINT8: "UINT8",
}


def tensors_of(graph: Path) -> tuple[Tensors, Tensors]:
    """The inputs and outputs of the ONNX file ``graph``. Raises BundleError if Triton could not batch or load it."""
    try:
        model = onnx.load(graph, load_external_data=False)
    except Exception as error:  # protobuf's own kinds, and OSError
        raise BundleError(f"{graph} is not an ONNX graph ({error}): export again") from None
    outside = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise BundleError(f"{graph} keeps the weights {outside[0]} in another file: export it as one file")
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_tensor(graph, value) for value in model.graph.input if value.name not in weights)
    return inputs, tuple(_tensor(graph, value) for value in model.graph.output)


def expected_tensors(spec: GeneratorSpec) -> tuple[Tensors, Tensors]:
    """The inputs and outputs that the graph contract gives a generator with ``spec``."""
    image = (spec.height, spec.width, spec.channels)
    if spec.kind == "image":
        return (Tensor("source", "UINT8", image),), (Tensor("image", "UINT8", image),)
    inputs = [Tensor("z", "FP32", (spec.latent_dim,)), Tensor("truncation", "FP32", (1,))]
    if spec.classes:
        inputs.append(Tensor("label", "INT64", (1,)))
    if spec.codes:
        inputs.append(Tensor("codes", "FP32", (spec.codes,)))
    return tuple(inputs), (Tensor("image", "UINT8", image),)


def _tensor(graph: Path, value: Any) -> Tensor:
    kind = value.type.tensor_type
    data_type = _TRITON_TYPES.get(kind.elem_type)
    if data_type is None:
        raise BundleError(f"{graph}: '{value.name}' has a type that is not served: export again")
    dims = [dim.dim_value for dim in kind.shape.dim]  # 0 where a dimension has a name instead of a number
    if len(dims) < 2 or dims[0] != 0 or min(dims[1:]) < 1:
        raise BundleError(f"{graph}: '{value.name}' must have a dynamic batch and fixed sizes after it: export again")
    return Tensor(value.name, data_type, tuple(dims[1:]))
