"""Operators of newer opsets in older ones, held against ONNX Runtime on the graph as it was."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import read_manifest
from core.errors import BundleError, ExportError
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints
from export.targets.lowering import lowered
from tests.export.foreign.test_opsets import model as generator

F = TensorProto.FLOAT
RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((2, 4, 6, 8)).astype(np.float32)
GAIN, BIAS, WIDE = (RANDOM.standard_normal(size).astype(np.float32) for size in (4, 4, 8))


def single(op, opset, *more, outputs=1, **attributes) -> onnx.ModelProto:
    weights = {f"w{place}": np.asarray(value) for place, value in enumerate(more) if value is not None}
    inputs = ["x", *(f"w{place}" if value is not None else "" for place, value in enumerate(more))]
    names = [f"y{place}" for place in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, inputs, names, name="odd", **attributes)],
        "theirs",
        [helper.make_tensor_value_info("x", F, list(X.shape))],
        [helper.make_tensor_value_info(name, F, None) for name in names],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    version = 8 if opset < 21 else 10
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)
    model = onnx.shape_inference.infer_shapes(model)
    for value in model.graph.output:  # what inference does not know keeps its shape
        if not value.type.tensor_type.HasField("shape"):
            value.CopyFrom(helper.make_tensor_value_info(value.name, F, list(X.shape)))
    return model


CASES = {
    "Gelu": single("Gelu", 20),
    "Gelu by a tanh": single("Gelu", 20, approximate="tanh"),
    "Mish": single("Mish", 18),
    "LayerNormalization": single("LayerNormalization", 17, WIDE, WIDE + 1),
    "LayerNormalization without bias": single("LayerNormalization", 17, WIDE, epsilon=0.1),
    "LayerNormalization of two sides": single(
        "LayerNormalization", 17, RANDOM.standard_normal((6, 8)).astype("f"), axis=-2
    ),
    "GroupNormalization-21": single("GroupNormalization", 21, GAIN, BIAS, num_groups=2, epsilon=0.01),
    "GroupNormalization-18": single("GroupNormalization", 18, GAIN[:2], BIAS[:2], num_groups=2),
    "Pad": single("Pad", 21, np.array([0, 0, 1, 2, 0, 0, 3, 4])),
    "Pad by reflection": single("Pad", 18, np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect"),
    "Split in equal parts": single("Split", 18, axis=1, num_outputs=2, outputs=2),
    "Split": single("Split", 18, np.array([1, 3]), axis=1, outputs=2),
    "Identity": single("Identity", 21),
    "Cast": single("Cast", 21, to=F),
    "Reshape": single("Reshape", 21, np.array([0, -1])),
    "Unsqueeze": single("Unsqueeze", 21, np.array([1])),
    "ReduceMean": single("ReduceMean", 18, np.array([2, 3]), keepdims=0),
    "ReduceMax": single("ReduceMax", 20, np.array([1]), noop_with_empty_axes=0),
    "ReduceSum": single("ReduceSum", 18, np.array([1])),
    "Resize": single("Resize", 19, None, np.array([1, 1, 2, 2], np.float32), mode="linear"),
    "AveragePool": single("AveragePool", 19, kernel_shape=[2, 2], strides=[2, 2]),
    "Softmax": single("Softmax", 21, axis=1),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_computes_the_same_in_opset_15(case):
    model = CASES[case]
    older = lowered(model, 15)
    older.ir_version = 8
    assert [entry.version for entry in older.opset_import] == [15]
    onnx.checker.check_model(older, full_check=True)
    found, expected = (
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"x": X}) for each in (older, model)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (single("GridSample", 20, np.zeros((2, 4, 4, 2), np.float32)), r"'odd' \(GridSample\) is newer than opset 15"),
        (single("Resize", 19, None, np.array([1, 1, 0.5, 0.5], "f"), mode="linear", antialias=1), "has antialias"),
        (single("Pad", 18, np.array([1, 1]), np.float32(0), np.array([3])), r"'odd' \(Pad\) takes more than opset 15"),
        (single("AveragePool", 19, kernel_shape=[2, 2], dilations=[2, 2]), "has dilations"),
    ],
)
def test_what_has_no_older_form_is_named(model, says):
    with pytest.raises(BundleError, match=says):
        lowered(model, 15)


def test_a_graph_that_is_old_enough_stays_as_it_is():
    model = single("Softmax", 13, axis=1)
    assert lowered(model, 15).graph == model.graph
    assert [entry.version for entry in lowered(model, 15).opset_import] == [13]


def test_a_generator_from_elsewhere_in_a_new_opset_gets_its_legacy_variant(tmp_path):
    onnx.save(generator(20, [helper.make_node("Gelu", ["small"], ["out"])], 4), tmp_path / "theirs.onnx")
    hints, options = ImportHints((-1, 1), layout="NCHW"), ExportOptions(targets=("unity-legacy",))
    export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", hints, options=options)
    assert read_manifest(tmp_path / "bundle").opset == 20
    verify_bundle(tmp_path / "bundle")


def test_a_generator_that_cannot_says_which_node(tmp_path):
    grid = {"grid": RANDOM.uniform(-1, 1, (1, 4, 4, 2)).astype(np.float32)}
    node = helper.make_node("GridSample", ["small", "grid"], ["out"], name="warp")
    made = generator(20, [node], 4, **grid)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(made, tmp_path / "theirs.onnx")
    hints, options = ImportHints((-1, 1), layout="NCHW"), ExportOptions(targets=("unity-legacy",))
    with pytest.raises(ExportError, match=r"unity-legacy: the node '\w*warp' \(GridSample\) is newer than opset 15"):
        export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", hints, options=options)
