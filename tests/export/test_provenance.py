"""What a bundle says of where it comes from, and what it does not give away."""

import json
import shutil
from pathlib import Path

import onnx
import pytest

from core.bundle import CARD, GRAPH, MANIFEST, read_manifest
from core.contract import CHECKPOINT_KEY, JUDGED_KEY, SEEDS_KEY, SPEC_KEY, TOOLS_KEY, VERSION_KEY
from core.files import sha256
from core.latents import ALGORITHM
from core.spec import GeneratorSpec
from export import provenance
from export.exporting import export_run
from export.provenance import judgement
from tests.export.conftest import PROVENANCE, SIZES, tiny_spec

SPEC = tiny_spec("dcgan", SIZES["square RGBA"])
SEEN = PROVENANCE.images_seen
FIGURES = {
    "KID-lite0": 0.0801,
    "protocol": {"samples": 2000, "real_images": 2300},
    "generator": {"preset": "test", "images_seen": SEEN, "trained_on": "sprites"},
    "data": {"trained_on_these": True},
}
LINES = [
    {"images": 500, "KID-lite0": 0.3, "metric_samples": 100},
    {"images": SEEN, "KID-lite0": 0.2, "metric_samples": 100},
    {"images": SEEN, "generator/loss": 1.0},
    {"images": SEEN, "KID-lite0": 0.1, "metric_samples": 200},
    {"images": 5000, "KID-lite0": 0.01, "metric_samples": 100},
]


def write(path: Path, value: object) -> None:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def write_log(run: Path) -> None:
    write(run / "log.jsonl", "\n".join(map(json.dumps, LINES)))


def test_graph_and_manifest_say_the_same(run, exported):
    manifest = read_manifest(exported)
    inside = {entry.key: entry.value for entry in onnx.load(exported / GRAPH).metadata_props}
    assert set(inside) == {SPEC_KEY, SEEDS_KEY, VERSION_KEY, CHECKPOINT_KEY, TOOLS_KEY, JUDGED_KEY}
    assert GeneratorSpec.from_json(inside[SPEC_KEY]) == manifest.spec
    assert manifest.spec.provenance == PROVENANCE  # code version, licence and fingerprint of the data among it
    assert inside[CHECKPOINT_KEY] == manifest.checkpoint_sha256 == sha256(run / "generator.safetensors")
    assert json.loads(inside[TOOLS_KEY]) == manifest.tools
    assert json.loads(inside[JUDGED_KEY]) == manifest.judged == {}
    assert inside[SEEDS_KEY] == manifest.seed_algorithm == ALGORITHM


def test_nothing_of_the_machine_is_in_any_file(run, exported):
    places = [str(path).encode() for path in (run, exported, Path.cwd(), Path.home())]
    for path in exported.iterdir():
        data = path.read_bytes()
        assert not [place for place in places if place in data], path.name
        assert b"Traceback" not in data
        assert b"site-packages" not in data


def test_the_figures_of_a_run_travel_into_graph_manifest_and_card(run, converted, tmp_path):
    shutil.copy(run / "generator.safetensors", tmp_path)
    write(tmp_path / "evaluation.json", FIGURES)
    judged = export_run(tmp_path, tmp_path / "bundle").judged
    assert judged == {
        "KID-lite0": 0.0801,
        "taken_by": "evaluate",
        "images_seen": SEEN,
        "samples": 2000,
        "real_images": 2300,
        "on_the_training_data": True,
    }
    inside = {entry.key: entry.value for entry in onnx.load(tmp_path / "bundle" / GRAPH).metadata_props}
    assert json.loads(inside[JUDGED_KEY]) == judged
    assert json.loads((tmp_path / "bundle" / MANIFEST).read_text())["judged"] == judged
    assert "KID-lite0 0.0801, from 2000 samples against the training images" in (tmp_path / "bundle" / CARD).read_text()


@pytest.mark.parametrize(
    ("checkpoint", "figures"),
    [
        ("generator.safetensors", "evaluation.json"),
        ("generator.safetensors", "generator.evaluation.json"),
        ("generator.best.safetensors", "generator.best.evaluation.json"),
    ],
)
def test_figures_are_read_where_evaluate_puts_them(tmp_path, checkpoint, figures):
    write(tmp_path / figures, FIGURES)
    assert judgement(tmp_path / checkpoint, SPEC)["KID-lite0"] == 0.0801


def test_the_figures_of_a_run_are_not_those_of_its_best(tmp_path):
    write(tmp_path / "evaluation.json", FIGURES)
    assert judgement(tmp_path / "generator.best.safetensors", SPEC) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"generator": {**FIGURES["generator"], "images_seen": SEEN + 1}},
        {"generator": {**FIGURES["generator"], "preset": "other"}},
        {"generator": {**FIGURES["generator"], "trained_on": "other"}},
        {"generator": None},
        {"KID-lite0": "0.1"},
        {"KID-lite0": True},
        {"KID-lite0": float("nan")},
        {"KID-lite0": float("inf")},
        {"KID-lite0": 10**400},
        {"KID-lite0": None},
    ],
)
def test_figures_of_another_generator_or_of_none_do_not_count(tmp_path, changes):
    write(tmp_path / "evaluation.json", {**FIGURES, **changes})
    assert judgement(tmp_path / "generator.safetensors", SPEC) == {}
    write_log(tmp_path)
    assert judgement(tmp_path / "generator.safetensors", SPEC)["taken_by"] == "train"


def test_the_log_s_last_word_on_exactly_these_images_seen(tmp_path):
    write_log(tmp_path)
    assert judgement(tmp_path / "generator.safetensors", SPEC) == {
        "KID-lite0": 0.1,
        "taken_by": "train",
        "images_seen": SEEN,
        "samples": 200,
        "on_the_training_data": True,
    }
    assert judgement(tmp_path / "generator.safetensors", SPEC.with_provenance(images_seen=501)) == {}


def test_kid_proper_comes_along(tmp_path):
    figures = {**FIGURES, "KID": 0.02, "data": {"trained_on_these": False}}
    del figures["KID-lite0"]
    write(tmp_path / "evaluation.json", figures)
    found = judgement(tmp_path / "generator.safetensors", SPEC)
    assert (found["KID"], found["on_the_training_data"]) == (0.02, False)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\udcff", json.dumps({"protocol": 3})])
def test_what_is_no_record_is_no_figure(tmp_path, text):
    for name in ("evaluation.json", "log.jsonl"):
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert judgement(tmp_path / "generator.safetensors", SPEC) == {}


def test_a_record_that_never_ends_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "evaluation.json").symlink_to("/dev/zero")
    write_log(tmp_path)
    monkeypatch.setattr(provenance, "LARGEST_RECORD", 10)
    assert judgement(tmp_path / "generator.safetensors", SPEC) == {}
