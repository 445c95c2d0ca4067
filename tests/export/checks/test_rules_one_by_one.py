"""Each rule by itself: what it lets through, what it refuses, and what it says."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from core.contract import OPSET, SPEC_KEY, Port
from export.checks.rules import CONTROL_FLOW, RANDOM, RULES, Contract, tensors_of, values_for_one_image
from tests.export.checks.test_rules import FACTS, SPEC, move_weights_out, sound


def only(rule, model, contract=None):
    """What ``rule`` says of ``model``."""
    return RULES[rule](model, contract or Contract(SPEC, OPSET, facts=FACTS))


def test_what_is_said_names_the_culprit():
    model = sound()
    move_weights_out(model, "other.bin")
    assert only("weights inside", model) == "'matrix' lies in another file, 'other.bin'"
    model.graph.initializer[0].ClearField("external_data")
    assert only("weights inside", model) == "'matrix' lies in another file, '?'"
    model.graph.initializer[0].external_data.add(key="length", value="4")
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    assert only("weights inside", model) == "'matrix' lies in another file, '?'"

    model = sound()
    model.graph.node.add(op_type="Bernoulli", name="dice")
    assert only("plain nodes", model) == "Bernoulli node 'dice' draws its own random numbers"
    assert only("output", drawn("image")) is None
    assert only("inputs", onnx.ModelProto()) == ("none instead of z float32 [batch, 8], truncation float32 [batch, 1]")
    model = sound()
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 3
    found, wanted = (f"z float32 [batch, 8], truncation float32 [batch, {side}]" for side in (3, 1))
    assert only("inputs", model) == f"{found} instead of {wanted}"
    model.graph.output[0].type.tensor_type.elem_type = 999
    assert only("output", model) == "image type 999 [batch, 32, 32, 4] instead of image uint8 [batch, 32, 32, 4]"


def drawn(output):
    model = sound()
    model.graph.output[0].name = output
    return model


@pytest.mark.parametrize("operator", [*RANDOM, *CONTROL_FLOW])
def test_operators_that_a_graph_may_not_hold(operator):
    """By ONNX's own names, wherever they stand."""
    assert onnx.defs.has(operator)
    model = sound()
    model.graph.node.add(op_type=operator)
    assert operator in only("plain nodes", model)


def test_all_operators_that_are_random_or_hold_graphs_are_named():
    """The checker's own list: what has a seed, and what has a graph for an attribute."""
    schemas = {each.name: each for each in onnx.defs.get_all_schemas() if each.domain == ""}
    assert {name for name, each in schemas.items() if "seed" in each.attributes} - {"Dropout"} == set(RANDOM)
    holding = [
        name
        for name, each in schemas.items()
        if any(a.type == onnx.defs.OpSchema.AttrType.GRAPH for a in each.attributes.values())
    ]
    assert set(holding) == set(CONTROL_FLOW)


@pytest.mark.parametrize("kind", ["g", "graphs"])
def test_a_graph_in_any_attribute_is_control_flow(kind):
    branch = helper.make_graph([], "branch", [], [])
    model = sound()
    model.graph.node[1].attribute.append(helper.make_attribute("body", branch if kind == "g" else [branch]))
    assert only("plain nodes", model) == "MatMul node '' is control flow"


def test_the_names_of_the_standard_domain():
    for domain in ("", "ai.onnx"):
        model = sound()
        model.graph.node[0].domain = model.opset_import[0].domain = domain
        assert only("standard operators only", model) is None
    model.graph.node[-1].domain = "mine"
    assert only("standard operators only", model) == "it needs operators of the domain 'mine'"


@pytest.mark.parametrize("opsets", [[], [OPSET - 1], [OPSET, OPSET]])
def test_the_operator_set_is_there_once(opsets):
    model = sound()
    model.ClearField("opset_import")
    for version in opsets:
        model.opset_import.add(domain="", version=version)
    assert only("opset", model) == f"{opsets} instead of {OPSET}"


