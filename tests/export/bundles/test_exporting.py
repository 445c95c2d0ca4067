"""From a run to a bundle, and the ways it must fail with nothing left behind."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from PIL import Image

from core import latents
from core.bundle import CARD, GOLDEN, GRAPH, MANIFEST, SHEET, SUMS, read_bundle
from core.checkpoint import save_generator
from core.difference import MOST_LEVELS, levels_apart
from core.errors import CheckpointError, ExportError, GanfoundryError
from core.files import sha256
from core.golden import Golden
from core.seed_sheets import cut
from export.bundles import exporting
from export.bundles.exporting import export_run
from export.bundles.verify import verify_bundle
from tests.export.conftest import SIZES, graph_of, lively, tiny_spec


def test_a_bundle_holds_what_it_says(run, exported):
    manifest = read_bundle(exported)
    assert {path.name for path in exported.iterdir()} == {GRAPH, GOLDEN, CARD, SHEET, MANIFEST, SUMS}
    assert manifest.spec == tiny_spec("dcgan", SIZES["square RGBA"])
    assert manifest.opset == 18
    assert manifest.checkpoint_sha256 == sha256(run / "generator.safetensors")
    assert manifest.seed_algorithm == latents.ALGORITHM
    assert {"ganfoundry", "torch", "onnx", "onnxscript"} <= set(manifest.tools)
    figures = manifest.verification["onnxruntime_against_pytorch_by_batch"]
    assert all(figure["levels"] <= 1 and figure["pixels"] < 0.01 for figure in figures.values())
    assert len(figures) == 5


def test_the_golden_images_are_those_of_their_seeds(exported):
    golden = Golden.read(exported / GOLDEN)
    assert len(golden) == 16
    assert np.array_equal(golden.inputs["z"][:8], latents.latents(range(8), 8))
    assert sorted(set(golden.inputs["truncation"].flatten().tolist())) == [0.5, 1.0]


def test_the_sheet_shows_64_seeds_and_whose_data_it_was(exported):
    golden = Golden.read(exported / GOLDEN)
    with Image.open(exported / SHEET) as picture:
        cells, across = cut(picture, 32, 32)
        said = picture.info
    assert (len(cells), across, said["Page"]) == (64, 8, "1 of 1")
    assert said["Software"].startswith("Ganfoundry") and "CC0" in said["Source"]
    opaque = golden.images[3][..., 3] == 255
    assert levels_apart(cells[3][opaque][None], golden.images[3][..., :3][opaque][None]) <= MOST_LEVELS


def test_the_card_says_what_a_person_must_know(exported):
    card = (exported / CARD).read_text()
    for fact in ("# sprites", "CC0", "1,234", "[N, 32, 32, 4]", "`truncation`", "RandomState", "32 pixels high", SHEET):
        assert fact in card


def test_the_code_in_the_card_runs(exported, tmp_path, monkeypatch):
    code = (exported / CARD).read_text().split("```python")[1].split("```")[0]
    monkeypatch.chdir(exported)
    exec(code.replace("seed7.png", str(tmp_path / "seed7.png")), {})
    golden = Golden.read(exported / GOLDEN)
    with Image.open(tmp_path / "seed7.png") as picture:
        assert np.abs(np.asarray(picture).astype(int) - golden.images[7]).max() <= 1


def test_a_run_and_its_file_export_alike_and_again(run, exported, tmp_path, capfd, recwarn):
    steps: list[str] = []
    export_run(run / "generator.safetensors", tmp_path / "again", name="sprites", progress=steps.append)
    assert len(steps) == 5
    for name in (GRAPH, GOLDEN, CARD, SHEET, MANIFEST, SUMS):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes(), name
    assert capfd.readouterr() == ("", "")  # and quietly
    assert not [w for w in recwarn if not issubclass(w.category, DeprecationWarning)]


def test_an_existing_bundle_stays_unless_told_otherwise(run, exported, bundle, monkeypatch):
    with pytest.raises(ExportError, match="--overwrite"):
        export_run(run, bundle)
    monkeypatch.setattr(exporting, "to_onnx", broken_by(frozen_batch, exported))
    with pytest.raises(ExportError):
        export_run(run, bundle, overwrite=True)
    verify_bundle(bundle)
    monkeypatch.undo()
    with (bundle / CARD).open("a") as card:
        card.write("A note of a person's.\n")
    with pytest.raises(ExportError, match=r"somebody wrote in CARD\.md"):
        export_run(run, bundle, overwrite=True)
    (bundle / CARD).write_bytes((exported / CARD).read_bytes())
    (bundle / GOLDEN).write_bytes(b"damaged")
    export_run(run, bundle, overwrite=True)
    verify_bundle(bundle)
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_overwriting_never_deletes_what_is_no_bundle(run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("irreplaceable")
    for destination in (tmp_path / "photos", tmp_path / "photos" / "cat.jpg"):
        with pytest.raises(ExportError, match="not a bundle"):
            export_run(run, destination, overwrite=True)
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "irreplaceable"


@pytest.mark.parametrize("source", ["nowhere", "empty", "text"])
def test_a_source_that_is_no_generator(tmp_path, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CheckpointError):
        export_run(tmp_path / source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_numbers(tmp_path):
    generator = lively(tiny_spec("dcgan", SIZES["grey from 7"]))
    with torch.no_grad():
        next(generator.parameters())[0, 0] = float("nan")
    save_generator(tmp_path / "generator.safetensors", generator)
    with pytest.raises(ExportError, match="not a number"):
        export_run(tmp_path, tmp_path / "out")


def test_a_graph_too_large_for_one_file(run, converted, tmp_path, monkeypatch):
    monkeypatch.setattr("export.bundles.contents.LARGEST_FILE", 1000)
    with pytest.raises(ExportError, match="narrower"):
        export_run(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_first_export_of_a_process_is_quiet_too(run, tmp_path):
    code = (
        "import sys; from pathlib import Path; from export.bundles.exporting import export_run;"
        "export_run(*map(Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(run), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def random_node(model: onnx.ModelProto) -> None:
    """Latents with fresh noise in them at every run."""
    noise = [
        helper.make_node("RandomNormalLike", ["z"], ["noise"]),
        helper.make_node("Add", ["z", "noise"], ["noisy"]),
    ]
    for node in model.graph.node:
        node.input[:] = ["noisy" if name == "z" else name for name in node.input]
    for node in reversed(noise):
        model.graph.node.insert(0, node)


def two_levels_off(model: onnx.ModelProto) -> None:
    """White becomes 253."""
    last = model.graph.node[-2]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(253 / 255), "dim"))
    dimmed = helper.make_node("Mul", [last.input[0], "dim"], ["dimmed"])
    last.input[0] = "dimmed"
    model.graph.node.insert(len(model.graph.node) - 2, dimmed)


def frozen_batch(model: onnx.ModelProto) -> None:
    """A batch that is named, and in truth is always 2."""
    last = model.graph.node[-2]
    shape = np.array([2, 4, 32, 32], np.int64)
    model.graph.initializer.append(numpy_helper.from_array(shape, "shape"))
    model.graph.node.insert(len(model.graph.node) - 2, helper.make_node("Reshape", [last.input[0], "shape"], ["fixed"]))
    last.input[0] = "fixed"


def mixed_rows(model: onnx.ModelProto) -> None:
    """Every row sees the mean of its batch, which is right for a batch of one."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "axis0"))
    mean = helper.make_node("ReduceMean", ["z", "axis0"], ["mean"], keepdims=1)
    for node in model.graph.node:
        node.input[:] = ["mean" if name == "z" else name for name in node.input]
    model.graph.node.insert(0, mean)


