"""The list of mutants that compute the same (tests/mutation/equivalent) names what is there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LISTS = sorted(Path(__file__).parent.glob("mutation/equivalent/*.txt"))


def defined(node: ast.AST, inside: str = "") -> Iterator[str]:
    """The functions and classes under ``node``, as the lists call them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield inside + child.name
            yield from defined(child, f"{inside}{child.name}.")
        else:
            yield from defined(child, inside)


@pytest.mark.parametrize("listed", LISTS, ids=lambda path: path.stem)
def test_every_mutant_listed_is_of_a_function_that_is_there(listed: Path) -> None:
    root = Path(__file__).parent.parent
    lines = [line.split(" | ") for line in listed.read_text(encoding="utf-8").splitlines() if " | " in line]

    gone = []
    for file, name, *_ in lines:
        known = (
            {"module", *defined(ast.parse((root / file).read_text(encoding="utf-8")))}
            if (root / file).is_file()
            else set()
        )
        if name not in known:
            gone.append(f"{file} | {name}")
    assert gone == []
