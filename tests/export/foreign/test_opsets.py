"""Graphs of opsets other than ours, held against ONNX Runtime on the graph as it came."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import GRAPH, read_manifest
from core.contract import sample_inputs
from core.difference import levels_apart
from core.onnx.session import open_session, run
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints

F = TensorProto.FLOAT


def model(opset: int, nodes: list, size: int, **weights) -> onnx.ModelProto:
    """``tanh(z)`` as a 3-channel image of 4x4, then ``nodes``, from ``small`` to ``out``."""
    random = np.random.RandomState(1)
    held = {
        "weight": random.standard_normal((8, 48)).astype(np.float32),
        "shape": np.array([-1, 3, 4, 4], np.int64),
        **weights,
    }
    first = [
        helper.make_node("MatMul", ["z", "weight"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["value"]),
        helper.make_node("Reshape", ["value", "shape"], ["small"]),
    ]
    graph = helper.make_graph(
        [*first, *nodes],
        "theirs",
        [helper.make_tensor_value_info("z", F, ["n", 8])],
        [helper.make_tensor_value_info("out", F, ["n", 3, size, size])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 21 else 10)


SCALES = {"scales": np.array([1, 1, 2, 2], np.float32)}
HALVES = {"scales": np.array([1, 1, 0.5, 0.5], np.float32)}
ODD = {"scales": np.array([1, 1, 1.5, 1.5], np.float32)}


def resampled(operator: str, opset: int, mode: str, size: int, **weights) -> onnx.ModelProto:
    return model(opset, [helper.make_node(operator, ["small", "scales"], ["out"], mode=mode)], size, **weights)


GROUPS = {"gain": np.ones(3, np.float32), "bias": np.zeros(3, np.float32)}
GRID = {"grid": np.random.RandomState(2).uniform(-1, 1, (1, 4, 4, 2)).astype(np.float32)}
MODELS = {
    "Upsample-9 linear": (resampled("Upsample", 9, "linear", 8, **SCALES), 18),
    "Upsample-9 nearest": (resampled("Upsample", 9, "nearest", 6, **ODD), 18),
    "Resize-10 linear": (resampled("Resize", 10, "linear", 8, **SCALES), 18),
    "Resize-10 nearest": (resampled("Resize", 10, "nearest", 6, **ODD), 18),
    "Resize-10 nearest, smaller": (resampled("Resize", 10, "nearest", 2, **HALVES), 18),
    "Gelu": (model(20, [helper.make_node("Gelu", ["small"], ["out"])], 4), 20),
    "ConstantOfShape": (
        model(
            20,
            [
                helper.make_node("Shape", ["small"], ["sides"]),
                helper.make_node("ConstantOfShape", ["sides"], ["zeros"]),
                helper.make_node("Add", ["small", "zeros"], ["out"]),
            ],
            4,
        ),
        20,
    ),
    "GroupNormalization-21": (
        model(
            21, [helper.make_node("GroupNormalization", ["small", "gain", "bias"], ["out"], num_groups=1)], 4, **GROUPS
        ),
        21,
    ),
    "opset 22": (model(22, [helper.make_node("Sin", ["small"], ["out"])], 4), 21),
}


@pytest.mark.parametrize("case", MODELS)
def test_it_ships_in_its_own_opset_or_is_converted_and_stays_the_same(case, tmp_path):
    made, opset = MODELS[case]
    onnx.save(made, tmp_path / "theirs.onnx")
    export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", ImportHints((-1, 1), layout="NCHW"))
    assert read_manifest(tmp_path / "bundle").opset == opset

    inputs = sample_inputs(read_manifest(tmp_path / "bundle").spec, range(20, 25))
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(None, {"z": inputs["z"]})[0].transpose(0, 2, 3, 1).astype(np.float64)
    expected = np.rint((values.clip(-1, 1) + 1) / 2 * 255).astype(np.uint8)
    assert levels_apart(run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs), expected) <= 1
    verify_bundle(tmp_path / "bundle")
