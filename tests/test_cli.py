"""The command line as a person meets it: what it costs, what it says when something is wrong, how it ends."""

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import cli as command_line
from core.images import to_pillow
from tests.trainer.conftest import blobs, outlines
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.presets import PRESETS
from trainer.presets.about import JOBS

ROOT = Path(__file__).parent.parent
TINY = ("--set", "width=4", "--set", "latent_dim=8", "--batch", "8")


def cli(*arguments: object, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / "cli.py", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=cwd, env=os.environ | {"COLUMNS": "80"}
    )


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process, which saves seconds of imports for each command."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        monkeypatch.setattr(sys, "argv", ["cli.py", *map(str, arguments)])
        capsys.readouterr()
        try:
            command_line.main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    monkeypatch.setenv("COLUMNS", "80")
    return run


def assert_one_line(done: "subprocess.CompletedProcess[str]", *says: str) -> None:
    """An error of ours: status 1, one line on standard error that says what to do."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in says:
        assert word in done.stderr


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("p") / "pack", blobs(), None, PackInfo("discs", 16, 16, 4)).path


@pytest.mark.parametrize(
    "verb",
    [
        [],
        ["train"],
        ["presets"],
        ["data", "import"],
        ["evaluate"],
        ["plot"],
        ["export"],
        ["serve"],
        ["deploy"],
        ["sample"],
        ["top"],
        ["tune"],
    ],
)
def test_help_imports_nothing_heavy(verb: list[str]) -> None:
    code = (
        "import sys, cli\n"
        f"sys.argv = ['cli.py', *{verb!r}, '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert end.code in (0, None)\n"
        "heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'tritonclient', 'PIL', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_every_verb_is_in_the_help() -> None:
    listed = cli("--help").stdout
    for verb in (
        "doctor",
        "data",
        "train",
        "evaluate",
        "plot",
        "export",
        "verify",
        "publish",
        "serve",
        "deploy",
        "sample",
        "top",
        "demo",
    ):
        assert f" {verb} " in listed


def test_bad_usage_is_status_2(here: Run) -> None:
    wrong = (["trian"], ["train"], ["data", "import", "x", "y", "--size", "64", "--fit", "squeeze"])
    sample = ["sample", "x", "--out", "y"]
    contradictory = (
        sample,
        [*sample, "--seeds", "1", "--mix", "1,2", "--layers", "fine"],
        [*sample, "--seeds", "1", "--loop"],
        [*sample, "--seeds", "1", "--frames", "9"],
        [*sample, "--interpolate", "1,2", "--layers", "fine"],
        [*sample, "--mix", "1,2"],
        [*sample, "--interpolate", "1,2", "--truncation", "0,1"],
        [*sample, "--interpolate", "1,2", "--fps", "51"],
        [*sample, "--interpolate", "1,2", "--shard", "0/4"],
        [*sample, "--mix", "1,2", "--layers", "fine", "--shard", "0/4"],
        [*sample, "--seeds", "1-9", "--sheet", "z.png", "--shard", "0/4"],
        [*sample, "--seeds", "1-9", "--sheet", "z.png", "--sheet-scale", "1.5"],
        [*sample, "--seeds", "1-9", "--sheet-scale", "2"],
        [*sample, "--seeds", "1-9", "--no-sheet-labels"],
        [*sample, "--seeds", "1-9", "--truncation", "0,1", "--shard", "0/4"],
        [*sample, "--seeds", "1-9", "--ray"],
    )
    for arguments in (*wrong, *contradictory):
        done = here(*arguments)
        assert done.returncode == 2, arguments
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("error: ")
        assert "--help')" in done.stderr


def test_usage_errors_say_what_is_wrong_and_where_the_help_is(here: Run) -> None:
    said = {
        ("sampel",): "error: No such command 'sampel'. Did you mean 'sample'? (see 'cli.py --help')",
        ("train",): "error: Missing argument 'PACK' (see 'cli.py train --help')",
        ("data",): "error: Missing command (see 'cli.py data --help')",
        ("sample", "x", "--out", "y", "--seeds", "1", "--loop"): "error: --loop goes with --interpolate only (see "
        "'cli.py sample --help')",
        ("data", "import", "x", "y", "--size", "8", "--fit", "squeeze"): "error: Invalid value for '--fit': 'squeeze' "
        "is not one of 'pad', 'crop', 'stretch', 'keep' (see 'cli.py data import --help')",
    }
    for arguments, line in said.items():
        assert here(*arguments).stderr == line + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of the command line, with its group before its name."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        for each, sub in getattr(command, "commands", {}).items():
            yield from below(f"{name} {each}".strip(), sub)
        if not hasattr(command, "commands"):
            yield name, command

    return below("", typer.main.get_command(command_line.app))


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_option_s_help_is_whole_sentences(name: str, command: Any) -> None:
    for option in command.params:
        said = option.help or ""
        assert said.endswith("."), (name, option.name, said)
        assert said[0].isupper(), (name, option.name, said)
        assert len(said.split()) >= 4, (name, option.name, said)
        assert not said.startswith(("Of ", "That ", "And ", "Its ")), (name, option.name, said)
    assert len(command.help.partition(".")[0]) <= 62, f"the list of commands cuts it off: {name}"


def test_the_version_is_that_which_is_installed(here: Run) -> None:
    assert here("--version").stdout == f"Ganfoundry {importlib.metadata.version('ganfoundry')}\n"


def test_without_a_command_the_help_is_shown(here: Run) -> None:
    done = here()
    assert done.returncode == 0
    assert "\n  train      Train a generator" in done.stdout


def test_errors_are_one_line_that_says_what_to_do(here: Run, pack: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "text.txt").write_text("not a picture")
    out = tmp_path / "out"
    assert_one_line(here("data", "import", tmp_path / "nowhere", out, "--size", "64"), "nowhere")
    assert_one_line(here("data", "import", empty, out, "--size", "64"), "empty")
    assert_one_line(here("data", "import", empty, out, "--size", "65"), "64x64")
    assert_one_line(here("data", "import", empty, out, "--size", "big"), "'big' is not a size")
    assert_one_line(here("data", "import", empty, out, "--size", "64", "--grid", "a"), "32x32")
    assert_one_line(here("data", "info", empty), "data import")
    assert_one_line(here("train", empty, "--out", out), "data import")
    assert_one_line(here("train", pack, "--out", out, "--preset", "dcgam"), "did you mean dcgan")
    assert_one_line(here("train", pack, "--out", out, "--set", "bach=1"), "did you mean batch")
    assert_one_line(here("train", pack, "--out", out, "--device", "cuda:7"), "no such device")
    assert_one_line(here("train", pack, "--out", tmp_path / "text.txt" / "run"), "text.txt")
    assert_one_line(here("evaluate", out, empty), "data import")
    assert_one_line(here("evaluate", empty, pack), "train")
    assert_one_line(here("plot", empty, "--out", out), "is not a run")
    assert_one_line(here("export", empty, "--out", out), "train")
    assert_one_line(here("export", tmp_path / "text.txt", "--out", out), "text.txt")
    assert_one_line(here("verify", empty), "export")
    assert_one_line(here("publish", empty, "--name", "x", "--repository", out), "export")
    assert_one_line(here("serve", "--repository", empty, "--grpc-port", 1), "publish")
    assert_one_line(here("sample", "x", "--seeds", "0-", "--out", out), "0-63")
    assert_one_line(here("sample", "x", "--seeds", "0", "--out", out, "--url", "127.0.0.1:9"), "serve")
    assert_one_line(here("top", "--metrics-url", "http://127.0.0.1:9/metrics"), "serve", "--metrics-url")
    assert_one_line(here("tune", "x", "--repository", out), "no model 'x'", "models")
    assert_one_line(here("top", "--json", "--metrics-url", "localhost:8002"), "http://localhost:8002/metrics")
    assert_one_line(here("sample", "x", "--seeds", "0-99", "--out", out, "--shard", "64/64"), "0/64 to 63/64")
    assert not out.exists()


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


def test_an_import_shows_what_it_did_and_never_waits_for_an_answer(here: Run, tmp_path: Path) -> None:
    (tmp_path / "sprites").mkdir()
    for index, image in enumerate(blobs(4)):
        to_pillow(image).save(tmp_path / "sprites" / f"{index}.png")
    done = here("data", "import", tmp_path / "sprites", tmp_path / "pack", "--size", "16")
    assert f"contact sheet: {tmp_path / 'pack' / 'sheet.png'}\n" in done.stdout
    with Image.open(tmp_path / "pack" / "sheet.png") as sheet:
        assert sheet.size[0] > 64
    assert "\nwarning: 4 images are few" in done.stdout and "--licence NAME' notes it" in done.stdout
    noted = here("data", "info", tmp_path / "pack", "--licence", "cc by 4", "--attribution", "Ann")
    assert "--licence CC-BY-4.0' spells it so" in noted.stdout and "warning: no licence" not in noted.stdout
    again = here("data", "info", tmp_path / "pack")
    assert "cc by 4 " in again.stdout and "Ann" in again.stdout and "warning: 4 images are few" in again.stdout


def test_relative_and_full_paths_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "sprites").mkdir()
    for index, image in enumerate(blobs(4)):
        to_pillow(image).save(tmp_path / "sprites" / f"{index}.png")
    assert cli("data", "import", "sprites", "relative", "--size", "16", cwd=tmp_path).returncode == 0
    full = cli("data", "import", tmp_path / "sprites", tmp_path / "full", "--size", "16")
    assert full.returncode == 0
    ours, theirs = (np.load(tmp_path / name / "images.npy") for name in ("relative", "full"))
    assert np.array_equal(ours, theirs)
    assert cli("data", "info", "relative", cwd=tmp_path).returncode == 0
    with Image.open(tmp_path / "relative" / "sheet.png") as sheet:
        assert sheet.width >= 32


def test_doctor_looks_at_every_room(here: Run) -> None:
    done = here("doctor")
    assert done.returncode == 0
    for word in ("torch", "onnxruntime", "tritonserver", "numpy", "libpython"):
        assert word in done.stdout


def test_a_missing_package_is_one_line_that_names_it(pack: Path, tmp_path: Path) -> None:
    arguments = ["train", str(pack), "--out", str(tmp_path / "run")]
    code = f"import sys; sys.modules['torch'] = None; sys.argv[1:] = {arguments!r}; import cli; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert_one_line(done, "torch", "doctor")


def test_doctor_prints_commands_and_paths_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import cli as command_line
    import trainer.doctor
    from core.doctor import Check

    path = "/somewhere/" + "long/" * 30
    monkeypatch.setattr(trainer.doctor, "checks", lambda: [Check("torch", False, path, "pip install '.[train]'")])
    command_line.doctor()
    printed = capsys.readouterr().out
    assert "'.[train]'" in printed
    assert path in printed


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
    assert here("plot", run, run, "--out", tmp_path / "plot.png").returncode == 0
    assert (tmp_path / "plot.png").is_file()


def test_judging_without_the_weights_is_one_line_that_brings_them(pack: Path, tmp_path: Path) -> None:
    arguments = ["train", str(pack), "--out", str(tmp_path / "run"), *TINY, "--metric-every", "1"]
    code = (
        "import sys, trainer.metrics.extractor as e; e.WHEEL = 'absent-wheel'\n"
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


@pytest.fixture
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine half as fast as the one whose minutes are listed: tests/trainer/test_clock.py tries a real one."""
    monkeypatch.setattr("trainer.clock.slowness", lambda *_: 2.0)


