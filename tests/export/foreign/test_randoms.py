"""What is chosen by chance, frozen: how often each is chosen still follows the chances that the graph computes."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.foreign.randoms import freeze_randoms

F = TensorProto.FLOAT
MANY = 20_000


def run(node, shape, kind, chances):
    graph = helper.make_graph(
        [node],
        "theirs",
        [helper.make_tensor_value_info("chances", F, ["n", *shape[1:]])],
        [helper.make_tensor_value_info("out", kind, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    made, names = freeze_randoms(model)
    assert names == ["culprit"]
    session = onnxruntime.InferenceSession(made.SerializeToString())
    first, second = (session.run(None, {"chances": chances})[0] for _ in range(2))
    assert np.array_equal(first, second)
    return first


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL])
def test_bernoulli(kind):
    chances = np.stack([np.full(MANY, chance, np.float32) for chance in (0.0, 0.2, 0.9, 1.0)])
    found = run(
        helper.make_node("Bernoulli", ["chances"], ["out"], name="culprit", dtype=kind), (4, MANY), kind, chances
    )
    assert found.dtype == helper.tensor_dtype_to_np_dtype(kind)
    np.testing.assert_allclose(found.mean(axis=1), (0, 0.2, 0.9, 1), atol=0.01)


def test_multinomial_takes_logits():
    logits = np.log(np.array([[0.2, 0.5, 0.3], [0.05, 0.05, 0.9]], np.float32)) + 7
    node = helper.make_node("Multinomial", ["chances"], ["out"], name="culprit", sample_size=MANY)
    found = run(node, (2, 3), TensorProto.INT32, logits)
    assert found.shape == (2, MANY)
    assert found.dtype == np.int32
    shares = [[float((row == choice).mean()) for choice in range(3)] for row in found]
    np.testing.assert_allclose(shares, np.exp(logits - 7), atol=0.01)
