"""What the documents hold that tests look at: their pages, blocks of commands and commands of ours.

A block of code without a language is commands for a shell, so output and drawings are ``text``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "benchmarks/RESULTS.md")),
    *(ROOT / name for name in ("deploy/README.md", "model_repository/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
FENCED = re.compile(r"^```([a-z]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`ganfoundry ([^`]+)`")
OURS = re.compile(r"^(?:[A-Z_]+=\S+ )?(?:\S*python\S* )?(?:\S*/)?(?:cli\.py|ganfoundry) (.*)$")


@dataclass(frozen=True)
class Typed:
    """A command of ours, without the program's name, and the page that has it."""

    page: str
    line: str

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """The blocks of code in those languages, each with its page; all blocks unless any is named."""
    for page in PAGES:
        for language, block in FENCED.findall(page.read_text(encoding="utf-8")):
            if not languages or language in languages:
                yield page.relative_to(ROOT).as_posix(), block


def commands() -> Iterator[Typed]:
    """Every command of ours in a block of code."""
    for page, block in blocks("", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if found := OURS.match(line.removeprefix("$ ").strip()):
                yield Typed(page, re.sub(r"\s+#\s.*$", "", found[1]))


def mentioned() -> Iterator[Typed]:
    """Every command of ours in a sentence, but for those with something left out or a word to be replaced."""
    for page in PAGES:
        for line in INLINE.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
            if "…" not in line and not re.search(r"\b[A-Z]{4,}\b", line):
                yield Typed(page.relative_to(ROOT).as_posix(), " ".join(line.split()))
