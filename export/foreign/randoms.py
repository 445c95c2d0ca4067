"""Random numbers inside a foreign graph, drawn once and for all: a seed must always mean the same picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.flops import known_shapes

MOST_DRAWN = 1 << 26  # numbers
_DRAWN = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


def frozen(model: ModelProto) -> tuple[ModelProto, list[str]]:
    """A copy of ``model`` in which each random value is a constant, the same for every image; the nodes' names.

    Noise like another value is drawn for one image and repeated over the batch. What has no shape that is known
    beforehand, or is no normal or uniform number, is left as it is.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    if not any(node.op_type in _DRAWN for node in copy.graph.node):
        return copy, []
    shapes, done, nodes = known_shapes(copy), [], []
    for node in copy.graph.node:
        shape = shapes.get(node.output[0]) if node.op_type in _DRAWN else None
        if shape is None or np.prod(shape) > MOST_DRAWN:
            nodes.append(node)
            continue
        done.append(node.name or node.output[0])
        name = f"{node.output[0]}_frozen"
        copy.graph.initializer.append(numpy_helper.from_array(_drawn(node, shape, len(done)), name))
        if node.op_type.endswith("Like"):
            nodes.append(helper.make_node("Shape", [node.input[0]], [f"{name}_shape"]))
            nodes.append(helper.make_node("Expand", [name, f"{name}_shape"], list(node.output)))
        else:
            nodes.append(helper.make_node("Identity", [name], list(node.output)))
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy, done


def _drawn(node: NodeProto, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    said: Mapping[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    stream = np.random.RandomState(seed)
    if "Normal" in node.op_type:
        values = stream.normal(said.get("mean", 0.0), said.get("scale", 1.0), shape)
    else:
        values = stream.uniform(said.get("low", 0.0), said.get("high", 1.0), shape)
    return values.astype(helper.tensor_dtype_to_np_dtype(said.get("dtype", TensorProto.FLOAT)))
