"""Where artists sit: the road without Triton, and without what Windows' Python lacks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cli
from commands.demo import demo
from commands.publishing import publish
from commands.serving import serve
from core.difference import MOST_LEVELS, levels_apart
from core.errors import UnsupportedSystem
from core.system import fault_of_name

ROOT = Path(__file__).parent.parent
POSIX = ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty")
SERVING = ("tritonclient", "pytriton", "grpc", "cryptography", "prometheus_client", "psutil", "yaml")
WALK = """
import builtins, io, os, signal, sys
for name in {absent}:
    sys.modules[name] = None
for name in ("SIGHUP", "SIGQUIT", "SIGUSR1", "SIGALRM", "SIGCHLD"):
    delattr(signal, name)
for name in ("killpg", "setsid", "sched_getaffinity", "O_CLOEXEC", "getuid"):
    delattr(os, name)
really_open = io.open
def open_as_windows_does(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **rest):
    writes_text = "b" not in mode and not mode.startswith("r")
    ends = "\\r\\n" if newline is None and writes_text else newline
    return really_open(file, mode, buffering, encoding, errors, ends, **rest)
io.open = builtins.open = open_as_windows_does
import cli
for line in {commands}:
    sys.argv = ["ganfoundry", *line]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise
"""


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """import → train → export → verify → sample from the bundle, in a process of its own."""
    place = tmp_path_factory.mktemp("elsewhere")
    (place / "in").mkdir()
    for index in range(8):
        picture = Image.new("RGB", (16, 16), (index * 30, 90, 200 - index * 20))
        picture.paste((250, 250, index), (index, 4, index + 6, 12))  # what is flat would be left out
        picture.save(place / "in" / f"{index}.png")
    tiny = ["--set", "width=4", "--set", "latent_dim=4", "--kimg", "0.016", "--batch", "8", "--metric-every", "0"]
    bundle = str(place / "bundle")
    commands = [
        ["data", "import", str(place / "in"), str(place / "pack"), "--size", "16"],
        ["train", str(place / "pack"), "--out", str(place / "run"), "--preset", "dcgan-cpu", *tiny],
        ["export", str(place / "run"), "--out", bundle],
        ["verify", bundle],
        ["sample", bundle, "--seeds", "0-3", "--out", str(place / "images"), "--sheet", str(place / "sheet.png")],
        ["sample", str(place / "run"), "--seeds", "0-3", "--out", str(place / "of_the_run")],
        ["sample", bundle, "--interpolate", "1,2", "--frames", "3", "--out", str(place / "way")],
    ]
    program = WALK.format(absent=POSIX + SERVING, commands=commands)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_the_road_is_walked_without_what_windows_lacks(road):
    assert sorted(path.name for path in (road / "images").iterdir()) == [f"{seed:010d}.png" for seed in range(4)]
    with Image.open(road / "images" / "0000000003.png") as picture, Image.open(road / "sheet.png") as sheet:
        assert (picture.info["Seed"], sheet.info["Page"], sheet.mode) == ("3", "1 of 1", "RGB")


def test_a_run_makes_the_pictures_that_its_bundle_will_make(road):
    for picture in (road / "images").iterdir():
        with Image.open(picture) as exported, Image.open(road / "of_the_run" / picture.name) as unexported:
            assert levels_apart(np.asarray(exported), np.asarray(unexported)) <= MOST_LEVELS


def test_every_name_that_is_written_is_one_on_windows(road):
    parts = {part for path in road.rglob("*") for part in path.relative_to(road).parts}
    assert len(parts) > 20
    assert {part: fault for part in parts if (fault := fault_of_name(part))} == {}
    lower = [str(path.relative_to(road)).lower() for path in road.rglob("*")]
    assert len(set(lower)) == len(lower)


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_what_needs_triton_says_what_to_do_instead(monkeypatch, tmp_path, system):
    monkeypatch.setattr(sys, "platform", system)
    for call in (
        lambda: serve(tmp_path),
        lambda: publish(tmp_path, "model", tmp_path),
        lambda: demo(tmp_path, server=True),
    ):
        with pytest.raises(UnsupportedSystem, match=r"container.*sample BUNDLE"):
            call()


def test_text_is_the_same_bytes_on_every_system(road):
    """Windows ends lines with two characters unless told: shell scripts would not start, and hashes would differ."""
    texts = [path for path in road.rglob("*") if path.suffix in (".json", ".jsonl", ".md", ".csv", ".txt", ".sh")]
    assert {"log.jsonl", "config.json", "manifest.json", "CARD.md"} <= {path.name for path in texts}
    assert [path for path in texts if b"\r" in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("model", "said"),
    [("exports/sprytes", "exports/sprytes is neither a bundle"), ("sprytes", "there is no bundle or run sprytes here")],
)
def test_a_bundle_with_a_typo_is_said_to_be_missing(monkeypatch, capsys, tmp_path, model, said):
    """Nobody who has no server is told to start one, or what to install for it, without that."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    monkeypatch.setattr(sys, "argv", ["ganfoundry", "sample", model, "--seeds", "0", "--out", "images"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert (end.value.code, said in capsys.readouterr().err) == (1, True)
