"""Graphs that nothing frees of their batch: a bundle that makes one image at a time, and everyone knows it."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from cli import app
from core.bundle import CARD, GRAPH, read_manifest
from core.contract import ONE, sample_inputs
from core.difference import levels_apart
from core.onnx.session import open_session, run
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints
from tests.export.foreign.foreign_models import CLASSES, Foreign

PLAIN = ImportHints((-1, 1))


def stuck(batch: int, **how) -> onnx.ModelProto:
    """Goes on with all of its latents' numbers in one row, which no other batch has."""
    model = Foreign(batch=batch, **how).model()
    model.graph.node[0].CopyFrom(helper.make_node("Reshape", ["z", "together"], ["row"]))
    model.graph.node.insert(1, helper.make_node("Mul", ["row", "factors"], ["scaled_row"]))
    model.graph.node.insert(2, helper.make_node("Reshape", ["scaled_row", "apart"], ["flat"]))
    factors = np.tile(np.linspace(0.5, 1.5, 8, dtype=np.float32), batch)
    model.graph.initializer.append(numpy_helper.from_array(factors, "factors"))
    for name, shape in (("together", [8 * batch]), ("apart", [batch, 8])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
    return model


def images_of(model: onnx.ModelProto, z: np.ndarray, **more) -> np.ndarray:
    """Those of the file itself, each row in the first place of a batch."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = session.get_inputs()[0].shape[0]
    feeds = [{name: np.repeat(v[i : i + 1], batch, 0) for name, v in {"z": z, **more}.items()} for i in range(len(z))]
    values = np.concatenate([session.run(None, feed)[0][:1] for feed in feeds]).transpose(0, 2, 3, 1)
    return np.rint((values.astype(np.float64).clip(-1, 1) + 1) / 2 * 255).astype(np.uint8)


def one_image() -> onnx.ModelProto:
    """``(8,)`` to ``(h, w, c)``, without any batch."""
    weight = np.random.RandomState(1).standard_normal((8, 180)).astype(np.float32) / 3
    nodes = [
        helper.make_node("MatMul", ["z", "weight"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["total"]),
        helper.make_node("Reshape", ["total", "rows"], ["table"]),
        helper.make_node("Concat", ["table", "table"], ["twice"], axis=0),
        helper.make_node("Slice", ["twice", "nought", "six"], ["half"]),
        helper.make_node("Reshape", ["half", "shape"], ["out"]),
    ]
    held = {
        "weight": weight,
        "rows": np.array([6, 30]),
        "nought": np.array([0]),
        "six": np.array([6]),
        "shape": np.array([6, 10, 3]),
    }
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [6, 10, 3])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("batch", [1, 4])
def test_its_images_are_the_file_s_and_everyone_is_told(batch, tmp_path):
    model = stuck(batch)
    onnx.save(model, tmp_path / "theirs.onnx")
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", PLAIN)
    assert manifest.spec.most_at_once(64) == 1
    assert any("one image at a time" in note for note in manifest.verification["notes"])
    assert "one image at a time" in (tmp_path / "bundle" / CARD).read_text("utf-8")

    inputs = sample_inputs(manifest.spec, range(20, 25))
    data = (tmp_path / "bundle" / GRAPH).read_bytes()
    assert levels_apart(run(open_session(data), inputs), images_of(model, inputs["z"])) <= 1
    assert onnx.load_from_string(data).graph.input[0].type.tensor_type.shape.dim[0].dim_param == ONE
    verify_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("label", ["one-hot", "number", "column"])
def test_classes_and_fixed_values_are_given_as_often_as_it_wants(label, tmp_path):
    model = stuck(3, label=label, psi="row")
    onnx.save(model, tmp_path / "theirs.onnx")
    hints = ImportHints((-1, 1), latent="z", label="y", classes=CLASSES, fixed={"psi": "0.25"})
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", hints)
    assert manifest.spec.most_at_once(64) == 1
    inputs = sample_inputs(manifest.spec, range(20, 24))
    given = np.eye(3, dtype=np.float32)[inputs["label"][:, 0]] if label == "one-hot" else inputs["label"]
    given = given[:, 0] if label == "number" else given
    expected = images_of(model, inputs["z"], y=given, psi=np.full((4, 1), 0.25, np.float32))
    found = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs)
    assert levels_apart(found, expected) <= 1


def test_one_without_any_batch(tmp_path):
    onnx.save(one_image(), tmp_path / "theirs.onnx")
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", PLAIN)
    assert (manifest.spec.height, manifest.spec.width, manifest.spec.channels) == (6, 10, 3)
    verify_bundle(tmp_path / "bundle")


def test_other_precisions_and_targets_of_it(tmp_path):
    onnx.save(stuck(4), tmp_path / "theirs.onnx")
    options = ExportOptions(("fp16",), targets=("ort", "triton", "unity"))
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", PLAIN, options=options)
    assert manifest.verification["precisions"]["fp16"]["written"]
    assert set(manifest.verification["targets"]) == {"ort", "triton", "unity"}
    verify_bundle(tmp_path / "bundle")


def test_the_command_says_so_in_one_line(tmp_path):
    onnx.save(stuck(4), tmp_path / "theirs.onnx")
    arguments = [
        "export",
        "--from-onnx",
        str(tmp_path / "theirs.onnx"),
        "--range",
        "-1,1",
        "--out",
        str(tmp_path / "b"),
    ]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    lines = " ".join(found.output.split())
    assert lines.count("one image at a time") == 1
    assert "batch of 4" in lines
    sampled = CliRunner().invoke(app, ["sample", str(tmp_path / "b"), "--seeds", "0-2", "--out", str(tmp_path / "out")])
    assert sampled.exit_code == 0, sampled.output
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    assert read_manifest(tmp_path / "b").spec.most_at_once(2) == 1
