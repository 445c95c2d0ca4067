"""Targets in a bundle: their files are written, recorded, hashed and re-checked, and nobody can slip in others."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from core.bundle import GOLDEN, GRAPH, MANIFEST, SUMS, read_manifest
from core.errors import BundleError, ExportError
from core.golden import Golden
from export.bundles.exporting import export_run
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.targets.runtimes import TARGETS
from export.targets.variants import VARIANTS, verify_targets, write_targets
from tests.export.conftest import graph_of, reseal

UNITY = VARIANTS["unity"][0]


def write(bundle, names):
    manifest, golden = read_manifest(bundle), Golden.read(bundle / GOLDEN)
    return write_targets(bundle, graph_of(bundle), manifest.spec, golden, names)


def check(bundle):
    manifest = read_manifest(bundle)
    targets = manifest.verification.get("targets", {})
    return verify_targets(bundle, targets, manifest.files, Golden.read(bundle / GOLDEN))


@pytest.fixture
def everywhere(bundle):
    """A bundle for every target."""
    facts = {name: report.to_json() for name, report in write(bundle, list(TARGETS)).items()}
    reseal(bundle, verification={**read_manifest(bundle).verification, "targets": facts})
    return bundle


def test_what_each_target_needs_is_written_and_recorded(everywhere):
    manifest = read_manifest(everywhere)
    facts = manifest.verification["targets"]
    assert set(facts) == set(TARGETS)
    assert {name: fact["file"] for name, fact in facts.items() if fact["file"] != GRAPH} == {
        name: file for name, (file, _) in VARIANTS.items()
    }
    assert all(file in manifest.files for file, _ in VARIANTS.values())
    assert facts["unity"]["levels_from_golden"] <= 1
    assert "0 to 1" in facts["unity"]["gives"]
    assert all(fact["runtime"] and fact["source"] for fact in facts.values())


def test_targets_are_verified_again(everywhere):
    found = check(everywhere)
    assert set(found) == set(TARGETS)
    assert "golden images within" in found["unity-legacy"]
    assert found["web"] == f"{GRAPH} fits ONNX Runtime Web 1.30 (WASM)"


def test_only_what_is_asked_for_is_written(bundle):
    assert set(write(bundle, ["web", "ort"])) == {"ort", "web"}
    assert not (bundle / "targets").exists()


def spoilt(bundle, spoil, file=UNITY):
    model = onnx.load(bundle / file)
    spoil(model)
    (bundle / file).write_bytes(model.SerializeToString())
    reseal(bundle)


def darker(model):
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == "image_scale")
    scale.CopyFrom(numpy_helper.from_array(np.array(0.98 / 255, np.float32), scale.name))


def not_for_unity(model):
    model.graph.node[-1].output[0] = "early"
    model.graph.node.append(helper.make_node("EyeLike", ["early"], ["image"], name="odd"))


def without_image(model):
    model.graph.node[-1].output[0] = "picture"
    model.graph.output[0].name = "picture"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (darker, "of 255 levels from the golden ones"),
        (not_for_unity, r"'odd' \(EyeLike\) is not among the operators of Unity Sentis 2.6"),
        (without_image, "cannot run it"),
    ],
)
def test_a_swapped_file_is_found_and_named(everywhere, spoil, says):
    spoilt(everywhere, spoil)
    with pytest.raises(BundleError, match=f"{UNITY}: target unity: .*{says}") as caught:
        check(everywhere)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model(everywhere):
    (everywhere / UNITY).write_bytes(b"hello")
    reseal(everywhere)
    with pytest.raises(BundleError, match=f"{UNITY}"):
        check(everywhere)


def test_a_file_that_is_not_there(everywhere):
    (everywhere / UNITY).unlink()
    reseal(everywhere)
    with pytest.raises(BundleError, match=f"lacks {UNITY}"):
        check(everywhere)


@pytest.mark.parametrize("recorded", [["ort"], "ort", None, {"toaster": {}}])
def test_a_hostile_record_is_an_error(bundle, recorded):
    with pytest.raises(BundleError, match=r"does not say which targets|'toaster'"):
        verify_targets(bundle, recorded, read_manifest(bundle).files, Golden.read(bundle / GOLDEN))


def test_a_target_that_cannot_be_had_says_why_and_that_nothing_was_exported(bundle, monkeypatch):
    monkeypatch.setitem(TARGETS, "web", replace(TARGETS["web"], largest=1000))
    with pytest.raises(ExportError, match=r"target web: .*100 MiB.*nothing was exported"):
        write(bundle, ["web"])


def test_verification_covers_targets(everywhere):
    checks = {finding.check for finding in verify_bundle(everywhere)}
    assert {f"target {name}" for name in TARGETS} <= checks
    data = bytearray((everywhere / UNITY).read_bytes())
    data[len(data) // 2] ^= 1
    (everywhere / UNITY).write_bytes(data)
    with pytest.raises(BundleError, match=f"{UNITY} was changed"):
        verify_bundle(everywhere)


def test_an_export_for_targets(run, converted, tmp_path):
    manifest = export_run(run, tmp_path / "out", options=ExportOptions(targets=["unity", "web"]))
    assert set(manifest.verification["targets"]) == {"unity", "web"}
    assert UNITY in manifest.files
    assert UNITY in (tmp_path / "out" / SUMS).read_text()
    export_run(run, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / UNITY).exists()
    with pytest.raises(ExportError, match="no target 'toaster': choose from ort, triton"):
        export_run(run, tmp_path / "other", options=ExportOptions(targets=["toaster"]))


def test_an_export_that_does_not_fit_leaves_nothing(run, converted, tmp_path, monkeypatch):
    monkeypatch.setitem(TARGETS, "web", replace(TARGETS["web"], largest=1000))
    with pytest.raises(ExportError, match="target web"):
        export_run(run, tmp_path / "out", options=ExportOptions(targets=["unity", "web"]))
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_offers_every_target(monkeypatch):
    from commands.exporting import Target

    assert {target.value for target in Target} == set(TARGETS)


def test_the_manifest_stays_plain_json(everywhere):
    assert json.loads((everywhere / MANIFEST).read_text())["verification"]["targets"]["unity"]["file"] == UNITY
