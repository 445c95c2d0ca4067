"""What a bundle says of where it comes from, and what it does not give away."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from core.bundle import CARD, GRAPH, MANIFEST, read_manifest
from core.contract import CHECKPOINT_KEY, JUDGED_KEY, SEEDS_KEY, SPEC_KEY, TOOLS_KEY, VERSION_KEY
from core.files import sha256
from core.latents import ALGORITHM
from core.spec import GeneratorSpec
from export.bundles import provenance
from export.bundles.card import render_card
from export.bundles.exporting import export_run
from export.bundles.provenance import judgement
from export.checks.verification import Verification
from tests.export.conftest import PROVENANCE, SIZES, tiny_spec, translator_spec

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


PAIRS = {
    "figures": {"l1": 8.25, "filled": 7.5, "iou": None, "psnr": 20.0, "KID-lite0": 0.05},
    "protocol": {"pairs": 213, "known": 1800},
    "direction": "sources to images",
    "generator": FIGURES["generator"],
    "data": {"trained_on_these": True},
}
DOMAINS = {
    **PAIRS,
    "figures": {
        "sources to images": {"KID-lite0": 0.2, "cycle_l1": 9.5, "identity_l1": None},
        "images to sources": {"KID-lite0": 0.4, "cycle_l1": 12.0, "identity_l1": 3.0},
    },
    "protocol": {"pictures": {"sources to images": {"held": 40}, "images to sources": {"held": 50}}},
}
TRANSLATOR = translator_spec("unet", "RGBA to RGBA")
BACK = replace(TRANSLATOR, source=replace(TRANSLATOR.source, origin="images"))
RESTS_ON = {"taken_by": "evaluate", "images_seen": SEEN, "on_the_training_data": True}


@pytest.mark.parametrize(
    ("record", "there", "back", "said"),
    [
        (
            PAIRS,
            {"l1": 8.25, "filled": 7.5, "KID-lite0": 0.05, "pairs": 213},
            {},
            "L1 8.25, L1 inside filled regions 7.5, KID-lite0 0.05, of 213 pairs held out of its data.",
        ),
        (
            DOMAINS,
            {"KID-lite0": 0.2, "cycle_l1": 9.5, "pictures": 40},
            {"KID-lite0": 0.4, "cycle_l1": 12.0, "identity_l1": 3.0, "pictures": 50},
            "KID-lite0 0.2, L1 there and back 9.5, of 40 pictures held out of its data.",
        ),
        (
            {**PAIRS, "there_and_back": DOMAINS},
            {"l1": 8.25, "filled": 7.5, "KID-lite0": 0.05, "pairs": 213},
            {"KID-lite0": 0.4, "cycle_l1": 12.0, "identity_l1": 3.0, "pictures": 50},
            "L1 8.25, L1 inside filled regions 7.5, KID-lite0 0.05, of 213 pairs held out of its data.",
        ),
    ],
)
def test_a_translator_s_figures_are_those_of_its_direction(tmp_path, record, there, back, said):
    write(tmp_path / "evaluation.json", record)
    found = judgement(tmp_path / "generator.safetensors", TRANSLATOR)
    assert found == {**there, **RESTS_ON}
    assert judgement(tmp_path / "generator.b2a.safetensors", BACK) == ({**back, **RESTS_ON} if back else {})
    assert f"\n{said} L1 is in levels of 255.\n" in card_of(TRANSLATOR, found)
    (tmp_path / "evaluation.json").rename(tmp_path / "generator.best.evaluation.json")
    assert judgement(tmp_path / "generator.best.safetensors", TRANSLATOR) == found
    assert judgement(tmp_path / "generator.best.b2a.safetensors", BACK).keys() >= back.keys()
    elsewhere = {**record, "data": {"trained_on_these": False}}
    write(tmp_path / "evaluation.json", elsewhere)
    other = card_of(TRANSLATOR, judgement(tmp_path / "generator.safetensors", TRANSLATOR))
    assert "of other data than it was trained on. L1 is" in other


def test_what_a_translator_was_chosen_by_is_no_figure_of_it(tmp_path):
    write_log(tmp_path)
    assert judgement(tmp_path / "generator.safetensors", TRANSLATOR) == {}
    assert "How good its results are is not known: `evaluate` was not run before." in card_of(TRANSLATOR, {})


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("", "mirrored and moved:"),
        ("held", "mirrored and moved, held out of its training:"),
        ("validation", "mirrored and moved, held out of its training:"),
        ("train", "mirrored and moved, which it was trained on: its data held none out:"),
    ],
)
def test_the_card_says_which_pictures_travel_with_a_translator(part, said):
    assert said in card_of(TRANSLATOR.with_provenance(source_examples=part), {})
    assert "examples" not in card_of(SPEC, {})


def card_of(spec, judged):
    figures = {"levels": 0, "pixels": 0.0}
    tried = {"onnxruntime_against_pytorch_by_batch": {"1": figures}, "row_alone_against_row_in_batch": figures}
    return render_card("it", spec, Verification.from_json(tried), judged=judged)


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
