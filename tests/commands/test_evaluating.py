"""``evaluate`` and ``plot`` as they are typed, of a run and of its bundle."""

import json
from pathlib import Path

import pytest

from tests.running import TINY, Run, assert_one_line
from tests.trainer.conftest import blobs
from trainer.data.pack import PackInfo, write_pack


def test_a_run_and_its_bundle_are_judged_alike_and_in_one_line_where_they_cannot_be(
    here: Run, pack: Path, tmp_path: Path
) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    assert (
        here(
            "train", pack, "--out", run, *TINY, "--kimg", 0.016, "--metric-every", 0.016, "--set", "metric_samples=16"
        ).returncode
        == 0
    )
    assert (run / "generator.best.safetensors").is_file()
    assert here("export", run, "--out", bundle).returncode == 0
    figures = []
    for source, results in ((run, run / "evaluation.json"), (bundle, tmp_path / "bundle.evaluation.json")):
        done = here("evaluate", source, pack, "--samples", 20)
        assert done.returncode == 0, done.stderr
        for word in ("KID-lite0", "precision", "recall", "Fréchet distance (lite0)"):
            assert word in done.stdout
        assert "FID" not in done.stdout
        first, *_ = done.stdout.splitlines()
        assert first.startswith("about ") and "20 images to make and judge, 40 real ones" in first
        held = json.loads(results.read_text())
        assert f"verdict: {held['verdict']['words']}" in done.stdout
        assert "of 40 distinct images one in a hundred is no measure" in held["verdict"]["remarks"][-1]
        assert held["KID-lite0_of_real_images_at_half_and_quarter_size_and_of_noise"].keys() == {
            "half",
            "quarter",
            "noise",
        }
        assert (f" train {pack} --out {run} --kimg" in done.stdout) == (source is run)
        assert results.with_suffix(".png").is_file()
        figures.append(json.loads(results.read_text())["lite0"])
    assert figures[0]["kid"] > 0.1
    assert figures[1] == pytest.approx(figures[0], rel=1e-3, abs=1e-4)
    assert here("verify", bundle).returncode == 0
    assert_one_line(here("evaluate", run, pack, "--samples", 5), "at least 16 samples")
    assert_one_line(here("evaluate", bundle, pack, "--json", bundle / "x.json"), "sealed")
    larger = write_pack(tmp_path / "larger", blobs(40, 32, 32), None, PackInfo("larger", 32, 32, 4)).path
    assert_one_line(here("evaluate", run, larger), "16x16", "32x32")
    assert_one_line(here("evaluate", run, pack, "--inception", run / "config.json"), "pt_inception-2015-12-05-6726825d")
    second = here("evaluate", run, pack, "--samples", 20, "--judge", "lite2")
    assert second.returncode == 0, second.stderr
    assert "KID-lite2" in second.stdout and "KID-lite0" not in second.stdout
    assert_one_line(here("evaluate", run, pack, "--judge", "lite1"), "choose from lite0, lite2")
    assert here("plot", run, run, "--out", tmp_path / "plot.png").returncode == 0
    assert (tmp_path / "plot.png").is_file()
