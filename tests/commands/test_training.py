"""``train`` and ``presets`` as they are typed: what is shown before, how a run is stopped, what is listed."""

import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.running import ROOT, TINY, Run, assert_one_line
from trainer.presets import PRESETS
from trainer.presets.about import JOBS


@pytest.fixture
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine half as fast as the one whose minutes are listed: tests/trainer/test_clock.py tries a real one."""
    monkeypatch.setattr("trainer.clock.slowness", lambda *_: 2.0)


def test_the_dry_run_shows_everything_and_does_nothing(here: Run, pack: Path, tmp_path: Path) -> None:
    done = here("train", pack, "--out", tmp_path / "run", "--preset", "dcgan", "--dry-run", *TINY)
    assert done.returncode == 0
    assert re.search(r"about [\d.]+ (seconds?|minutes) for 200 kimg on this machine", done.stdout)
    for word in ("ConvTranspose2d", "BatchNorm2d", "Tanh", "1x4x16x16", '"beta1": 0.5', "generator", "discriminator"):
        assert word in done.stdout
    assert not (tmp_path / "run").exists()
    assert here("train", pack, "--dry-run", "--kimg", 0.01, *TINY).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_saves_and_the_same_command_goes_on(pack: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, ROOT / "cli.py", "train", pack, "--out", tmp_path / "run", *TINY]
    command += ["--set", "log_kimg=0.1", "--metric-every", "0", "--kimg"]
    with subprocess.Popen([*map(str, command), "1000"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("of 1,000,000 images" in line for line in iter(process.stdout.readline, ""))
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(60) == 3
    assert "run the same command to go on" in rest
    again = subprocess.run([*map(str, command), "0.01"], capture_output=True, text=True, timeout=60)
    assert again.returncode == 0
    assert "continuing after" in again.stdout
    assert "already trained" in again.stdout


def test_judging_without_the_weights_is_one_line_that_brings_them(pack: Path, tmp_path: Path) -> None:
    arguments = ["train", str(pack), "--out", str(tmp_path / "run"), *TINY, "--metric-every", "1"]
    code = (
        "import sys, dataclasses, trainer.metrics.extractor as e; "
        "e.LITE0 = dataclasses.replace(e.LITE0, wheel='absent-wheel')\n"
        f"sys.argv[1:] = {arguments!r}; import cli; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert_one_line(done, "pip install absent-wheel")


def test_commands_compute_with_as_many_threads_as_they_are_given(here: Run, pack: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        done = here("train", pack, "--out", tmp_path / "run", "--threads", "3", "--dry-run", *TINY)
        assert (done.returncode, torch.get_num_threads()) == (0, 3)
    finally:
        torch.set_num_threads(before)
    assert here("train", pack, "--out", tmp_path / "run", "--threads", "0", *TINY).returncode == 2


def test_a_new_run_is_judged_by_default_and_no_other(
    here: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def chosen(planned: Any, seconds: float) -> tuple[Any, str]:
        asked.append(seconds)
        changed = replace(planned.config, metric_kimg=0.016, metric_samples=16)
        return replace(planned, config=changed), "KID is taken"

    monkeypatch.setattr("trainer.preparing.by_default", chosen)
    command = ("train", pack, "--out", tmp_path / "run", *TINY, "--kimg")
    assert "KID is taken" in here(*command, 0.016, "--dry-run").stdout
    assert "KID is taken" in here(*command, 0.016).stdout
    assert asked == [0.0, 0.0]  # of a run that is over at once
    went_on = here(*command, 0.032)
    assert "KID-lite0" in went_on.stdout and "KID is taken" not in went_on.stdout
    for number, given in enumerate((["--metric-every", 0], ["--set", "metric_samples=16"])):
        assert here("train", pack, "--out", tmp_path / str(number), *TINY, "--kimg", 0.016, *given).returncode == 0
    assert len(asked) == 2


def test_settings_are_listed_for_a_preset_a_pack_and_a_run(here: Run, pack: Path, tmp_path: Path) -> None:
    bare = here("train", "--list-settings")
    assert bare.returncode == 0, bare.stderr
    assert "settings of dcgan-cpu" in bare.stdout
    for arguments, rate in (([], "0.0004"), (["--preset", "r3gan-cpu", "--set", "learning_rate_g=7e-4"], "0.0007")):
        listed = here("train", pack, "--list-settings", *arguments).stdout
        (line,) = [line for line in listed.splitlines() if line.split()[:1] == ["learning_rate_g"]]
        assert line.split()[1:3] == ["*", rate]
    assert_one_line(here("train", tmp_path / "none", "--list-settings"), "is not a pack")
    assert_one_line(here("train", "--list-settings", "--preset", "dcgam"), "did you mean dcgan?")
    assert not (tmp_path / "none").exists()


def test_presets_are_listed_by_name(here: Run, known_speed: None) -> None:
    done = here("presets")
    assert done.returncode == 0, done.stderr
    assert all(any(line.split()[:1] == [name] for line in done.stdout.splitlines()) for name in PRESETS)
    assert "Huang et al. 2024" in " ".join(done.stdout.split())
    assert re.search(r"dcgan-cpu +32x32 .* 14 +2400", done.stdout)  # seven minutes there
    assert done.stdout.index("dcgan-cpu") < done.stdout.index("stylegan-lite") < done.stdout.index("mlp-gan")


def test_a_preset_is_shown_with_all_its_numbers_in_words(here: Run) -> None:
    done = here("presets", "r3gan-cpu")
    assert done.returncode == 0, done.stderr
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("penalty_every 8 ") for line in said)
    assert "Huang et al. 2024" in said[0]
    assert_one_line(here("presets", "r3gan-cpi"), "did you mean r3gan")


def test_a_table_in_a_pipe_has_a_line_for_each_row(
    here: Run, known_speed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [line for line in here("presets").stdout.splitlines() if line.strip()]
    assert len(rows) == 3 * len(JOBS) + len(PRESETS) + 1  # title, heads and a rule for each job; and a note
    assert max(map(len, rows)) < 200
