"""Reading and cutting ONNX graphs: what the folders of this room share. Torch-free."""

from typing import Any

from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

STANDARD = ("", "ai.onnx")  # what the domain of ONNX's own operators is called


def opset_of(model: ModelProto) -> int:
    """The version of the standard operators that ``model`` uses; 0 where it does not say."""
    return max((entry.version for entry in model.opset_import if entry.domain in STANDARD), default=0)


def attribute_of(node: NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute, or the ``default`` where the node has none."""
    found = next((attribute for attribute in node.attribute if attribute.name == name), None)
    if found is None or found.type == AttributeProto.UNDEFINED:
        return default
    return helper.get_attribute_value(found)


def constant_names(graph: GraphProto) -> set[str]:
    """The names of all that is always the same: weights, and what Constant nodes make."""
    made = {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    return made | {tensor.name for tensor in graph.initializer}


def constant_tensors(graph: GraphProto) -> dict[str, TensorProto]:
    """The tensors that are always the same, by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                tensors[node.output[0]] = attribute.t
    return tensors


def array_of(tensor: TensorProto | None) -> NDArray[Any] | None:
    """The values of a tensor; None where there is none, or where they lie in another file, which is not opened."""
    if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
        return None
    return numpy_helper.to_array(tensor)  # type: ignore[no-any-return]


def constants_of(graph: GraphProto) -> dict[str, NDArray[Any]]:
    """The arrays that are always the same, by name; those in other files are left out."""
    arrays = {name: array_of(tensor) for name, tensor in constant_tensors(graph).items()}
    return {name: array for name, array in arrays.items() if array is not None}


def inputs_of(graph: GraphProto) -> list[ValueInfoProto]:
    """The inputs that must be given: others have a weight of their name as their value."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def sides_of(value: ValueInfoProto) -> list[int | None]:
    """The sides of an input or output; None for one that the graph leaves open."""
    sides = value.type.tensor_type.shape.dim
    return [int(side.dim_value) if side.HasField("dim_value") else None for side in sides]


def leave_out_unused(graph: GraphProto) -> None:
    """Leave out of ``graph`` the nodes and weights that none of its outputs needs."""
    needed = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(NodeProto.FromString(node.SerializeToString()))  # what is deleted next is lost with its list
            needed.update(node.input)
    weights = [TensorProto.FromString(w.SerializeToString()) for w in graph.initializer if w.name in needed]

    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(weights)