def lost_truncation(model: onnx.ModelProto) -> None:
    """Truncation is an input, and does nothing."""
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1), np.float32), "one"))
    for node in model.graph.node:
        node.input[:] = ["one" if name == "truncation" else name for name in node.input]


def broken_by(spoil, bundle):
    """An exporter that gives a spoilt copy of the graph in ``bundle``: converting it again would only take time."""

    def exporter(_):
        model = graph_of(bundle)
        spoil(model)
        return model

    return exporter


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (random_node, "RandomNormalLike"),
        (two_levels_off, "2 of 255 levels"),
        (frozen_batch, "batch|shape|rule"),
        (mixed_rows, "batch 2"),
        (lost_truncation, "truncation 0.5"),
    ],
)
def test_a_wrong_graph_fails_and_leaves_nothing(run, exported, tmp_path, monkeypatch, spoil, reason):
    monkeypatch.setattr(exporting, "to_onnx", broken_by(spoil, exported))
    with pytest.raises(ExportError, match=reason) as caught:
        export_run(run, tmp_path / "out" / "bundle")
    assert "nothing was exported" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_nothing(run, converted, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("export.bundles.writing.write_manifest", full)
    with pytest.raises(ExportError, match="No space left"):
        export_run(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_silent_other_opset_is_an_error(run, tmp_path, monkeypatch, traced_anew):
    monkeypatch.setattr(
        "export.graphs.convert.OPSET", 15
    )  # this network cannot go there, and the exporter does not say so
    with pytest.raises(ExportError, match="opset 18 where 15"):
        export_run(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_network_pytorch_cannot_convert(run, tmp_path, monkeypatch, traced_anew):
    from core.networks.dcgan import DCGANGenerator

    def synthesis(self, style, label=None, codes=None):
        if style.sum() > 0:  # depends on the data: no graph
            style = -style
        return self.image(self.stages(self.project(style[:, :, None, None])))

    monkeypatch.setattr(DCGANGenerator, "synthesis", synthesis)
    with pytest.raises(GanfoundryError, match="cannot convert") as caught:
        export_run(run, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_is_plain_json(exported):
    values = json.loads((exported / MANIFEST).read_text())
    assert values["spec"]["family"] == "dcgan"
