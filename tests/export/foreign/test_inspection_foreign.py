"""Files from elsewhere: what would really happen to them, held against ONNX Runtime itself, and how to import them."""

import shlex
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from cli import app
from core.bundle import read_manifest
from export.checks.flops import flops
from export.foreign.inspection import describe, inspect
from tests.export.foreign.foreign_models import CLASSES, Foreign

F, D = TensorProto.FLOAT, TensorProto.DOUBLE
ORT = ("ort", "triton", "web")


def graph(nodes, inputs, outputs, opset=18, extra=(), **weights) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in extra)]
    return helper.make_model(made, opset_imports=imports, ir_version=8)


def seen(model: onnx.ModelProto, tmp_path, name="theirs.onnx"):
    onnx.save(model, tmp_path / name)
    (found,) = inspect(tmp_path / name)
    return found


def runs(model: onnx.ModelProto) -> bool:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True


def conv(kind, number) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="first", pads=[1, 1, 1, 1])
    weight = np.ones((4, 3, 3, 3), number)
    return graph([node], [("x", kind, ["n", 3, 8, 8])], [("y", kind, ["n", 4, 8, 8])], w=weight)


def product(kind, number) -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="first")
    return graph([node], [("x", kind, ["n", 64])], [("y", kind, ["n", 64])], w=np.ones((64, 64), number))


def theirs(operator) -> onnx.ModelProto:
    node = helper.make_node(operator, ["x"], ["y"], domain="com.microsoft", name="soft")
    return graph([node], [("x", F, ["n", 4])], [("y", F, ["n", 4])], extra=["com.microsoft"])


def function(inside="Tanh") -> onnx.ModelProto:
    model = graph(
        [helper.make_node("Both", ["x"], ["y"], domain="mine")],
        [("x", F, ["n", 4])],
        [("y", F, ["n", 4])],
        extra=["mine"],
    )
    nodes = [helper.make_node(inside, ["a"], ["b"]), helper.make_node("Add", ["a", "b"], ["c"])]
    model.functions.append(helper.make_function("mine", "Both", ["a"], ["c"], nodes, [helper.make_opsetid("", 18)]))
    return model


MODELS = {
    "float32": conv(F, np.float32),
    "fp64 convolution": conv(D, np.float64),
    "fp64 product": product(D, np.float64),
    "fp16 convolution": conv(TensorProto.FLOAT16, np.float16),
    "com.microsoft, one that there is": theirs("Gelu"),
    "com.microsoft, one that there is not": theirs("Blur"),
    "a function": function(),
    "a function of what there is not": function("Blur"),
}


@pytest.mark.parametrize("case", MODELS)
def test_it_fits_onnx_runtime_where_onnx_runtime_takes_it(case, tmp_path):
    model = MODELS[case]
    found = seen(model, tmp_path)
    assert {name: found.targets[name] is None for name in ORT} == dict.fromkeys(ORT, runs(model))


def test_what_is_in_the_way_is_named(tmp_path):
    assert (
        "no Conv in double (node 'first'): convert the model to float32"
        in seen(MODELS["fp64 convolution"], tmp_path).targets["ort"]
    )
    found = seen(MODELS["com.microsoft, one that there is"], tmp_path)
    assert "of the domain 'com.microsoft', which TensorRT" in found.targets["trt10"]
    assert "of the domain 'com.microsoft', which Unity" in found.targets["unity"]
    found = seen(MODELS["a function"], tmp_path)
    assert found.targets["trt10"] is None  # its parser takes functions since TensorRT 9
    assert "function 'Both': inline it" in found.targets["unity"]
    assert "com.microsoft:Blur" in seen(MODELS["com.microsoft, one that there is not"], tmp_path).targets["ort"]


