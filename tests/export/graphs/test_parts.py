"""A family with styles: its bundle holds mapping and synthesis too, and they are worth having."""

import hashlib

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from core.bundle import GRAPH, MAPPING, SYNTHESIS, read_manifest
from core.checkpoint import load_generator, save_generator
from core.contract import sample_inputs
from core.difference import levels_apart
from core.errors import BundleError
from core.golden import Golden
from core.onnx.session import open_session
from core.pixels import to_pixels
from export.bundles.exporting import export_run
from export.bundles.verify import verify_bundle
from export.graphs.torch_graphs import TorchGraphs
from serving.client.local import LocalModel
from serving.client.sampler import Sampler
from tests.export.conftest import lively, reseal, tiny_spec

SPEC = tiny_spec("style", (24, 16, 3), classes=("a", "b"))


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    """A bundle of a conditional style generator and the run it came from. Not to be changed."""
    root = tmp_path_factory.mktemp("styled")
    save_generator(root / "generator.safetensors", lively(SPEC))
    export_run(root, root / "bundle")
    return root


@pytest.fixture
def bundle(styled, tmp_path):
    """A copy to spoil."""
    (tmp_path / "bundle").mkdir()
    for file in (styled / "bundle").iterdir():
        (tmp_path / "bundle" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "bundle"


@pytest.fixture
def parts(styled):
    mapping, synthesis = (open_session((styled / "bundle" / name).read_bytes()) for name in (MAPPING, SYNTHESIS))
    return (lambda inputs: mapping.run(["w"], inputs)[0]), (lambda w: synthesis.run(["image"], {"w": w})[0])


def test_the_two_parts_in_turn_are_the_whole(styled, parts):
    map_, synthesise = parts
    inputs = sample_inputs(SPEC, range(9), truncation=0.7)
    whole = open_session((styled / "bundle" / GRAPH).read_bytes()).run(["image"], inputs)[0]
    assert levels_apart(synthesise(map_(inputs)), whole) <= 1
    figures = read_manifest(styled / "bundle").verification["in_two_parts"]["onnxruntime_against_pytorch_by_batch"]
    assert {"1", "17"} <= set(figures)


def test_styles_can_be_mixed_by_layer(styled, parts):
    map_, synthesise = parts
    generator = load_generator(styled / "generator.safetensors")
    w = map_(sample_inputs(generator.spec, range(2)))
    assert w.shape == (2, generator.style_layers, 8)
    assert np.ptp(w, axis=1).max() == 0  # one style for all layers, until somebody mixes
    mixed = np.concatenate([w[:1, :4], w[1:, 4:]], axis=1)
    with torch.no_grad():
        expected = to_pixels(generator.synthesis(torch.from_numpy(mixed)), generator.spec.value_range).numpy()
    image = synthesise(mixed)
    assert levels_apart(image, expected) <= 1
    assert min(levels_apart(image, synthesise(w[i : i + 1])) for i in range(2)) > 10


def test_verification_covers_the_parts(bundle):
    assert verify_bundle(bundle)[-1].check == "mapping and synthesis"


def test_other_families_have_no_parts(exported):
    assert not {MAPPING, SYNTHESIS} & set(read_manifest(exported).files)


@pytest.mark.parametrize("name", [MAPPING, SYNTHESIS])
def test_one_part_without_the_other_is_refused(bundle, name):
    (bundle / name).unlink()
    reseal(bundle)
    with pytest.raises(BundleError, match=f"lacks {name}"):
        verify_bundle(bundle)


@pytest.mark.parametrize("name", [MAPPING, SYNTHESIS])
def test_a_part_with_other_weights_is_found_though_the_hashes_fit(bundle, name):
    model = onnx.load(bundle / name)
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.ndim > 1 and value.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(value[::-1].copy(), tensor.name))
    (bundle / name).write_bytes(model.SerializeToString())
    reseal(bundle)
    with pytest.raises(BundleError, match="levels"):
        verify_bundle(bundle)


def test_a_whole_generator_in_place_of_a_part_is_refused(bundle):
    (bundle / MAPPING).write_bytes((bundle / GRAPH).read_bytes())
    reseal(bundle)
    with pytest.raises(BundleError, match=r"mapping\.onnx does not give a style"):
        verify_bundle(bundle)
    (bundle / SYNTHESIS).write_text("nothing")
    reseal(bundle)
    with pytest.raises(BundleError):
        verify_bundle(bundle)


def test_weights_of_convolutions_and_matrices_are_constants(styled):
    """What some runtimes ask for, and what grouped convolutions with weights for each row would break."""
    model = onnx.load(styled / "bundle" / GRAPH)
    constants = {tensor.name for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 2 * SPEC.size.doublings + 1  # the images are products with weights of their own
    assert all(node.input[1] in constants for node in convolutions)
    assert len(Golden.read(styled / "bundle" / "golden.npz")) == 16


def test_a_run_is_sampled_as_its_bundle_is_with_classes_and_mixed_styles(styled):
    graphs = TorchGraphs(styled / "generator.safetensors")
    assert graphs.sha256 == hashlib.sha256((styled / "generator.safetensors").read_bytes()).hexdigest()
    with Sampler.of(LocalModel("run", graphs)) as run, Sampler.local(styled / "bundle") as bundle:
        for label in SPEC.classes:
            images = [np.stack([image for _, image in one.sample(range(70), 0.6, label)]) for one in (run, bundle)]
            assert levels_apart(*images) <= 1
        assert run.style_shape == bundle.style_shape
        w = [np.stack(list(one.styles(range(9), 0.6, "b"))) for one in (run, bundle)]
        np.testing.assert_allclose(*w, atol=1e-5)
        mixed = [
            np.stack(list(one.sample_styles(np.concatenate([w[0][:5, :1], w[0][4:, 1:]], 1)))) for one in (run, bundle)
        ]
        assert levels_apart(*mixed) <= 1
