"""The command line as tests run it: in a process of its own, or, which is quicker, in this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli as command_line
from core.errors import GanfoundryError
from tests.trainer.conftest import blobs
from trainer.data.pack import PackInfo, write_pack

ROOT = Path(__file__).parent.parent
TINY = ("--set", "width=4", "--set", "latent_dim=8", "--batch", "8")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def cli(*arguments: object, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / "cli.py", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=cwd, env=os.environ | {"COLUMNS": "80"}
    )


def output_of(*words: object, status: int = 0) -> str:
    """What a command says that ends with ``status``, run in this process; raises the error of ours it ends with."""
    result = CliRunner().invoke(command_line.app, [str(word) for word in words])
    if isinstance(result.exception, GanfoundryError):
        assert "\n" not in str(result.exception)
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output


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


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pack of discs."""
    return write_pack(tmp_path_factory.mktemp("p") / "pack", blobs(), None, PackInfo("discs", 16, 16, 4)).path


def assert_one_line(done: "subprocess.CompletedProcess[str]", *says: str) -> None:
    """An error of ours: status 1, one line on standard error that says what to do."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in says:
        assert word in done.stderr