def test_weights_beside_it_count_and_are_named(tmp_path):
    model = product(F, np.float32)
    onnx.save(model, tmp_path / "theirs.onnx", save_as_external_data=True, location="theirs.data", size_threshold=0)
    (found,) = inspect(tmp_path / "theirs.onnx")
    assert found.beside == {"theirs.data": 64 * 64 * 4}
    assert found.parameters == 64 * 64
    assert [name for name, reason in found.targets.items() if reason] == ["unity-legacy"]
    whole = (tmp_path / "theirs.onnx").stat().st_size + 64 * 64 * 4
    rows = dict(describe(found))
    assert rows["size"].startswith(f"{whole:,} bytes, of which weights lie beside it, in theirs.data (16,384)")

    (tmp_path / "theirs.data").unlink()
    (found,) = inspect(tmp_path / "theirs.onnx")
    assert all("theirs.data" in reason and "not a file there" in reason for reason in found.targets.values())


@pytest.mark.parametrize("batch", [1, 4, "n"])
def test_flops_are_those_of_one_image_whatever_batch_it_was_made_for(batch):
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    weight = np.ones((4, 3, 3, 3), np.float32)
    model = graph([node], [("x", F, [batch, 3, 8, 8])], [("y", F, [batch, 4, 8, 8])], w=weight)
    assert flops(model) == 2 * 4 * 64 * 27


def test_advice_for_our_own_generators_is_not_given_for_others(tmp_path):
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.UINT8)
    found = seen(graph([node], [("x", F, ["n", 4])], [("y", TensorProto.UINT8, ["n", 4])]), tmp_path)
    for reason in filter(None, found.targets.values()):
        assert not any(ours in reason for ours in ("'export --target", "train a", "export again", "scale activations"))
    assert "--target unity" in found.targets["unity"]


GENERATORS = {
    "plain": Foreign(),
    "fixed batch": Foreign(batch=4, ones=2),
    "0 to 1": Foreign(low=0, high=1),
    "0 to 255, NHWC": Foreign(low=0, high=255, layout="NHWC"),
    "one-hot": Foreign(label="one-hot"),
    "a number": Foreign(label="number"),
    "truncation": Foreign(psi="row"),
    "old": Foreign(opset=7),
}


@pytest.mark.parametrize("case", GENERATORS)
def test_the_command_that_it_prints_makes_a_bundle(case, tmp_path, monkeypatch):
    foreign = GENERATORS[case]
    monkeypatch.chdir(tmp_path)
    onnx.save(foreign.model(), tmp_path / "it's theirs.onnx")
    (found,) = inspect(tmp_path / "it's theirs.onnx")
    assert dict(describe(found))["to import"] == found.command
    program, *arguments = shlex.split(found.command)
    assert program == "ganfoundry"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    spec = read_manifest(tmp_path / "exports" / "it's theirs").spec
    assert spec.value_range == (foreign.low, foreign.high)
    assert len(spec.classes) == (len(CLASSES) if foreign.label else 0)
    assert not spec.options.get("fixed")


def test_what_cannot_be_seen_is_a_word_in_capitals_and_what_is_no_generator_has_none(tmp_path):
    model = Foreign().model()
    model.graph.input.append(helper.make_tensor_value_info("strength", F, [3]))
    model.graph.node.append(helper.make_node("Identity", ["strength"], ["unused"]))
    assert "--fix strength=VALUE" in seen(model, tmp_path).command
    rows = replace(Foreign(), height=28, width=28, channels=1).model()
    rows.graph.node[-1].CopyFrom(helper.make_node("Identity", ["moved"], ["out"]))
    rows.graph.output[0].CopyFrom(helper.make_tensor_value_info("out", F, ["n", 784]))
    assert "--size 28x28" in seen(rows, tmp_path).command
    for case in ("fp64 product", "a function"):
        assert seen(MODELS[case], tmp_path).command is None
    assert "--range -1,1 --out" in seen(MODELS["float32"], tmp_path).command  # a picture in, a picture out


def test_a_bundle_of_ours_is_not_to_be_imported(exported):
    assert all(found.command is None for found in inspect(exported))
