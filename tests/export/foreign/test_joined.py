"""A mapping and a synthesis in two files, held against what both compute in NumPy."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from cli import app
from core.bundle import GRAPH
from core.contract import sample_inputs
from core.difference import levels_apart
from core.errors import ExportError
from core.latents import latents
from core.onnx.session import open_session, run
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints
from export.foreign.joined import MEAN_OF

F, I64 = TensorProto.FLOAT, TensorProto.INT64
Z, W, LAYERS, SIDE = 8, 5, 3, 6
RANDOM = np.random.RandomState(3)
TO_W = RANDOM.standard_normal((Z, W)).astype(np.float32)
SHIFT = RANDOM.standard_normal(W).astype(np.float32)  # so that the mean style is not 0
BY_CLASS = RANDOM.standard_normal((2, W)).astype(np.float32)
TO_IMAGE = RANDOM.standard_normal((LAYERS, W, 3 * SIDE * SIDE)).astype(np.float32) / 6


def saved(nodes, inputs, outputs, path, opset=18, **weights):
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def mapping(path, n="n", label=False, layers=False, opset=18, name="w"):
    nodes = [helper.make_node("MatMul", ["z", "weight"], ["sum"]), helper.make_node("Add", ["sum", "shift"], ["moved"])]
    inputs, weights, last = [("z", F, [n, Z])], {"weight": TO_W, "shift": SHIFT}, "moved"
    if label:
        inputs.append(("c", I64, [n]))
        weights["table"] = BY_CLASS
        nodes += [
            helper.make_node("Gather", ["table", "c"], ["chosen"]),
            helper.make_node("Add", [last, "chosen"], ["both"]),
        ]
        last = "both"
    nodes.append(helper.make_node("LeakyRelu", [last], ["style"], alpha=0.2))
    last = "style"
    if layers:
        weights |= {"axis": np.array([1]), "times": np.array([1, LAYERS, 1])}
        nodes += [
            helper.make_node("Unsqueeze", [last, "axis"], ["one"]),
            helper.make_node("Tile", ["one", "times"], ["many"]),
        ]
        last = "many"
    nodes.append(helper.make_node("Identity", [last], [name]))
    return saved(nodes, inputs, [(name, F, [n, LAYERS, W] if layers else [n, W])], path, opset, **weights)


def synthesis(path, n="n", opset=18, name="w"):
    """Of ``(n, layers, w)``; its inner names are those of the mapping too."""
    nodes = [
        helper.make_node("Reshape", [name, "shape"], ["moved"]),
        helper.make_node("MatMul", ["moved", "weight"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["style"]),
        helper.make_node("Reshape", ["style", "sides"], ["image"]),
    ]
    batch = n if isinstance(n, int) else -1
    weights = {
        "weight": TO_IMAGE.reshape(LAYERS * W, -1),
        "shape": [batch, LAYERS * W],
        "sides": [batch, 3, SIDE, SIDE],
    }
    return saved(nodes, [(name, F, [n, LAYERS, W])], [("image", F, [n, 3, SIDE, SIDE])], path, opset, **weights)


def styles(z, label=None):
    sums = z.astype(np.float64) @ TO_W + SHIFT
    if label is not None:
        sums = sums + BY_CLASS[label]
    return np.where(sums > 0, sums, 0.2 * sums)


def pixels(z, truncation, label=None):
    all_labels = None if label is None else np.arange(MEAN_OF) % 2
    mean = styles(latents(range(MEAN_OF), Z), all_labels).mean(axis=0)
    w = mean + truncation * (styles(z, label) - mean)
    values = np.tanh(np.einsum("nw,lwp->np", w, TO_IMAGE)).reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.rint((values + 1) / 2 * 255).astype(np.uint8)


CASES = {
    "a style for all layers": ({}, {}, {}),
    "a style for each layer": ({"layers": True}, {}, {}),
    "classes": ({"label": True}, {}, {"label": "c", "classes": ("a", "b")}),
    "a synthesis for one": ({}, {"n": 1}, {}),
    "both for four": ({"n": 4}, {"n": 4}, {}),
    "other names and opsets": ({"name": "styles", "opset": 15}, {"name": "ws", "opset": 19}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_both_are_one_generator_that_truncates_towards_the_mean_style(case, tmp_path):
    first, second, hints = CASES[case]
    paths = mapping(tmp_path / "mapping.onnx", **first), synthesis(tmp_path / "synthesis.onnx", **second)
    manifest = export_foreign(paths[0], tmp_path / "bundle", ImportHints((-1, 1), **hints), synthesis=paths[1])
    assert manifest.spec.most_at_once(64) == 64
    assert set(manifest.verification["original"]["weights_sha256"]) == {"mapping", "synthesis"}
    session = open_session((tmp_path / "bundle" / GRAPH).read_bytes())
    for truncation in (1.0, 0.5, 0.0):
        inputs = sample_inputs(manifest.spec, range(20, 25), truncation)
        label = inputs["label"][:, 0] if "label" in inputs else None
        assert levels_apart(run(session, inputs), pixels(inputs["z"], truncation, label)) <= 1
    verify_bundle(tmp_path / "bundle")


def test_what_does_not_belong_together_is_said(tmp_path):
    first, second = mapping(tmp_path / "mapping.onnx"), synthesis(tmp_path / "synthesis.onnx")
    for pair in ((second, first), (second, second)):
        with pytest.raises(ExportError, match="give the mapping first"):
            export_foreign(pair[0], tmp_path / "bundle", ImportHints((-1, 1)), synthesis=pair[1])
    mapping(tmp_path / "four.onnx", n=4)
    synthesis(tmp_path / "one.onnx", n=1)
    with pytest.raises(ExportError, match="batches of 1 and 4"):
        export_foreign(
            tmp_path / "four.onnx", tmp_path / "bundle", ImportHints((-1, 1)), synthesis=tmp_path / "one.onnx"
        )


def test_the_command_takes_the_option_twice(tmp_path):
    paths = mapping(tmp_path / "mapping.onnx"), synthesis(tmp_path / "synthesis.onnx")
    arguments = [word for path in paths for word in ("--from-onnx", str(path))]
    more = ["--range", "-1,1", "--out", str(tmp_path / "bundle")]
    done = CliRunner().invoke(app, ["export", *arguments, *more])
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, ["export", *arguments, "--from-onnx", "third.onnx", *more])
    assert again.exit_code == 2
