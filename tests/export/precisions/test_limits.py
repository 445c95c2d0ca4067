"""The distance and what is allowed of it, and what makes a file one of a precision: by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import FP16, INT8
from core.contract import OPSET
from core.difference import VisibleDifference
from export.precisions.limits import EXPERIMENTAL, FILES, LIMITS, TRUE_HALVES, Limits, holds, kid_complaint, tidied

FLOAT = TensorProto.FLOAT


def test_distance_is_that_of_what_is_seen():
    clear = np.zeros((1, 2, 2, 4), np.uint8)
    coloured = clear.copy()
    coloured[..., 0] = 255  # under alpha 0: nobody sees it
    assert VisibleDifference.between(coloured, clear) == VisibleDifference(0, 0, 100)
    grey = np.full((1, 2, 2, 1), 10, np.uint8)
    other = grey.copy()
    other[0, 0, 0] = 14
    found = VisibleDifference.between(other, grey)
    assert (found.mean, found.most) == (1.0, 4.0)
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / 4), abs=0.01)
    assert Limits(most=4).complaint(VisibleDifference.between(grey[:, :1], grey))


def test_what_is_allowed():
    assert {"fp16": Limits(mean=0.25, most=4), "int8": Limits(psnr=35.0)} == LIMITS
    assert Limits(mean=0.25, most=8) == TRUE_HALVES
    assert Limits() == Limits(None, None, None)
    assert ({"fp16": FP16, "int8": INT8}, {"int8"}) == (FILES, EXPERIMENTAL)
    edge, beyond = VisibleDifference(0.25, 8, 35.0), VisibleDifference(0.26, 9, 34.0)
    assert [limits.complaint(edge) is None for limits in (TRUE_HALVES, LIMITS["int8"])] == [True, True]
    assert [limits.complaint(beyond) is None for limits in (TRUE_HALVES, LIMITS["int8"])] == [False, False]


def model_with(*initializers, constants=()):
    nodes = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in constants]
    nodes.append(helper.make_node("Identity", ["z"], ["image"]))
    ports = [helper.make_tensor_value_info(name, FLOAT, ["batch", 4]) for name in ("z", "image")]
    graph = helper.make_graph(nodes, "held", ports[:1], ports[1:], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", np.float16), ("int8", np.int8)])
def test_a_precision_is_that_of_weights_and_not_of_a_scale(precision, dtype):
    matrix = numpy_helper.from_array(np.ones((2, 2), dtype), "matrix")
    row = numpy_helper.from_array(np.ones(2, dtype), "row")
    full = numpy_helper.from_array(np.ones((2, 2), np.float32), "full")
    assert holds(model_with(full, matrix), precision)
    assert holds(model_with(full, constants=(row, matrix)), precision)
    assert not holds(model_with(full, row, constants=(row, full)), precision)
    hidden = model_with(full)
    hidden.graph.node[-1].attribute.append(helper.make_attribute("value", matrix))  # of no Constant
    assert not holds(hidden, precision)


def test_what_is_derived_is_tidied_to_the_metadata_of_its_original():
    original, derived = model_with(), model_with(constants=(numpy_helper.from_array(np.ones(2, np.float32), "c"),))
    for model, word in ((original, "ours"), (derived, "theirs")):
        model.producer_name, model.producer_version = word, word
        model.metadata_props.add(key=word, value=word)
    original.ir_version, derived.ir_version = 8, 9
    derived.opset_import.add(domain="com.microsoft", version=1)
    weight = derived.graph.initializer.add()
    weight.CopyFrom(numpy_helper.from_array(np.ones(2, np.float32), "weight"))
    for part in (derived, derived.graph, derived.graph.node[0], weight):
        part.doc_string = "made by"
        if part is not derived:
            part.metadata_props.add(key="trace", value="x")
    derived.graph.value_info.append(helper.make_tensor_value_info("old", FLOAT, [9]))
    found = tidied(derived, original)
    assert (found.producer_name, found.producer_version, found.ir_version) == ("ours", "ours", 8)
    assert [(entry.key, entry.value) for entry in found.metadata_props] == [("ours", "ours")]
    assert [(entry.domain, entry.version) for entry in found.opset_import] == [("", OPSET)]
    assert [value.name for value in found.graph.value_info] == ["c"]
    for part in (found, found.graph, *found.graph.node, *found.graph.initializer):
        assert not part.doc_string
        assert part is found or not part.metadata_props


def test_what_is_derived_must_have_shapes_that_fit():
    derived = model_with(numpy_helper.from_array(np.ones((5, 4), np.float32), "five"))
    derived.graph.node[0].CopyFrom(helper.make_node("MatMul", ["z", "five"], ["image"]))  # of a z of 4
    with pytest.raises(onnx.shape_inference.InferenceError):
        tidied(derived, model_with())


@pytest.mark.parametrize(
    ("distance", "limits", "says"),
    [
        (VisibleDifference(0.25, 4, 35), Limits(0.25, 4, 35), None),
        (VisibleDifference(0.2501, 1, 60), Limits(0.25, 4), "mean error is 0.250"),
        (VisibleDifference(0.1, 4.1, 60), Limits(0.25, 4), "4.1 of 255 levels off, 4 is allowed"),
        (VisibleDifference(9, 99, 34.9), Limits(psnr=35.0), "34.9 dB, 35 is the least"),
        (VisibleDifference(9, 99, 1), Limits(), None),
        (VisibleDifference(9, 1, 99), Limits(most=1, psnr=99), None),
    ],
)
def test_limits_say_by_how_much(distance, limits, says):
    complaint = limits.complaint(distance)
    assert complaint is None if says is None else says in complaint


@pytest.mark.parametrize(("kid", "fine"), [(0.1, True), (0.1099, True), (0.0901, True), (0.111, False), (0.089, False)])
def test_kid_within_a_tenth(kid, fine):
    assert (kid_complaint(kid, 0.1) is None) == fine
    assert kid_complaint(0.0005, -0.0004) is None  # less than so few samples can tell
    assert kid_complaint(0.0, 0.0015) == "its KID is 0.0000, fp32's 0.0015: 0.0010 apart is allowed"
    assert kid_complaint(-0.105, -0.1) is None
    assert kid_complaint(0.001, 0.0) is None  # on the edge
