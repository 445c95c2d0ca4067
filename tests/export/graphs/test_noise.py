"""Noise as an input of the graph: whole and in two parts, the same pictures as PyTorch's."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from core.bundle import CARD, GOLDEN, GRAPH, MAPPING, SYNTHESIS, read_manifest
from core.checkpoint import load_generator, read_spec, save_generator
from core.contract import sample_inputs
from core.difference import levels_apart
from core.errors import BundleError, ExportError
from core.golden import Golden
from core.onnx.session import open_session, run
from core.pixels import to_pixels
from export.bundles.exporting import export_run
from export.bundles.verify import verify_bundle
from tests.export.conftest import SIZES, forge, graph_of, lively, tiny_spec


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run of a style generator, and its bundle with noise as an input. Not to be changed."""
    root = tmp_path_factory.mktemp("noisy")
    save_generator(root / "generator.safetensors", lively(tiny_spec("style", (14, 14, 1))))
    export_run(root, root / "bundle", noise_input=True)
    return root


@pytest.fixture(scope="module")
def generator(root):
    return load_generator(root / "generator.safetensors")


@pytest.fixture(scope="module")
def session(root):
    return open_session((root / "bundle" / GRAPH).read_bytes())


@pytest.fixture(scope="module")
def spec(root):
    return read_manifest(root / "bundle").spec


def test_the_spec_says_how_many_values_and_the_checkpoint_s_stays_as_it_was(root, spec, generator):
    assert spec.noise == generator.noise_dim == 7 * 7 + 2 * 14 * 14
    trained = read_spec(root / "generator.safetensors")
    assert trained.noise == 0
    assert replace(spec, noise=0, provenance=trained.provenance) == trained
    assert read_manifest(root / "bundle").verification["in_two_parts"]["two_runs_identical"]


@pytest.mark.parametrize(
    ("graph", "names"),
    [
        (GRAPH, ["z", "truncation", "noise"]),
        (MAPPING, ["z", "truncation"]),
        (SYNTHESIS, ["w", "noise"]),
    ],
)
def test_the_inputs_of_each_graph(root, spec, graph, names):
    inputs = onnx.load(root / "bundle" / graph).graph.input
    assert [value.name for value in inputs] == names
    if "noise" in names:
        assert inputs[-1].type.tensor_type.shape.dim[1].dim_value == spec.noise


def test_no_fixed_noise_is_left_inside(root, generator):
    shapes = {tuple(layer.noise.shape) for layer in generator.layers}
    weights = graph_of(root / "bundle").graph.initializer
    assert not [tensor.name for tensor in weights if tuple(tensor.dims) in shapes]


def test_the_fixed_noise_as_the_input_makes_the_fixed_pictures(spec, generator, session):
    inputs = sample_inputs(spec, range(4))
    fixed = torch.cat([layer.noise.flatten() for layer in generator.layers]).numpy()
    with torch.no_grad():
        expected = to_pixels(generator(torch.from_numpy(inputs["z"])), spec.value_range).numpy()
    assert levels_apart(run(session, {**inputs, "noise": np.tile(fixed, (4, 1))}), expected) <= 1
    assert levels_apart(run(session, inputs), expected) > 10  # the seeds' own noise makes other ones


def test_zeros_are_no_noise(spec, generator, session):
    inputs = sample_inputs(spec, range(4))
    inputs["noise"] = np.zeros_like(inputs["noise"])
    with torch.no_grad():
        silent = generator(torch.from_numpy(inputs["z"]), noise=torch.zeros(4, spec.noise))
    assert levels_apart(run(session, inputs), to_pixels(silent, spec.value_range).numpy()) <= 1


def test_noise_is_by_row(spec, session):
    inputs = sample_inputs(spec, range(3))
    before = run(session, inputs)
    inputs["noise"][1] = 0
    after = run(session, inputs)
    assert levels_apart(before[[0, 2]], after[[0, 2]]) <= 1
    assert levels_apart(before[1], after[1]) > 10


def test_golden_images_hold_each_seed_s_noise(root, spec):
    golden = Golden.read(root / "bundle" / GOLDEN)
    assert np.array_equal(golden.inputs["noise"][:8], sample_inputs(spec, range(8))["noise"])
    assert [finding.check for finding in verify_bundle(root / "bundle")][-1] == "mapping and synthesis"


def test_the_card_lists_the_parts_and_the_noise_and_its_code_runs(root, spec, tmp_path, monkeypatch):
    card = (root / "bundle" / CARD).read_text()
    for fact in (
        f"| input | `noise` | FP32 | [N, {spec.noise}] |",
        f"`{MAPPING}`",
        f"`{SYNTHESIS}`",
        "`w` | FP32 | [N, 4, 8]",
    ):
        assert fact in card
    assert card.count("`noise` | FP32") == 2  # of the whole and of the synthesis
    monkeypatch.chdir(root / "bundle")
    exec(card.split("```python")[1].split("```")[0].replace("seed7.png", str(tmp_path / "seed7.png")), {})
    with Image.open(tmp_path / "seed7.png") as picture:
        expected = Golden.read(root / "bundle" / GOLDEN).images[7, :, :, 0]
        assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 1


def test_a_manifest_that_promises_another_noise_is_found(root, spec, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for file in (root / "bundle").iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    forge(bundle, spec=json.loads(replace(spec, noise=0).to_json()))
    with pytest.raises(BundleError, match="inputs"):
        verify_bundle(bundle)


def test_a_family_without_noise_has_none_to_give(tmp_path):
    save_generator(tmp_path / "generator.safetensors", lively(tiny_spec("dcgan", SIZES["grey from 7"])))
    with pytest.raises(ExportError, match="the family 'dcgan' has no noise") as error:
        export_run(tmp_path, tmp_path / "bundle", noise_input=True)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "bundle").exists()
