"""Each rule, broken on purpose: it must be that rule which notices."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from core.bundle import read_manifest
from core.contract import CHECKPOINT_KEY, OPSET, SPEC_KEY, TOOLS_KEY
from export.bundles.provenance import Origin
from export.checks.rules import RULES, Contract, broken_rules
from tests.export.conftest import SIZES, graph_of, tiny_spec


def add_random(model):
    model.graph.node.insert(0, helper.make_node("RandomNormal", [], ["noise"], "noise", shape=[1]))


def add_branch(model):
    branch = helper.make_graph([], "branch", [], [])
    model.graph.node.insert(0, helper.make_node("If", ["truncation"], ["x"], then_branch=branch, else_branch=branch))


def move_weights_out(model, location="../../etc/passwd"):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def move_a_constant_out(model):
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["hidden"], value=tensor))


def use_foreign_domain(model):
    model.graph.node[0].domain = "com.microsoft"


def import_foreign_domain(model):
    model.opset_import.add(domain="com.microsoft", version=1)


def define_function(model):
    model.functions.add(name="mine", domain="")


def raise_opset(model):
    model.opset_import[0].version = OPSET + 1


def add_scalar_input(model):
    model.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, []))


def freeze_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def rename_batch(model):
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "n"


def swap_inputs(model):
    first = model.graph.input.pop(0)
    model.graph.input.append(first)


def take_doubles(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def give_floats(model):
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT


def give_nonsense(model):
    model.graph.output[0].type.tensor_type.elem_type = 999


def cast_before_transpose(model):
    transpose, cast = model.graph.node[-2:]
    transpose.op_type, cast.op_type = cast.op_type, transpose.op_type


def take_bytes(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def drop_some(model):
    model.graph.node[2].op_type = "Dropout"


def norm_by_the_batch(model):
    model.graph.node[2].CopyFrom(helper.make_node("BatchNormalization", ["sum"], ["levels"], training_mode=1))


def give_the_norm_away(model):
    model.graph.node[2].CopyFrom(helper.make_node("BatchNormalization", ["sum"], ["levels", "mean", "variance"]))


def drop_everything(model):
    model.ClearField("graph")


def leave_trace(model):
    model.graph.node[0].metadata_props.add(key="trace", value="x")


def leave_doc(model):
    model.graph.node[0].doc_string = "made by"


def leave_path(model):
    model.metadata_props.add(key="source", value="/home/me/project/net")


def leave_windows_path(model):
    model.doc_string = r"from C:\work\net"


def change_spec(model):
    entry = next(p for p in model.metadata_props if p.key == SPEC_KEY)
    entry.value = entry.value.replace('"images_seen": 1234', '"images_seen": 99999')


def break_spec(model):
    next(p for p in model.metadata_props if p.key == SPEC_KEY).value = "{"


def lose_spec(model):
    model.ClearField("metadata_props")


def change_origin(model):
    next(p for p in model.metadata_props if p.key == CHECKPOINT_KEY).value = "0" * 64


def lose_origin(model):
    kept = [entry for entry in model.metadata_props if entry.key != TOOLS_KEY]
    model.ClearField("metadata_props")
    model.metadata_props.extend(kept)


def hide_a_sparse_tensor_elsewhere(model):
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    sparse = SparseTensorProto(values=tensor, dims=[4])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["hidden"], sparse_value=sparse))


def cut_edge(model):
    model.graph.node[3].input[0] = "nowhere"


def ask_for_more_than_memory(model):
    """Gigabytes of one constant, from a few bytes."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 20, 1 << 20, 1 << 20], np.int64), "sides"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["sides"], ["much"]))


def hold_a_sparse_weight(model):
    one = numpy_helper.from_array(np.ones(1, np.float32), "thin")
    where = numpy_helper.from_array(np.zeros(1, np.int64), "")
    model.graph.sparse_initializer.append(SparseTensorProto(values=one, indices=where, dims=[1 << 62, 1 << 62]))


BREAKS = {
    "plain nodes": [add_random, add_branch],
    "weights inside": [move_weights_out, move_a_constant_out, hide_a_sparse_tensor_elsewhere],
    "standard operators only": [use_foreign_domain, import_foreign_domain, define_function],
    "opset": [raise_opset],
    "no scalar input": [add_scalar_input],
    "inputs": [freeze_batch, swap_inputs, take_doubles, drop_everything],
    "output": [rename_batch, give_floats, give_nonsense],
    "pixels first": [take_bytes],
    "pixels last": [cast_before_transpose],
    "evaluation mode": [drop_some, norm_by_the_batch, give_the_norm_away],
    "nothing of the machine": [leave_trace, leave_doc, leave_path, leave_windows_path],
    "spec": [change_spec, break_spec, lose_spec],
    "provenance": [change_origin, lose_origin],
    "onnx checker": [cut_edge],
    "bounded": [ask_for_more_than_memory, hold_a_sparse_weight],
}

