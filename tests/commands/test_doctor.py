"""``doctor``: every room is looked at, and what is printed can be copied."""

import pytest

import trainer.doctor
from commands.doctor import doctor
from core.doctor import Check
from tests.running import Run


def test_doctor_looks_at_every_room(here: Run) -> None:
    done = here("doctor")
    assert done.returncode == 0
    for word in ("torch", "onnxruntime", "tritonserver", "numpy", "libpython"):
        assert word in done.stdout


def test_doctor_prints_commands_and_paths_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/somewhere/" + "long/" * 30
    monkeypatch.setattr(trainer.doctor, "checks", lambda: [Check("torch", False, path, "pip install '.[train]'")])
    doctor()
    printed = capsys.readouterr().out
    assert "'.[train]'" in printed
    assert path in printed
