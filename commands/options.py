"""Options that several commands share, how a group of options becomes one value, and which go together.

Typer reads a command's options from its parameters, one each. A command that has many takes some of them as a frozen
dataclass, whose fields are the options; ``grouped`` shows Typer the fields and gives the command the dataclass.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from core.errors import GanfoundryError

if TYPE_CHECKING:
    from core.sheets import Look
    from serving.protocol.tls import ClientTls

T = TypeVar("T")

Size = Annotated[
    str,
    typer.Option(metavar="WIDTHxHEIGHT", help="The size that all images get: 64, or 64x96 for 64 wide and 96 high."),
]
NewPack = Annotated[Path, typer.Argument(metavar="PACK", help="The folder of the pack to make.")]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle, which 'export' makes.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier run of this command wrote there.")
]
OverwritePictures = Annotated[
    bool, typer.Option("--overwrite", help="Replace pictures that are there by others of the same names.")
]
Held = Annotated[
    str | None,
    typer.Option(
        metavar="PERCENT",
        help="How much is held out: never trained on, for judging the result. Half as much more is left to choose the "
        "best generator by. It is 10% of pairs and of unpaired folders and 0% of other images, unless given.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="How many threads compute: one for each core unless given. Fewer leave room for other work."
    ),
]
Repository = Annotated[Path, typer.Option(help="The folder of published models, which Triton serves.")]
REPOSITORY = Path("model_repository")
Trial = Annotated[
    bool,
    typer.Option(
        "--trial/--no-trial",
        help="First serve it in a server of its own and compare its golden images; --no-trial saves those seconds.",
    ),
]


@dataclass(frozen=True)
class SheetOptions:
    """The sheet of a command that makes pictures, and how it is drawn."""

    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Also write a sheet to choose from: all pictures in one PNG file, and beside each what it is, its "
            "seed, class, truncation or code, or the picture that it was made of. Thousands of them take several "
            "files: sheet-1.png, sheet-2.png, and so on."
        ),
    ] = None
    sheet_scale: Annotated[
        str | None,
        typer.Option(
            metavar="auto|1|2|…",
            help="How many times as large the sheet shows the pictures; auto, unless given, is what fits on a page.",
        ),
    ] = None
    sheet_labels: Annotated[
        bool,
        typer.Option(
            "--sheet-labels/--no-sheet-labels",
            help="Write beside each picture on the sheet which it is. --no-sheet-labels makes a sheet for programs: "
            "the pictures edge to edge, transparent where they are, and not enlarged unless --sheet-scale says so.",
        ),
    ] = True

    def look(self) -> "Look":
        """How the sheet is drawn. Raises BadParameter for options without a sheet, and a scale that is none."""
        given = {"--sheet-scale": self.sheet_scale, "--no-sheet-labels": not self.sheet_labels}
        check_only_with("--sheet", self.sheet, given)

        from core.sheets import Look
        from serving.sampling.sheet import parse_scale

        with as_usage():
            return Look(parse_scale(self.sheet_scale or "auto"), self.sheet_labels)


@dataclass(frozen=True)
class ServerOptions:
    """The server that is asked for a served model."""

    url: Annotated[str, typer.Option(help="The address of the server, over gRPC.")] = "localhost:8001"
    tls_ca: Annotated[
        Path | None, typer.Option(help="Encrypt, and trust servers whose certificates this CA signed.")
    ] = None
    tls_cert: Annotated[Path | None, typer.Option(help="The client's certificate, for servers that ask for one.")] = (
        None
    )
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate, a PEM file.")] = None

    def check(self) -> None:
        """Raise BadParameter for a certificate of the client's without the CA to trust."""
        check_only_with("--tls-ca", self.tls_ca, {"--tls-cert": self.tls_cert, "--tls-key": self.tls_key})

    def tls(self) -> "ClientTls | None":
        """What encrypts; None where nothing does."""
        if self.tls_ca is None:
            return None
        from serving.protocol.tls import ClientTls

        return ClientTls(self.tls_ca, self.tls_cert, self.tls_key)


def grouped(command: Callable[..., T]) -> Callable[..., T]:
    """``command`` as Typer reads it: in the place of each parameter that is a dataclass, the fields of that class."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: each.annotation for name, each in signature.parameters.items() if is_dataclass(each.annotation)
    }

    @wraps(command)
    def flat(**options: Any) -> T:
        for name, group in groups.items():
            own = [each.name for each in fields(group) if each.name in options]
            options[name] = group(**{each: options.pop(each) for each in own})
        return command(**options)

    parameters = list(_flattened(signature))
    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
    return flat


def _flattened(signature: inspect.Signature) -> Iterator[inspect.Parameter]:
    """The parameters of a command, a group's fields in its place, all to be given by name."""
    for parameter in signature.parameters.values():
        if not is_dataclass(parameter.annotation):
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        for each in fields(parameter.annotation):
            yield inspect.Parameter(
                each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type
            )


def check_one_of(options: Mapping[str, Any]) -> None:
    """Raise BadParameter unless exactly one of the options is given."""
    if sum(map(is_given, options.values())) != 1:
        raise typer.BadParameter(f"give one of {', '.join(options)}")


def check_only_with(needed: str, value: Any, options: Mapping[str, Any]) -> None:
    """Raise BadParameter if an option is given without ``needed``, whose ``value`` is not given."""
    if not is_given(value) and (given := [name for name, each in options.items() if is_given(each)]):
        raise typer.BadParameter(f"{given[0]} goes with {needed} only")


def is_given(value: Any) -> bool:
    """Whether someone gave an option: it is neither absent, nor a flag that is off, nor a list of nothing."""
    return not (value is None or value is False or value == [])


@contextmanager
def as_usage() -> Iterator[None]:
    """Raise what is wrong with an option's text as BadParameter, before anything else is looked at."""
    try:
        yield
    except GanfoundryError as error:
        raise typer.BadParameter(str(error)) from None
