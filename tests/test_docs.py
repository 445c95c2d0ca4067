"""What the documents tell people: commands can be typed, links lead somewhere, tables say what the code says."""

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

import cli
from benchmarks.preset_table import CUT, TABLE, table
from tests.documents import PAGES, ROOT, Typed, blocks, commands, mentioned
from trainer.presets import PRESETS

# What blocks of commands may begin a line with besides our own, and why no test here runs it.
ELSEWHERE = {
    "make": "sets up the very environment that the tests run in; .ci/run begins with it",
    "pip": "installs packages, as make does",
    "docker": "there is no Docker here; tests/serving/deploy holds the files against their schemas",
    "kubectl": "there is no cluster here; tests/serving/deploy runs what of it needs none",
    "tar": "tests/serving/deploy/test_docs.py runs it",
    "cd": "tests/serving/deploy/test_docs.py runs what follows it",
    "umask": "makes a key for Docker",
    "for": "loops of launchers and checks; the commands of ours inside are run",
    "done": "the end of a loop",
    "curl": "tests/serving/test_examples.py asks a server",
    "echo": "tests/serving/test_examples.py asks a server",
    "./asset.sh": "tests/serving/test_examples.py runs it",
    "./translate.sh": "tests/serving/test_examples.py runs it",
    "python": "tests/serving/test_examples.py runs them",
    "node": "tests/serving/test_examples.py runs them",
    "dotnet": "fetches packages; tests/serving/test_examples.py compiles the client with Mono",
    "npm": "fetches packages",
    "cp": "copies a bundle; tests of export/targets open one in a browser",
    "python3": "serves files until it is stopped",
    "sudo": "changes the machine; systemd itself reads the unit in tests/serving/test_examples.py",
    "journalctl": "reads the journal of a service that sudo started",
    "tritonserver": "tests/serving starts the bundled one on such a folder",
}
ASSIGNMENT = re.compile(r"^[A-Za-z_]+=")


@pytest.mark.parametrize("typed", dict.fromkeys(commands()), ids=str)
def test_a_command_in_a_document_is_one_that_can_be_typed(typed: Typed) -> None:
    words = shlex.split(typed.line, comments=True)
    command = typer.main.get_command(cli.app)
    if words == ["--version"]:
        return
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    command.make_context(typed.line, words)


@pytest.mark.parametrize("typed", dict.fromkeys(mentioned()), ids=str)
def test_a_command_in_a_sentence_is_there_with_its_options(typed: Typed) -> None:
    command, words = typer.main.get_command(cli.app), typed.line.split()
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command is not typer.main.get_command(cli.app)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}


def test_the_documents_show_every_command() -> None:
    lines = {typed.line for typed in commands()}
    missing = [
        name
        for name in typer.main.get_command(cli.app).commands
        if not any(line.startswith(f"{name} ") or line == name for line in lines)
    ]
    assert missing == []


def test_whatever_else_is_typed_has_its_reason_for_not_being_run_here() -> None:
    found = set()
    for _, block in blocks(""):
        lines = re.sub(r"(\\|\||'\{[^']*'|\$\([^)]*)\n", r"\1 ", re.sub(r"'[^']*'", "''", block)).splitlines()
        for line in filter(None, lines):
            word = line.lstrip("(").split(maxsplit=1)[0].rstrip(";")
            if not (
                line.startswith((" ", "#", "…")) or ASSIGNMENT.match(line) or word.endswith(("ganfoundry", "cli.py"))
            ):
                found.add(word)
    assert found == set(ELSEWHERE)


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


def test_pages_that_anything_names_are_there() -> None:
    """In code, messages, examples and other documents."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs git, in a clone")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".txt", ".yaml", ".yml", ".toml", ""} and path.is_file():
            for page in re.findall(r"(?<![\w/])docs/[a-z0-9_-]+\.(?:md|txt)", path.read_text(encoding="utf-8")):
                assert (ROOT / page).exists() or page == "docs/operators.md", (
                    f"{name}: {page}"
                )  # that one is TensorRT's


def test_the_architecture_tells_each_folder_and_each_wall() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for room in ("commands", "core", "trainer", "export", "serving"):
        folders = [path.parent.relative_to(ROOT).as_posix() for path in (ROOT / room).glob("*/__init__.py")]
        assert [folder for folder in folders if f"`{folder}/`" not in text] == []
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert [wall["name"] for wall in contracts if f"**{wall['name']}" not in text] == []


def test_the_table_of_presets_is_what_the_presets_say() -> None:
    """Mend it with ``python benchmarks/preset_table.py``."""
    page = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert TABLE.findall(page) == [table()]
    assert all(f"| `{name}` |" in page for name in PRESETS)
    assert all((ROOT / "docs" / "presets" / f"{name}.png").exists() for name in CUT)


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="no MkDocs: pip install -c constraints.txt '.[docs]'")
def test_the_documents_make_a_web_site(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ganfoundry" in (tmp_path / "index.html").read_text(encoding="utf-8")