SPEC = tiny_spec("dcgan", SIZES["square RGBA"])
FACTS = {CHECKPOINT_KEY: "c" * 64, TOOLS_KEY: "{}"}


def sound():
    """A graph that keeps every rule, by hand: z times truncation times a matrix is every pixel."""
    size = SPEC.channels * SPEC.height * SPEC.width
    shape = np.array([-1, SPEC.channels, SPEC.height, SPEC.width], np.int64)
    constants = {"matrix": np.ones((SPEC.latent_dim, size), np.float32), "shape": shape}
    nodes = [
        helper.make_node("Mul", ["z", "truncation"], ["style"]),
        helper.make_node("MatMul", ["style", "matrix"], ["sum"]),
        helper.make_node("Abs", ["sum"], ["levels"]),
        helper.make_node("Reshape", ["levels", "shape"], ["chw"]),
        helper.make_node("Transpose", ["chw"], ["hwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["hwc"], ["image"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "sound",
        [helper.make_tensor_value_info(*port) for port in (("z", 1, ["batch", 8]), ("truncation", 1, ["batch", 1]))],
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SPEC.height, SPEC.width, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    helper.set_model_props(model, {SPEC_KEY: SPEC.to_json(), **FACTS})
    return model


def complaints(model, **facts):
    return list(broken_rules(model, Contract(SPEC, OPSET, facts=facts)))


def test_a_graph_that_is_exported_keeps_every_rule(exported):
    assert complaints(graph_of(exported), **Origin.told_by(read_manifest(exported)).metadata()) == []


@pytest.mark.parametrize(("rule", "spoil"), [(r, s) for r, spoils in BREAKS.items() for s in spoils])
def test_a_broken_rule_is_noticed(rule, spoil):
    model = sound()
    assert complaints(model, **FACTS) == []
    spoil(model)
    found = complaints(model, **FACTS)
    assert any(complaint.startswith(f"{rule}: ") for complaint in found), found
    assert all("\n" not in complaint for complaint in found)


def test_every_rule_is_tested():
    assert set(BREAKS) == set(RULES)


def test_web_addresses_are_not_paths():
    model = sound()
    model.metadata_props.add(key="licence", value="CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/")
    assert complaints(model) == []


@pytest.mark.parametrize("name", [b"batch", b"image", b"Cast", b"ganfoundry_spec", b"Transpose"])
def test_text_that_is_not_utf_8(name):
    data = sound().SerializeToString().replace(name, b"\xff" * len(name))
    assert all("\n" not in complaint for complaint in complaints(onnx.load_model_from_string(data)))


def test_an_empty_model_breaks_rules_and_nothing_else():
    assert complaints(onnx.ModelProto())


WORDS = [
    {"classes": ("snake.py", r"C:\dogs", "/a/b")},
    {"options": {"layout": "NCHW", "fixed": {"/mapping/psi": "0.7"}}},
    {"provenance": replace(SPEC.provenance, data_attribution="Sprites by /u/pixelfan", data_licence="/usr/share/CC0")},
    {"provenance": replace(SPEC.provenance, data_name="snake.py")},
]


@pytest.mark.parametrize("words", WORDS)
def test_what_a_person_said_may_look_like_a_path(exported, words):
    """A person's words are no leak of this machine: only what the machine wrote is searched."""
    spec, model = replace(SPEC, **words), graph_of(exported)
    next(entry for entry in model.metadata_props if entry.key == SPEC_KEY).value = spec.to_json()
    found = list(broken_rules(model, Contract(spec, OPSET)))
    assert not any(complaint.startswith("nothing of the machine") for complaint in found)


@pytest.mark.parametrize("written", ["preset", "code_version"])
def test_a_path_that_the_machine_wrote_into_the_spec_is_found(exported, written):
    spec, model = SPEC.with_provenance(**{written: "/home/me/presets"}), graph_of(exported)
    next(entry for entry in model.metadata_props if entry.key == SPEC_KEY).value = spec.to_json()
    found = list(broken_rules(model, Contract(spec, OPSET)))
    assert any(complaint.startswith("nothing of the machine") for complaint in found)
