"""Random numbers inside a foreign graph, drawn once and for all: a seed must always mean the same picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.checks.flops import Shapes, known_shapes

MOST_DRAWN = 1 << 26  # numbers
_DRAWN = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_CHOSEN = ("Bernoulli", "Multinomial")  # by chances that the graph computes


def freeze_randoms(model: ModelProto) -> tuple[ModelProto, list[str]]:
    """A copy of ``model`` in which each random value is a constant, the same for every image; the nodes' names.

    Noise like another value is drawn for one image and repeated over the batch. What is chosen by chance is a function
    of its chances and of such noise. What has no shape that is known beforehand is left as it is.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    if not any(node.op_type in (*_DRAWN, *_CHOSEN) for node in copy.graph.node):
        return copy, []

    shapes = known_shapes(copy)
    done: list[str] = []
    nodes: list[NodeProto] = []
    for node in copy.graph.node:
        if node.op_type in _CHOSEN and (made := _chosen(node, copy, shapes, len(done) + 1)):
            done.append(node.name or node.output[0])
            nodes += made
            continue

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


def _chosen(node: NodeProto, model: ModelProto, shapes: Shapes, seed: int) -> list[NodeProto]:
    """Bernoulli: whether uniform noise is below the chance. Multinomial: by the Gumbel-max trick (Gumbel 1954), the
    largest of logits plus noise, which has their distribution. The same noise for every image; nothing where the shape
    of the chances is not known."""
    chances, out = node.input[0], node.output[0]
    said: Mapping[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    samples = said.get("sample_size", 1)
    shape = shapes.get(chances)
    if not shape or np.prod(shape) * samples > MOST_DRAWN:
        return []

    noise, made, last = f"{out}_frozen", f"{out}_chosen", f"{out}_last"
    uniform = np.random.RandomState(seed).uniform(1e-7, 1, (1, *shape[1:], samples)).astype(np.float32)
    if node.op_type == "Bernoulli":
        dtype = said.get("dtype", TensorProto.FLOAT)
        model.graph.initializer.append(numpy_helper.from_array(uniform[..., 0], noise))
        nodes = [
            helper.make_node("Cast", [chances], [f"{out}_chance"], to=TensorProto.FLOAT),
            helper.make_node("Less", [noise, f"{out}_chance"], [made]),
        ]
    else:
        dtype = said.get("dtype", TensorProto.INT32)
        model.graph.initializer.append(numpy_helper.from_array(-np.log(-np.log(uniform)), noise))
        model.graph.initializer.append(numpy_helper.from_array(np.array([-1, shape[1], 1], np.int64), last))
        nodes = [
            helper.make_node("Cast", [chances], [f"{out}_chance"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", [f"{out}_chance", last], [f"{out}_logits"]),
            helper.make_node("Add", [f"{out}_logits", noise], [f"{out}_sum"]),
            helper.make_node("ArgMax", [f"{out}_sum"], [made], axis=1, keepdims=0),
        ]

    return [*nodes, helper.make_node("Cast", [made], [out], to=dtype)]


def _drawn(node: NodeProto, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    said: Mapping[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    stream = np.random.RandomState(seed)
    if "Normal" in node.op_type:
        values = stream.normal(said.get("mean", 0.0), said.get("scale", 1.0), shape)
    else:
        values = stream.uniform(said.get("low", 0.0), said.get("high", 1.0), shape)
    return values.astype(helper.tensor_dtype_to_np_dtype(said.get("dtype", TensorProto.FLOAT)))
