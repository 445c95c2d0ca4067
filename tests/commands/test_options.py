"""Groups of options are what Typer would read of flat parameters, and rules about which go together."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from commands.options import check_one_of, check_only_with, grouped, is_given


@dataclass(frozen=True)
class Frame:
    """Two options of a toy."""

    width: Annotated[int, typer.Option(help="How wide it is.")] = 1
    colour: Annotated[list[str] | None, typer.Option(help="A colour of it.")] = None


@grouped
def draw(
    picture: Annotated[str, typer.Argument(help="What is drawn.")],
    out: Annotated[str, typer.Option(help="Where it goes.")],
    *,
    frame: Frame,
    plain: Annotated[bool, typer.Option("--plain", help="Leave it plain.")] = False,
) -> None:
    """Draw a picture."""
    typer.echo(f"{picture} {out} {frame} {plain}")


def drawn(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(draw)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output.strip()


def test_a_group_of_options_becomes_one_value() -> None:
    every = drawn("cat", "--out", "x", "--width", "3", "--colour", "red", "--colour", "tan", "--plain")
    assert every == (0, f"cat x {Frame(3, ['red', 'tan'])} True")
    assert drawn("cat", "--out", "x")[1].endswith("False")
    assert "width=1" in drawn("cat", "--out", "x")[1]


def test_the_help_lists_the_options_of_a_group_where_it_stands() -> None:
    said = drawn("--help")[1]
    places = [said.index(option) for option in ("--out", "--width", "--colour", "--plain")]
    assert places == sorted(places)
    assert "How wide it is." in said and "--frame" not in said


def test_a_command_takes_its_options_by_name_from_python_too(capsys: pytest.CaptureFixture[str]) -> None:
    draw(picture="cat", out="x", width=2)
    assert capsys.readouterr().out == f"cat x {Frame(2)} False\n"


def test_zero_is_given_and_a_flag_that_is_off_is_not() -> None:
    assert [is_given(value) for value in (None, False, [], 0, 0.0, "", True, ["a"])] == [False] * 3 + [True] * 5


@pytest.mark.parametrize("given", [{"--a": None, "--b": False}, {"--a": 0, "--b": True}])
def test_one_of_several_must_be_given_and_no_more(given: dict[str, object]) -> None:
    with pytest.raises(typer.BadParameter, match="give one of --a, --b"):
        check_one_of(given)
    check_one_of({"--a": 0, "--b": False})


def test_an_option_that_needs_another_says_which() -> None:
    with pytest.raises(typer.BadParameter, match="--loop goes with --way only"):
        check_only_with("--way", None, {"--frames": None, "--loop": True})
    check_only_with("--way", "1,2", {"--frames": 3})
    check_only_with("--way", None, {"--frames": None, "--loop": False})
