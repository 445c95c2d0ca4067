"""What is printed can be read by programs, line by line, and is what was meant to be printed."""

import pytest

from commands.console import print_facts, print_table, say

LONG = "a/" * 100


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_a_line_is_whole_and_as_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"pip install '.[train]' [bold]{LONG}")
    assert lines_of(capsys) == [f"pip install '.[train]' [bold]{LONG}"]


def test_a_table_has_a_line_for_each_row_below_its_heads(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("layer", "size"), [("first", "[3]"), ("second", LONG)], title="net[red]", total=("total", "4"))
    title, heads, rule, *rows, line, total = lines_of(capsys)
    assert (title, heads.split(), total.split()) == ("net[red]", ["layer", "size"], ["total", "4"])
    assert {*rule, *line} == {" ", "─"}
    assert [row.split() for row in rows] == [["first", "[3]"], ["second", LONG]]
    assert len({row.index(row.split()[1]) for row in rows}) == 1  # below one another


def test_facts_are_a_table_without_heads(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts("a/pack", [("images", "3"), ("", "[0.5]")])
    title, *rows = lines_of(capsys)
    assert (title, [row.split() for row in rows]) == ("a/pack", [["images", "3"], ["[0.5]"]])
