"""Style networks with a group for each image, held against PyTorch, which has any batch."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from core.bundle import GRAPH
from core.contract import sample_inputs
from core.difference import levels_apart
from core.onnx.session import open_session, run
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.folding import folded
from export.foreign.hints import ImportHints
from export.foreign.modulated import without_modulation
from export.targets.runtimes import TARGETS, misfit
from tests.export.foreign.modulated_models import DIM, Modulated, Plain, Shifted, styled, traced

CASES = {
    "batch 1": (1, False),
    "batch 1 that says any": (1, True),
    "batch 3": (3, False),
    "batch 3 that says any": (3, True),
}


def pixels(values: torch.Tensor) -> np.ndarray:
    levels = (values.detach().double().numpy().transpose(0, 2, 3, 1).clip(-1, 1) + 1) / 2 * 255
    return np.rint(levels).astype(np.uint8)


@pytest.mark.parametrize("case", CASES)
def test_any_batch_makes_pytorch_s_images(case, tmp_path):
    network, (batch, dynamic) = styled(), CASES[case]
    onnx.save(traced(network, batch, dynamic), tmp_path / "theirs.onnx")
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", ImportHints((-1, 1)))
    inputs = sample_inputs(manifest.spec, range(20, 25))
    model = onnx.load(tmp_path / "bundle" / GRAPH)
    images = run(open_session(model.SerializeToString()), inputs)
    assert levels_apart(images, pixels(network(torch.from_numpy(inputs["z"])))) <= 1
    assert len(np.unique(images)) > 100
    assert not manifest.verification["notes"]
    assert manifest.spec.most_at_once(64) == 64
    for target in ("trt10", "unity-legacy"):  # neither takes weights that are computed
        complaint = misfit(model, 1, TARGETS[target])
        assert complaint is None or "weights" not in complaint
    groups = [a.i for node in model.graph.node for a in node.attribute if a.name == "group"]
    assert sorted(groups) == [1, 1, 1, 4]
    verify_bundle(tmp_path / "bundle")


LAYERS = {
    "demodulated": Modulated(6, 5),
    "not demodulated": Modulated(6, 5, demodulate=False),
    "pointwise": Modulated(6, 3, kernel=1),
    "transposed": Modulated(6, 5, up=True),
    "transposed, not demodulated": Modulated(6, 5, up=True, demodulate=False),
    "from one channel": Modulated(1, 4),
    "to one channel": Modulated(6, 1),
}


@pytest.mark.parametrize("batch", [1, 3])
def test_other_ways_to_write_it_are_freed_too(batch, tmp_path):
    torch.manual_seed(2)
    network = Plain(Shifted(6, 5), Modulated(5, 4, up=True), Shifted(4, 3, demodulate=False)).eval()
    onnx.save(traced(network, batch), tmp_path / "theirs.onnx")
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", ImportHints((-2, 2), layout="NCHW"))
    assert manifest.spec.most_at_once(64) == 64
    inputs = sample_inputs(manifest.spec, range(20, 25))
    images = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs)
    assert levels_apart(images, pixels(network(torch.from_numpy(inputs["z"])) / 2)) <= 1


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_the_same_without_groups(case, batch):
    torch.manual_seed(1)
    network = Plain(LAYERS[case])
    model = traced(network, batch)
    rewritten = without_modulation(folded(model, {"z": (batch, DIM)}), batch)
    weights = {tensor.name for tensor in rewritten.graph.initializer}
    layers = [node for node in rewritten.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert layers
    assert all(node.input[1] in weights for node in layers)
    z = np.random.RandomState(2).standard_normal((batch, DIM)).astype(np.float32)
    made = onnxruntime.InferenceSession(rewritten.SerializeToString()).run(None, {"z": z})[0]
    np.testing.assert_allclose(made, network(torch.from_numpy(z)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_the_weight_of_the_demodulation_is_not_kept_twice():
    model = traced(styled(), 1)
    rewritten = without_modulation(folded(model, {"z": (1, DIM)}), 1)
    assert rewritten.ByteSize() < 1.5 * model.ByteSize()
    assert not any(len(tensor.dims) == 5 for tensor in rewritten.graph.initializer)


def test_a_weight_that_is_no_product_is_left_as_it_is():
    class Other(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Linear(DIM, 3 * 9)
            self.start = torch.nn.Parameter(torch.randn(1, 1, 4, 4))

        def forward(self, z):
            return torch.nn.functional.conv2d(self.start, self.weight(z).reshape(3, 1, 3, 3), padding=1)

    model = folded(traced(Other(), 1), {"z": (1, DIM)})
    assert without_modulation(model, 1).graph.node == model.graph.node
