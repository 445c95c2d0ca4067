"""Graphs made for one batch, freed of it, and held against ONNX Runtime on the graph as it came."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import GRAPH
from core.contract import sample_inputs
from core.difference import levels_apart
from core.onnx.session import open_session, run
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints

F = TensorProto.FLOAT


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def made(batch: int, before: list, after: list, size: int = 6, width: int = 8, **weights) -> onnx.ModelProto:
    """``before`` makes ``vector`` of ``z``, which becomes an image, ``small``, and ``after`` makes ``out`` of that."""
    weight = np.random.RandomState(1).standard_normal((width, 3 * 36)).astype(np.float32) / 2
    held = {"weight": weight, "shape": np.array([batch, 3, 6, 6], np.int64), "zero": np.array([0], np.int64), **weights}
    middle = [
        node("MatMul", ["vector", "weight"], "sum"),
        node("Tanh", ["sum"], "value"),
        node("Reshape", ["value", "shape"], "small"),
    ]
    graph = helper.make_graph(
        [*before, *middle, *after],
        "theirs",
        [helper.make_tensor_value_info("z", F, [batch, 8])],
        [helper.make_tensor_value_info("out", F, [batch, 3, size, size])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


SAME = [node("Identity", ["z"], "vector")]
DONE = [node("Identity", ["small"], "out")]


def resized(batch):
    sizes = {"sizes": np.array([batch, 3, 12, 12], np.int64)}
    return made(batch, SAME, [node("Resize", ["small", "", "", "sizes"], "out", mode="linear")], 12, **sizes)


def beside(batch):
    constant = {"constant": np.repeat(np.full((1, 4), 0.5, np.float32), batch, axis=0)}
    return made(batch, [node("Concat", ["z", "constant"], "vector", axis=1)], DONE, width=12, **constant)


def expanded(batch):
    return made(batch, SAME, [node("Expand", ["small", "shape"], "out")])


def squeezed(batch):
    return made(batch, [node("Squeeze", ["z", "zero"], "alone"), node("Unsqueeze", ["alone", "zero"], "vector")], DONE)


def chosen(batch):
    first = {"first": np.array(0, np.int64)}
    return made(batch, [node("Gather", ["z", "first"], "vector", axis=0)], DONE, **first)


def added(batch):
    """A constant for each image, all the same, as a repeated start becomes."""
    rows = {
        "rows": np.repeat(np.random.RandomState(4).uniform(-0.3, 0.3, (1, 3, 6, 6)).astype(np.float32), batch, axis=0)
    }
    return made(
        batch, SAME, [node("Add", ["small", "rows"], "sum_of_both"), node("Tanh", ["sum_of_both"], "out")], **rows
    )


GRAPHS = {
    "Add of a constant, 4": added(4),
    "Resize with sizes, 1": resized(1),
    "Resize with sizes, 4": resized(4),
    "Concat with a constant, 1": beside(1),
    "Concat with a constant, 4": beside(4),
    "Expand, 1": expanded(1),
    "Expand, 4": expanded(4),
    "Squeeze and Unsqueeze": squeezed(1),
    "z[0]": chosen(1),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_any_batch_makes_the_images_that_the_graph_makes_of_its_own(case, tmp_path):
    model = GRAPHS[case]
    onnx.save(model, tmp_path / "theirs.onnx")
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", ImportHints((-1, 1)))
    inputs = sample_inputs(manifest.spec, range(20, 25))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = session.get_inputs()[0].shape[0]
    values = np.concatenate([session.run(None, {"z": np.repeat(z[None], batch, axis=0)})[0][:1] for z in inputs["z"]])
    expected = np.rint((values.astype(np.float64).transpose(0, 2, 3, 1).clip(-1, 1) + 1) / 2 * 255).astype(np.uint8)
    assert levels_apart(run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs), expected) <= 1
