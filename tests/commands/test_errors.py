"""What is wrong is said in one line: how a command is typed, what it is given, what is not installed."""

import subprocess
import sys
from pathlib import Path

from tests.running import ROOT, Run, assert_one_line


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


def test_a_missing_package_is_one_line_that_names_it(pack: Path, tmp_path: Path) -> None:
    arguments = ["train", str(pack), "--out", str(tmp_path / "run")]
    code = f"import sys; sys.modules['torch'] = None; sys.argv[1:] = {arguments!r}; import cli; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert_one_line(done, "torch", "doctor")