@pytest.mark.parametrize(
    ("spoil", "ending"),
    [
        (lambda nodes: nodes.pop(), "? then ?"),
        (lambda nodes: nodes.pop(4), "? then Cast"),
        (lambda nodes: nodes[5].ClearField("input"), "? then Cast"),
        (lambda nodes: nodes[4].ClearField("op_type"), "? then Cast"),
        (lambda nodes: nodes[5].ClearField("op_type"), "Transpose then ?"),
    ],
)
def test_what_a_graph_ends_with_is_said(spoil, ending):
    model = sound()
    spoil(model.graph.node)
    assert only("pixels last", model) == f"it ends with {ending}"


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (("Cast", TensorProto.FLOAT), None),
        (("Cast", TensorProto.FLOAT16), None),
        (("Cast", TensorProto.INT32), "'source' goes into Cast node 'first', not into a Cast to floats"),
        (("Transpose", None), "'source' goes into Transpose node 'first', not into a Cast to floats"),
    ],
)
def test_what_takes_pixels_makes_floats_of_them(first, says):
    """TensorRT for RTX 1.7 was given both orders: tests/export/tensorrt/test_tensorrt.py."""
    operator, kind = first
    node = helper.make_node(operator, ["source"], ["x"], "first", **({"to": kind} if kind else {}))
    source = helper.make_tensor_value_info("source", TensorProto.UINT8, ["batch", 4, 4, 3])
    graph = helper.make_graph([helper.make_node("Abs", ["other"], ["y"]), node], "g", [source], [])
    assert only("pixels first", helper.make_model(graph)) == says


def test_norms_that_look_at_one_image_or_at_what_they_learned_are_kept():
    for node in (
        helper.make_node("BatchNormalization", ["x"], ["y"]),
        helper.make_node("InstanceNormalization", ["x"], ["y"]),
    ):
        assert only("evaluation mode", helper.make_model(helper.make_graph([node], "g", [], []))) is None


def test_a_part_that_gives_no_pixels_may_end_as_it_likes():
    styles = Port("w", "float32", (2, 3), "")
    assert Contract(SPEC, OPSET, gives=styles).output == styles
    assert only("pixels last", onnx.ModelProto(), Contract(SPEC, OPSET, gives=styles)) is None
    assert Contract(SPEC, OPSET, takes=()).inputs == ()


@pytest.mark.parametrize(
    "part",
    [
        lambda model: model.graph,
        lambda model: model.graph.node[3],
        lambda model: model.graph.input[1],
        lambda model: model.graph.output[0],
        lambda model: model.graph.value_info[0],
        lambda model: model.graph.initializer[1],
    ],
)
@pytest.mark.parametrize("note", ["doc_string", "metadata_props"])
def test_notes_are_found_wherever_they_are(part, note):
    model = onnx.shape_inference.infer_shapes(sound())
    assert only("nothing of the machine", model) is None
    if note == "doc_string":
        part(model).doc_string = "x"
    else:
        part(model).metadata_props.add(key="trace", value="x")
    assert only("nothing of the machine", model) == f"{part(model).name!r} carries notes of the exporter"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/home/me", "/home/me"),
        ("at /opt/x/y", "/opt/x/y"),
        ("a=/opt/x", "=/opt/x"),
        ("(/opt/x)", "(/opt/x)"),
        ("file:/opt/x", ":/opt/x"),
        ("a,/opt/x", ",/opt/x"),
        ("'/opt/x'", "'/opt/x'"),
        ('"/opt/x"', '"/opt/x"'),
        ("from C:\\work", "C:\\work"),
        ("net.py line 3", "t.py line 3"),
        ('File "x', 'File "x'),
        ("/a/" + "b" * 90, "/a/" + "b" * 57),
        ("and/or", None),
        ("1/2", None),
        ("/half", None),
        ("https://example.org/a/b", None),
        ("happy", None),
        ("a.pyx", None),
    ],
)
def test_what_counts_as_a_path(text, path):
    model = sound()
    model.metadata_props.add(key="note", value=text)
    assert only("nothing of the machine", model) == (path and f"note holds a path, {path!r}")
    model = sound()
    model.doc_string = text
    assert only("nothing of the machine", model) == (path and f"doc_string holds a path, {path!r}")


def test_one_image_may_take_so_many_values_and_no_more():
    """2**28 for small images, 2**16 a pixel for large ones."""
    large = replace(SPEC, height=64, width=128)
    for spec, most in ((SPEC, 1 << 28), (large, 1 << 29)):
        for values, fine in ((most, True), (most + 1, False)):
            found = only("bounded", making(values), Contract(spec, OPSET))
            assert (found is None) == fine, values
    assert found == "one image takes more than 536,870,912 values on the way"


