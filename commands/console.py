"""The one way to print: lines, tables in one style, questions, and errors in one line."""

import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import typer
from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from core.places import shown

_WIDE = 10_000  # characters, of what is written into a pipe

console = Console()


def say(text: str) -> None:
    """Print one line, whole, however narrow the terminal: it may hold a path that someone copies."""
    console.print(shown(text), soft_wrap=True, highlight=False, markup=False)


def say_all(lines: Iterable[str]) -> None:
    """Print each of ``lines`` with ``say``."""
    for line in lines:
        say(line)


def print_step(title: str) -> None:
    """Print a rule with a heading, for commands that do several things."""
    console.rule(title, align="left")


def print_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], title: str = "", total: Sequence[str] | None = None
) -> None:
    """Print ``rows`` below their ``heads``, and a row of sums below a rule where there is a ``total``."""
    table = _table(title, headed=True, summed=total is not None)
    for index, head in enumerate(heads):
        foot = total[index] if total else ""
        table.add_column(head, Text(foot), no_wrap=index == 0, overflow="fold")
    _print_rows(table, rows)


def print_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print labels and their values, one a row, below the name of the thing that they describe."""
    table = _table(title, headed=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    _print_rows(table, facts)


def print_wide(renderable: RenderableType) -> None:
    """Print as wide as the terminal, or, where there is none, as wide as it takes: programs read line by line."""
    (console if console.is_terminal else Console(width=_WIDE)).print(renderable)


def ask(question: str) -> str:
    """What a person types, without the blanks around it; nothing where they end the input."""
    try:
        return console.input(Text(f"{question}: ")).strip()
    except EOFError:
        say("")
        return ""


def fail(message: str, status: int = 1) -> NoReturn:
    """Print ``message`` as one line on standard error, and end with ``status``."""
    line = Text("error: ", "bold red").append(shown(" ".join(message.split())), "default not bold")
    Console(stderr=True).print(line, soft_wrap=True)
    sys.exit(status)


def fail_usage(error: typer.TyperException) -> NoReturn:
    """Print one line that says what is wrong with the command and how to see its help, and end with status 2."""
    message = error.format_message().removeprefix("Invalid value: ").replace(": Value error, ", ": ")
    context = getattr(error, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context else ""
    fail(f"{message.rstrip('.')}{hint}", error.exit_code)


def _table(title: str, headed: bool, summed: bool = False) -> Table:
    """The style of all tables: no lines but one below the heads, so that columns can be cut out of a pipe."""
    return Table(
        title=Text(shown(title)) if title else None,
        title_justify="left",
        box=SIMPLE,
        show_header=headed,
        show_footer=summed,
    )


def _print_rows(table: Table, rows: Iterable[Sequence[str]]) -> None:
    for row in rows:
        table.add_row(*map(Text, row))  # as text: brackets in it are no markup
    print_wide(table)