def test_presets_are_listed_by_name(here: Run, known_speed: None) -> None:
    done = here("presets")
    assert done.returncode == 0, done.stderr
    assert all(any(line.split()[:1] == [name] for line in done.stdout.splitlines()) for name in PRESETS)
    assert "Huang et al. 2024" in " ".join(done.stdout.split())
    assert re.search(r"dcgan-cpu +32x32 .* 14 +2400", done.stdout)  # seven minutes there
    assert done.stdout.index("dcgan-cpu") < done.stdout.index("stylegan-lite") < done.stdout.index("mlp-gan")


def test_a_new_run_is_judged_by_default_and_no_other(
    here: Run, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def chosen(planned: Any, seconds: float) -> tuple[Any, str]:
        asked.append(seconds)
        changed = replace(planned.config, metric_kimg=0.016, metric_samples=16)
        return replace(planned, config=changed), "KID is taken"

    monkeypatch.setattr("trainer.judging_interval.by_default", chosen)
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


def test_pairs_are_imported_shown_and_given_a_licence(here: Run, tmp_path: Path) -> None:
    """With every option that they have."""
    images = blobs(12)
    for side, pictures in (("colour", images), ("lines", outlines(images)[:, ::2, ::2])):
        (tmp_path / side).mkdir()
        for row, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / side / f"{row // 2}_{row}.png")
    place, options = tmp_path / "pairs", ["--size", "16", "--source-size", "8", "--source-channels", "1"]
    command = ["data", "import", tmp_path / "colour", place, "--sources", tmp_path / "lines", *options]
    done = here(*command, "--held", "25%", "--group-by", "_", "--licence", "MIT", "--sources-licence", "cc by")
    assert done.returncode == 0, done.stderr
    assert "each source left of its image" in done.stdout and "--sources-licence CC-BY-4.0" in done.stdout
    made = Pack.open(place)
    assert made.sources is not None and made.sources.shape == (12, 8, 8, 1) and min(made.info.parts) > 0
    noted = here("data", "info", place, "--sources-licence", "CC-BY-4.0", "--sources-attribution", "Ann")
    assert "warning: of the sources" not in noted.stdout and "Ann" in noted.stdout
    assert_one_line(here(*command, "--overwrite", "--held", "0.25"), "--held 0.25", "10%")
    assert_one_line(here(*command, "--side-by-side"), "leave out --sources")