def making(values):
    """A graph that makes so many values and no others."""
    model = onnx.ModelProto(ir_version=10)
    model.opset_import.add(domain="", version=OPSET)
    model.graph.initializer.append(numpy_helper.from_array(np.array([values], np.int64), "sides"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["sides"], ["much"]))
    return model


def test_values_are_counted_for_one_image():
    """A style of 8, and 4096 values four times; each attribute counts as one, and the output is not on the way."""
    assert values_for_one_image(sound()) == 8 + 4 * 4096 + 2
    assert values_for_one_image(onnx.ModelProto()) == 0
    sparse = SparseTensorProto(values=numpy_helper.from_array(np.ones(1, np.float32), "thin"), dims=[5, 0, 7])
    model = onnx.ModelProto(ir_version=10)
    model.opset_import.add(domain="", version=OPSET)
    model.opset_import.add(domain="mine", version=1)
    model.graph.sparse_initializer.append(sparse)
    model.graph.node.append(helper.make_node("Mine", [], ["a"], domain="mine", one=sparse, two=[sparse, sparse]))
    assert values_for_one_image(model) == 4 * 35 + 1


def test_sizes_that_the_graph_computes_count_where_its_constants_tell_them():
    """A constant of 3 times 5 values: how many are multiplied out on the way, in one value more."""
    model = making(3)
    model.graph.initializer.append(numpy_helper.from_array(np.array([5], np.int64), "times"))
    model.graph.node.insert(0, helper.make_node("Mul", ["sides", "times"], ["product"]))
    model.graph.node[1].input[0] = "product"
    assert values_for_one_image(model) == 15 + 1


def test_what_shapes_cannot_be_had_of_counts_as_nothing():
    """The checker says what is wrong with it."""
    model = making(3)
    model.ClearField("opset_import")
    assert values_for_one_image(model) == 0
    assert only("onnx checker", model)


def test_every_tensor_is_looked_at():
    def named(name):
        return TensorProto(name=name)

    sparse = [SparseTensorProto(values=named(f"v{i}"), indices=named(f"i{i}")) for i in range(4)]
    model = onnx.ModelProto()
    model.graph.initializer.append(named("weight"))
    model.graph.sparse_initializer.append(sparse[0])
    for value in (named("one"), [named("two"), named("three")], sparse[1], sparse[2:]):
        model.graph.node.add(op_type="Constant").attribute.append(helper.make_attribute("value", value))
    names = [tensor.name for tensor in tensors_of(model) if tensor.name]
    assert names == ["weight", *(f"{kind}{i}" for i in range(4) for kind in "vi"), "one", "two", "three"]


def test_facts_and_spec_are_those_of_the_manifest():
    model = sound()
    assert only("provenance", model, Contract(SPEC, OPSET, facts={**FACTS, "more": "x"})) == (
        "more in the graph is not what the manifest says"
    )
    assert only("provenance", model, Contract(SPEC, OPSET)) is None
    assert only("spec", model, Contract(replace(SPEC, latent_dim=9), OPSET)) == (
        "the one in the graph is not the one in the manifest"
    )
    assert only("spec", onnx.ModelProto()) == f"its metadata lacks {SPEC_KEY}"


def test_the_checker_speaks_in_one_line(monkeypatch):
    def refuse(model, full_check):
        assert full_check
        raise refusals.pop()

    refusals = [ValueError(), ValueError("\nfirst\nsecond")]
    monkeypatch.setattr(onnx.checker, "check_model", refuse)
    assert only("onnx checker", sound()) == "first"
    assert only("onnx checker", sound()) == "ValueError()"


def test_shapes_that_contradict_each_other_are_for_the_full_checker():
    model = sound()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((9, 4096), np.float32), "matrix"))
    assert "Incompatible dimensions" in only("onnx checker", model)


def test_the_order_of_the_rules():
    """Those that need a sane model come after those that find out whether it is one."""
    assert next(iter(RULES)) == "weights inside"
    assert list(RULES)[-2:] == ["onnx checker", "bounded"]
