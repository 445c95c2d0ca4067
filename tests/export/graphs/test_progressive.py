"""Generators that have not finished growing: what ships is the level they are at, and nothing of the others."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from core.bundle import GOLDEN, SHEET
from core.checkpoint import load_generator, save_generator
from core.difference import levels_apart
from core.errors import ExportError
from core.files import sha256
from core.golden import Golden
from core.networks.progressive import LEVEL
from core.onnx.session import open_session
from core.pixels import to_pixels
from core.seed_sheets import cut
from export.bundles.exporting import _level, export_run
from export.bundles.verify import verify_bundle
from export.checks.reference import check_against_reference
from export.graphs.convert import to_onnx
from export.graphs.modules import ExportGraph
from tests.export.conftest import SIZES, lively, ship, tiny_spec


@pytest.mark.parametrize(("growth", "blocks", "images"), [(0, 0, 1), (LEVEL, 1, 1), (LEVEL + LEVEL // 4, 2, 2)])
def test_other_levels_are_not_in_the_graph(growth, blocks, images):
    generator = lively(tiny_spec("progressive", SIZES["square RGBA"]))
    generator.grow(growth)
    graph = ExportGraph(generator)
    assert convolutions(to_onnx(graph, plain=True)) == 1 + 2 * blocks + images
    model = to_onnx(graph)
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used
    check_against_reference(generator.spec, open_session(model.SerializeToString()), graph.images)


def test_a_full_grown_generator_is_all_of_its_levels():
    graph = ship("progressive", "square RGBA").graph
    assert convolutions(to_onnx(graph, plain=True)) == 1 + 2 * 3 + 1


def convolutions(model):
    """Of a graph as PyTorch writes it: what ships has rewritten some of them."""
    return [node.op_type for node in model.graph.node].count("Conv")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that finished 8x12 and 16x24 on its way to 32x48, each time with other weights."""
    root = tmp_path_factory.mktemp("grown")
    for seed, name in enumerate(("levels/8x12", "levels/16x24", "generator"), 1):
        generator = lively(tiny_spec("progressive", SIZES["tall RGB"]), seed)
        generator.grow(seed * LEVEL)
        save_generator(root / f"{name}.safetensors", generator if name == "generator" else generator.standing())
    return root


def test_a_finished_level_exports_at_its_own_size(run, tmp_path):
    manifest = export_run(run, tmp_path / "bundle", level="16x24")
    assert (manifest.spec.height, manifest.spec.width) == (24, 16)
    assert manifest.checkpoint_sha256 == sha256(run / "levels" / "16x24.safetensors")
    verify_bundle(tmp_path / "bundle")
    generator = load_generator(run / "levels" / "16x24.safetensors")
    golden = Golden.read(tmp_path / "bundle" / GOLDEN)
    with torch.no_grad():
        values = generator(torch.from_numpy(golden.inputs["z"][:8]))  # those with truncation 1
    assert levels_apart(to_pixels(values, generator.spec.value_range).numpy(), golden.images[:8]) == 0
    with Image.open(tmp_path / "bundle" / SHEET) as sheet:
        cells, across = cut(sheet, 24, 16)
    assert (across, np.shape(cells)) == (8, (64, 24, 16, 3))


@pytest.mark.parametrize(
    ("level", "file"), [("8X12", "levels/8x12"), ("16x24", "levels/16x24"), ("32x48", "generator")]
)
def test_the_levels_of_a_run(run, level, file):
    checkpoint = run / "generator.safetensors"
    assert _level(checkpoint, load_generator(checkpoint), level) == run / f"{file}.safetensors"


@pytest.mark.parametrize("level", ["16", "24x16", "", "x", "../generator", "64x96"])
def test_a_level_the_run_has_not_finished(run, tmp_path, level):
    with pytest.raises(ExportError, match=r"choose from 8x12, 16x24, 32x48$") as error:
        export_run(run, tmp_path / "bundle", level=level)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "bundle").exists()


def test_the_base_is_no_generator_of_its_own(run, tmp_path):
    with pytest.raises(
        ExportError, match=r"level 4x6 is the base that levels double.*: choose from 8x12, 16x24, 32x48$"
    ):
        export_run(run, tmp_path / "bundle", level="4x6")


def test_the_last_level_is_not_finished_before_the_run_has_grown_to_it(run, tmp_path):
    generator = load_generator(run / "generator.safetensors")
    generator.grow(3 * LEVEL - 1)
    save_generator(tmp_path / "generator.safetensors", generator)
    with pytest.raises(ExportError, match="has not finished a level 32x48: choose from none yet"):
        export_run(tmp_path, tmp_path / "bundle", level="32x48")


def test_other_families_have_no_levels(tmp_path):
    save_generator(tmp_path / "generator.safetensors", lively(tiny_spec("dcgan", SIZES["square RGBA"])))
    with pytest.raises(ExportError, match="the family 'dcgan' does not grow level by level: omit --level"):
        export_run(tmp_path, tmp_path / "bundle", level="32x32")


def test_levels_of_an_older_run_whose_files_are_named_the_other_way(run, tmp_path):
    """They were HEIGHTxWIDTH once: what counts is the size that the file says itself."""
    shutil.copytree(run, tmp_path / "older")
    for old, new in (("8x12", "12x8"), ("16x24", "24x16")):
        (tmp_path / "older" / "levels" / f"{old}.safetensors").rename(
            tmp_path / "older" / "levels" / f"{new}.safetensors"
        )
    manifest = export_run(tmp_path / "older", tmp_path / "bundle", level="16x24")
    assert (manifest.spec.width, manifest.spec.height) == (16, 24)
