"""The recorded walk of a new user, on a tiny sheet: every command of it runs as typed, and the text says so."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import benchmarks.first_hour as walk
import cli
from tests.trainer.conftest import blobs


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands without the seconds that each needs to begin."""

    def execute(command: list[str], work: Path) -> tuple[int, str]:
        assert command[:2] == [sys.executable, str(walk.ROOT / "cli.py")]
        capsys.readouterr()
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            patch.chdir(work)
            patch.setattr(sys, "argv", ["ganfoundry", *command[2:]])
            cli.main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out + printed.err

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(walk, "execute", execute)


def test_the_walk_from_a_sheet_to_the_sprites_that_are_kept(
    in_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprites, work, text = blobs(36, 16, 16), tmp_path / "work", tmp_path / "hour.txt"
    sheet = np.concatenate([np.concatenate(list(sprites[row : row + 6]), 1) for row in range(0, 36, 6)])
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    tiny = "--preset dcgan-cpu --kimg 0.2 --batch 8 --set width=4 --set latent_dim=8 --set log_kimg=0.008"
    begin = [
        "--images",
        str(tmp_path / "sheet.png"),
        "--import",
        "--size 16 --grid 16x16",
        "--train",
        tiny,
        "--evaluate",
        "--samples 16",
    ]
    for arguments in (begin, ["--keep", "1,2,5"]):
        monkeypatch.setattr(sys, "argv", ["first_hour", str(work), str(text), *arguments])
        walk.main()
    record = text.read_text(encoding="utf-8")
    assert re.findall(r"^\$ ganfoundry (\w+)", record, re.MULTILINE) == [
        "data",
        "train",
        "sample",
        "evaluate",
        "sample",
    ]
    assert len(re.findall(r"^\[\d+ s\]$", record, re.MULTILINE)) == 5
    assert re.search(r"^… 2\d more such lines$", record, re.MULTILINE)
    assert str(tmp_path) not in record
    assert {path.name for path in (work / "kept").glob("*.png")} >= {"sheet.png"}
    assert len(list((work / "kept").glob("*.png"))) == 4


def test_lines_that_differ_in_figures_alone_are_left_out() -> None:
    lines = [f"{index} of 9 images  {index} images/s" for index in range(9)]
    shown = walk.shortened("\n".join(["begin", *lines, "end"]))
    assert shown == "\n".join(["begin", *lines[:2], "… 5 more such lines", *lines[-2:], "end", ""])
    assert walk.shortened("a  \nb") == "a\nb\n"
