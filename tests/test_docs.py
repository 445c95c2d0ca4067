"""What the documents tell people to type: every command of ours in them is one that the command line takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*/README.md"))]
FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
OURS = re.compile(r"^(?:\S*python\S* )?(?:\S*/)?(?:cli\.py|ganfoundry) (.*)$")


def typed() -> Iterator[tuple[str, str]]:
    """Every command of ours in a block of code, with the page that has it."""
    for page in PAGES:
        for block in FENCED.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if found := OURS.match(line.removeprefix("$ ").strip()):
                    yield page.relative_to(ROOT).as_posix(), found[1]


@pytest.mark.parametrize(("page", "line"), typed())
def test_a_command_in_a_document_is_one_that_can_be_typed(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    command = typer.main.get_command(cli.app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    command.make_context(line, words)


def test_the_documents_show_every_command() -> None:
    lines = {line for _, line in typed()}
    missing = [
        name
        for name in typer.main.get_command(cli.app).commands
        if not any(line.startswith(f"{name} ") or line == name for line in lines)
    ]
    assert missing == []


def test_links_between_documents_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "RESULTS.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
