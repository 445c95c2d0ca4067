"""``--help``: what it costs, that it names every command, and that it is whole sentences."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import cli as command_line
from tests.running import ROOT, Run, cli


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
