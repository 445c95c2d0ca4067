"""``evaluate`` of translators, as it is typed: what is printed, what is written, and what is said in one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.running import Run, assert_one_line
from tests.trainer.conftest import blobs
from tests.trainer.metrics.conftest import thumbnails
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer.data.pack import PackInfo, write_pack
from trainer.metrics.extractor import Extractor
from trainer.presets import PRESETS

TINY = ("--set", "width=4", "--batch", 8, "--kimg", 0.016, "--metric-every", 0.016, "--set", "previews=4")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.metrics.report.extractor_of", lambda *_: Extractor("lite0", {}, thumbnails))
    monkeypatch.setattr("trainer.hooks.judging.lite0", lambda *_: Extractor("lite0", {}, thumbnails))


def test_a_run_on_pairs_is_judged_beside_what_it_must_beat(here: Run, tmp_path: Path) -> None:
    pack, run = paired_pack(tmp_path / "pairs", 100), tmp_path / "run"
    trained = here("train", pack.path, "--out", run, "--preset", "colourise-cpu", *TINY)
    assert trained.returncode == 0, trained.stderr
    assert "L1-validation" in trained.stdout
    done = here("evaluate", run, pack.path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for word in ("model", "identity", "mean image", "nearest neighbour", "flood fill"):
        assert word in " ".join(lines)
    rule = next(index for index, line in enumerate(lines) if set(line.strip()) == {"─"})
    assert lines[rule + 1].strip().startswith("L1, premultiplied  ")
    written = json.loads((run / "evaluation.json").read_text())
    assert f"verdict: {written['verdict']['words']}" in done.stdout
    whole = PRESETS["colourise-cpu"]().kimg
    assert f"cli.py train {pack.path} --out {run} --kimg {whole:g}" in done.stdout
    assert written["data"]["trained_on_these"]
    assert (run / "evaluation.png").is_file()
    best = here("evaluate", run / "generator.best.safetensors", pack.path)
    assert best.returncode == 0, best.stderr

    # What it cannot be judged by
    plain = write_pack(tmp_path / "plain", blobs(), None, PackInfo("discs", 16, 16, 4)).path
    assert_one_line(here("evaluate", run, plain), "has no sources to translate", "--sources FOLDER")
    larger = paired_pack(tmp_path / "larger", 100, side=32).path
    assert_one_line(here("evaluate", run, larger), "takes pictures of 16x16", "holds sources of 32x32")
    assert_one_line(here("evaluate", run, unpaired_pack(tmp_path / "few").path), "at least 16", "--held")
    info = replace(pack.info, parts=(), count=0, fingerprint="")
    whole = write_pack(tmp_path / "whole", pack.images, None, info, sources=pack.sources).path
    assert_one_line(here("evaluate", run, whole), "holds no pairs out", "--held 10%")
    assert_one_line(here("evaluate", run, pack.path, "--samples", 3), "at least 16 samples")


def test_a_cycle_is_judged_both_ways(here: Run, tmp_path: Path) -> None:
    pack, run = unpaired_pack(tmp_path / "two", 200, 180).path, tmp_path / "run"
    small = ("--set", "discriminator.field=16")
    assert here("train", pack, "--out", run, "--preset", "cyclegan-cpu", *TINY, *small).returncode == 0
    done = here("evaluate", run, pack)
    assert done.returncode == 0, done.stderr
    for word in ("sources to images", "images to sources", "L1 there and back", "two halves of the real ones"):
        assert word in done.stdout
    best = here("evaluate", run / "generator.best.safetensors", pack)
    assert best.returncode == 0, best.stderr
    assert "images to sources" in best.stdout and "L1 there and back" in best.stdout
    back = here("evaluate", run / "generator.b2a.safetensors", pack)
    assert back.returncode == 0, back.stderr
    assert "images to sources" in back.stdout
    assert "sources to images" not in back.stdout
    assert "L1 there and back" not in back.stdout


def test_a_noise_generator_does_not_mind_sources(here: Run, tmp_path: Path) -> None:
    pack, run = paired_pack(tmp_path / "pairs", 100).path, tmp_path / "run"
    assert here("train", pack, "--out", run, "--preset", "dcgan-cpu", *TINY, "--set", "latent_dim=8").returncode == 0
    done = here("evaluate", run, pack, "--samples", 20)
    assert done.returncode == 0, done.stderr
    assert "precision" in done.stdout
