"""One writer at a time, and signals that ask politely."""

import signal
from pathlib import Path

import pytest

from core.errors import TrainingError
from trainer.interrupts import only_one, stop_signals
from trainer.run import Run


def test_a_run_has_one_writer_until_it_ends(tmp_path: Path) -> None:
    run = Run(tmp_path / "new" / "run")
    said = f"another training is writing to {run.root}: wait for it, or use another --out"
    for _ in range(2):
        with only_one(run):
            assert [path.name for path in run.root.iterdir()] == [".lock"]
            with pytest.raises(TrainingError, match=said), only_one(run):
                pytest.fail("two of them")
    (tmp_path / "file").touch()
    with (
        pytest.raises(TrainingError, match=r"cannot write to .*: choose another --out"),
        only_one(Run(tmp_path / "file")),
    ):
        pytest.fail("into a file")


def test_the_first_signal_is_noted_and_ctrl_c_after_it_is_raised() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for first in (signal.SIGTERM, signal.SIGINT):
        with pytest.raises(KeyboardInterrupt), stop_signals() as stopping:
            assert stopping() is False
            signal.raise_signal(first)
            assert stopping() is True
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        assert {number: signal.getsignal(number) for number in before} == before
