"""Each rewrite on a layer of its own: other nodes, the same numbers, and nothing where it does not hold."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node as n

from core.contract import OPSET
from core.onnx.session import open_session
from export.graphs.optimise import REWRITES, optimised

DRAW = np.random.default_rng(0)
DOUBLING = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
BILINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
TWICE = np.array([1, 1, 2, 2], np.float32)
AXES = np.array([2, 3])


def weights(*shape):
    return (DRAW.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)


class Layer(NamedTuple):
    """A small graph: the rewrite it is for, nodes from ``x`` (and ``s``) to ``y``, constants, sides of the inputs."""

    rewrite: str
    nodes: list
    constants: dict
    x: tuple
    y: tuple
    s: tuple = ()

    @property
    def model(self):
        values = {"x": self.x, **({"s": self.s} if self.s else {})}
        inputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["n", *v]) for k, v in values.items()]
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *self.y])
        stored = [numpy_helper.from_array(np.asarray(v), k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, "layer", inputs, [output], stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model

    @property
    def kinds(self):
        return Counter(node.op_type for node in optimised(self.model, [self.rewrite]).graph.node)


def transposed(inputs, outputs, height, width, activation=None):
    last = "t" if activation else "y"
    nodes = [n("ConvTranspose", ["x", "w", "b"], [last], **DOUBLING)]
    if activation == "LeakyRelu":
        nodes.append(n(activation, ["t"], ["y"], alpha=0.3))
    elif activation:
        nodes.append(n(activation, ["t"], ["y"]))
    constants = {"w": weights(inputs, outputs, 4, 4), "b": weights(outputs)}
    name = "doubling is by sub-pixel convolution"
    return Layer(name, nodes, constants, (inputs, height, width), (outputs, 2 * height, 2 * width))


def scalars(kind, number, order=("t", "c")):
    nodes = [n("Conv", ["x", "w", "b"], ["t"], pads=[1, 1, 1, 1]), n(kind, order, ["y"])]
    constants = {"w": weights(3, 5, 3, 3), "b": weights(3), "c": np.float32(number)}
    return Layer("a number after a linear layer is in its weights", nodes, constants, (5, 4, 6), (3, 4, 6))


def residual(narrow, wide):
    nodes = [
        n("Conv", ["x", "c", "bc"], ["h"]),
        n("Add", ["x", "h"], ["t"]),
        n("Conv", ["t", "n", "bn"], ["y"]),
    ]
    constants = {"c": weights(wide, wide, 1, 1), "bc": weights(wide), "n": weights(narrow, wide, 1, 1)}
    constants["bn"] = weights(narrow)
    return Layer("no wide sum is made to be narrowed", nodes, constants, (wide, 4, 6), (narrow, 4, 6))


def mixed(inputs, mode):
    nodes = [n("Resize", ["x", "", "r"], ["t"], **mode), n("Conv", ["t", "w", "b"], ["y"])]
    constants = {"r": TWICE, "w": weights(3, inputs, 1, 1), "b": weights(3)}
    return Layer("channels are mixed before doubling", nodes, constants, (inputs, 4, 6), (3, 8, 12))


def nearest(pads=1):
    nodes = [
        n("Resize", ["x", "", "r"], ["t"], **NEAREST),
        n("Conv", ["t", "w", "b"], ["y"], kernel_shape=[3, 3], pads=[pads] * 4),
    ]
    constants = {"r": TWICE, "w": weights(3, 5, 3, 3), "b": weights(3)}
    name = "nearest neighbours are part of the convolution after"
    return Layer(name, nodes, constants, (5, 4, 6), (3, 6 + 2 * pads, 10 + 2 * pads))


def to_an_image(outputs, kernel=3, height=6, width=4, bias=True, **other):
    nodes = [n("Conv", ["x", "w", "b"][: 2 + bias], ["y"], pads=[kernel // 2] * 4, **other)]
    constants = {"w": weights(outputs, 9, kernel, kernel), "b": weights(outputs)}
    strides = other.get("strides", [1, 1])
    made = (outputs, -(-height // strides[0]), -(-width // strides[1]))
    return Layer("an image is made four pixels at a time", nodes, constants, (9, height, width), made)


def beside(maps, source, axis=1):
    """A convolution of maps beside a source, or, along another axis, above it."""
    nodes = [n("Slice", ["x", "zero", "few", "one"], ["s"]), n("Relu", ["x"], ["m"])]
    nodes += [n("Concat", ["m", "s"], ["t"], axis=axis), n("Conv", ["t", "w", "b"], ["y"], pads=[1, 1, 1, 1])]
    constants = {"zero": np.array([0]), "few": np.array([source]), "one": np.array([1])}
    constants |= {"w": weights(5, maps + source, 3, 3), "b": weights(5)}
    name = "maps and the source beside them are not joined"
    return Layer(name, nodes, constants, (maps, 6, 4), (5, 6, 4))


def first(bias):
    nodes = [n("ConvTranspose", ["x", "w", "b"][: 2 + bias], ["y"], kernel_shape=[4, 6])]
    constants = {"w": weights(7, 5, 4, 6), **({"b": weights(5)} if bias else {})}
    return Layer("the first layer is a matrix product", nodes, constants, (7, 1, 1), (5, 4, 6))


def constant_input(height, width):
    nodes = [
        n("Unsqueeze", ["s", "axes"], ["u"]),
        n("Mul", ["k", "u"], ["t"]),
        n("Conv", ["t", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        n("Add", ["x", "c"], ["y"]),
    ]
    constants = {"axes": AXES, "k": DRAW.standard_normal((1, 5, height, width)).astype(np.float32)}
    constants |= {"w": weights(3, 5, 3, 3), "b": weights(3)}
    sides = (3, height, width)
    return Layer("what the constant input gives is made once", nodes, constants, sides, sides, (5,))


def styled(channels):
    nodes = [
        n("Unsqueeze", ["s", "axes"], ["u"]),
        n("Mul", ["x", "u"], ["t"]),
        n("Conv", ["t", "w", "b"], ["y"]),
    ]
    constants = {"axes": AXES, "w": weights(channels, 5, 1, 1), "b": weights(channels)}
    return Layer("an image is the product with styled weights", nodes, constants, (5, 4, 6), (channels, 4, 6), (5,))


FACTOR_AFTER = Layer(
    "a factor by channel is applied after doubling",
    [
        n("Conv", ["x", "w"], ["t"], pads=[1, 1, 1, 1]),
        n("Unsqueeze", ["s", "axes"], ["u"]),
        n("Mul", ["t", "u"], ["v"]),
        n("Resize", ["v", "", "r"], ["y"], **BILINEAR),
    ],
    {"w": weights(3, 5, 3, 3), "axes": AXES, "r": TWICE},
    (5, 4, 6),
    (3, 8, 12),
    (3,),
)
FACTOR_BEFORE = Layer(
    "a factor before a linear layer is in its weights",
    [n("Mul", ["x", "c"], ["t"]), n("Gemm", ["t", "w", "b"], ["y"], transB=1)],
    {"c": np.float32(0.3), "w": weights(4, 5), "b": weights(4)},
    (5,),
    (4,),
)
TERMS = Layer(
    "bias and fixed noise are one term",
    [n("Add", ["x", "b"], ["t"]), n("Add", ["t", "e"], ["y"])],
    {"b": weights(1, 5, 1, 1), "e": weights(1, 1, 4, 6)},
    (5, 4, 6),
    (5, 4, 6),
)

# What each layer becomes: the operators, but for those that only arrange.
ARRANGING = {"Reshape", "Unsqueeze", "Concat"}
HOLDS = {
    "sub-pixel": (transposed(16, 32, 4, 6), {"Conv": 4}),
    "sub-pixel of odd channels": (transposed(5, 17, 4, 6), {"Conv": 4}),
    "sub-pixel and ReLU": (transposed(16, 16, 5, 3, "Relu"), {"Conv": 4, "Relu": 4}),
    "sub-pixel and leaky ReLU": (transposed(32, 16, 4, 4, "LeakyRelu"), {"Conv": 4, "LeakyRelu": 4}),
    "times a number": (scalars("Mul", 0.3), {"Conv": 1}),
    "plus a number": (scalars("Add", 0.3), {"Conv": 1}),
    "minus a number": (scalars("Sub", 0.3), {"Conv": 1}),
    "narrowed residual": (residual(3, 5), {"Conv": 2, "Add": 1}),
    "mixed before bilinear": (mixed(256, BILINEAR), {"Conv": 1, "Resize": 1}),
    "mixed before nearest": (mixed(256, NEAREST), {"Conv": 1, "Resize": 1}),
    "nearest": (nearest(), {"ConvTranspose": 1}),
    "first layer": (first(bias=True), {"Gemm": 1}),
    "first layer without bias": (first(bias=False), {"Gemm": 1}),
    "constant input": (constant_input(4, 3), {"Gemm": 1, "Add": 1}),
    "styled image": (styled(4), {"Mul": 1, "MatMul": 1, "Add": 1}),
    "factor after doubling": (FACTOR_AFTER, {"Conv": 1, "Resize": 1, "Mul": 1}),
    "factor before": (FACTOR_BEFORE, {"Gemm": 1}),
    "terms": (TERMS, {"Add": 1}),
    "to RGBA": (to_an_image(4), {"Conv": 1, "DepthToSpace": 1}),
    "to grey, by a wide kernel": (to_an_image(1, 7, 8, 10), {"Conv": 1, "DepthToSpace": 1}),
    "to RGB without bias": (to_an_image(3, 5, bias=False), {"Conv": 1, "DepthToSpace": 1}),
    "beside a source": (beside(32, 4), {"Slice": 1, "Relu": 1, "Conv": 2, "Add": 1}),
}
# Layers that look alike and are left as they are.
LEFT = {
    "sub-pixel of few channels": (transposed(16, 4, 4, 4), {"ConvTranspose": 1}),
    "a number minus": (scalars("Sub", 0.3, ("c", "t")), {"Conv": 1, "Sub": 1}),
    "a residual that stays as wide": (residual(5, 5), {"Conv": 2, "Add": 1}),
    "few inputs to mix": (mixed(16, BILINEAR), {"Conv": 1, "Resize": 1}),
    "nearest without padding": (nearest(pads=0), {"Conv": 1, "Resize": 1}),
    "a constant input of many pixels": (constant_input(4, 5), {"Mul": 1, "Conv": 1, "Add": 1}),
    "to five channels": (to_an_image(5), {"Conv": 1}),
    "to an image of odd sides": (to_an_image(4, height=5), {"Conv": 1}),
    "to an image with strides": (to_an_image(4, strides=[2, 2], height=8, width=12), {"Conv": 1}),
    "to an image by one pixel each": (to_an_image(4, 1), {"Conv": 1}),
    "beside a source of many channels": (beside(32, 5), {"Slice": 1, "Relu": 1, "Conv": 1}),
    "maps of no whole blocks": (beside(24, 4), {"Slice": 1, "Relu": 1, "Conv": 1}),
    "a wide styled image": (styled(8), {"Mul": 1, "Conv": 1}),
}


def results(model, batch):
    session = open_session(model.SerializeToString(), threads=1)
    draw = np.random.default_rng(batch)
    inputs = {i.name: draw.standard_normal((batch, *i.shape[1:])).astype(np.float32) for i in session.get_inputs()}
    return session.run(["y"], inputs)[0]


@pytest.mark.parametrize("name", HOLDS)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_same_numbers_from_other_nodes(name, batch):
    layer, kinds = HOLDS[name]
    assert {kind: count for kind, count in layer.kinds.items() if kind not in ARRANGING} == kinds
    expected = results(layer.model, batch)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(results(optimised(layer.model, [layer.rewrite]), batch), expected, atol=2e-6, rtol=1e-5)
    np.testing.assert_allclose(results(optimised(layer.model), batch), expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", LEFT)
def test_what_only_looks_alike_is_left(name):
    layer, kinds = LEFT[name]
    assert {kind: count for kind, count in layer.kinds.items() if kind not in ARRANGING} == kinds
    before = [node.op_type for node in optimised(layer.model, []).graph.node]
    assert [node.op_type for node in optimised(layer.model, [layer.rewrite]).graph.node] == before


def test_every_rewrite_is_tested():
    assert {layer.rewrite for layer, _ in HOLDS.values()} == set(REWRITES)


def test_a_mixed_map_is_doubled_after_it_is_mixed():
    layer, _ = HOLDS["mixed before bilinear"]
    assert [node.op_type for node in optimised(layer.model, [layer.rewrite]).graph.node] == ["Conv", "Resize"]


def test_batch_norm_and_sums_of_weights_are_folded_in():
    norm = {name: np.abs(weights(3)) + 0.5 for name in ("scale", "bias", "mean", "var")}
    nodes = [
        n("Mul", ["w0", "w0"], ["squares"]),
        n("ReduceSum", ["squares", "axes"], ["energy"], keepdims=0),
        n("ConvTranspose", ["x", "w0"], ["t"], **DOUBLING),
        n("BatchNormalization", ["t", "scale", "bias", "mean", "var"], ["u"]),
        n("Unsqueeze", ["energy", "axes"], ["e"]),
        n("ReduceSum", ["e", "first"], ["f"], keepdims=1),
        n("Mul", ["u", "f"], ["y"]),
    ]
    constants = {"w0": weights(5, 3, 4, 4), "axes": AXES, "first": np.array([0]), **norm}
    layer = Layer("", nodes, constants, (5, 4, 6), (3, 8, 12))
    model = optimised(layer.model, [])
    assert [node.op_type for node in model.graph.node] == ["ConvTranspose", "Mul"]
    np.testing.assert_allclose(results(model, 2), results(layer.model, 2), atol=2e-6, rtol=1e-5)
