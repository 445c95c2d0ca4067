"""Reading and cutting graphs that are a few nodes by hand."""

import numpy as np
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from export.onnx_graph import (
    array_of,
    attribute_of,
    constant_names,
    constant_tensors,
    constants_of,
    inputs_of,
    leave_out_unused,
    opset_of,
    sides_of,
)


def graph():
    """``y = relu(x + w + c)``; a weight and two nodes are unused, and one constant is a list of numbers."""
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array([2.0], np.float32))),
        helper.make_node("Constant", [], ["numbers"], value_ints=[1, 2]),
        helper.make_node("Add", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "c"], ["b"]),
        helper.make_node("Neg", ["a"], ["unused"]),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    weights = [numpy_helper.from_array(np.full(3, n, np.float32), name) for n, name in ((1, "w"), (4, "unused_weight"))]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "y")]
    return helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)


def test_what_is_always_the_same():
    found = graph()
    assert constant_names(found) == {"c", "numbers", "w", "unused_weight"}
    assert set(constant_tensors(found)) == {"c", "w", "unused_weight"}  # a list of numbers is no tensor
    assert {name: value.tolist() for name, value in constants_of(found).items()} == {
        "c": [2.0],
        "w": [1.0] * 3,
        "unused_weight": [4.0] * 3,
    }


def test_what_lies_in_another_file_is_not_opened():
    found = graph()
    weight = found.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/dev/zero")
    assert array_of(weight) is None
    assert array_of(None) is None
    assert array_of(found.initializer[1]).tolist() == [4.0] * 3
    assert set(constants_of(found)) == {"c", "unused_weight"}
    assert "w" in constant_tensors(found)


def test_what_no_output_needs_is_left_out_and_the_rest_keeps_its_order():
    cut = graph()
    leave_out_unused(cut)
    assert [node.output[0] for node in cut.node] == ["c", "a", "b", "y"]
    assert [tensor.name for tensor in cut.initializer] == ["w"]
    assert cut.node[1] == graph().node[2]


def test_an_attribute_or_its_default():
    node = helper.make_node("Concat", ["a", "b"], ["c"], axis=1)
    node.attribute.append(AttributeProto(name="empty"))
    assert attribute_of(node, "axis", 0) == 1
    assert attribute_of(node, "other", "default") == "default"
    assert attribute_of(node, "empty", 7) == 7


def test_an_input_with_a_weight_of_its_name_need_not_be_given():
    found = graph()
    found.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]))
    assert [value.name for value in inputs_of(found)] == ["x"]


def test_sides_that_are_open_are_none():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, None, 0])
    assert sides_of(value) == [None, 3, None, 0]


def test_the_opset_is_that_of_the_standard_operators():
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 99)]
    assert opset_of(helper.make_model(graph(), opset_imports=versions)) == 17
    named = helper.make_model(graph(), opset_imports=[helper.make_opsetid("ai.onnx", 15)])
    assert opset_of(named) == 15
    del named.opset_import[:]
    assert opset_of(named) == 0
