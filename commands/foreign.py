"""The options of ``export --from-onnx``: what nobody can see in a graph from elsewhere, as people give it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commands.options import check_only_with

if TYPE_CHECKING:
    from export.foreign.hints import ImportHints

_NAMES = {"value_range": "--range"}  # of options that are not called as their fields are


@dataclass(frozen=True)
class ForeignOptions:
    """The files of an ONNX generator from elsewhere, and what its inputs and outputs mean."""

    from_onnx: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MODEL.ONNX",
            help="Take an ONNX generator from elsewhere instead of a run, or a network that translates images. Give it "
            "twice where it came in two files: the mapping first, then the synthesis. 'inspect' prints the likely "
            "command.",
        ),
    ] = None
    value_range: Annotated[
        str | None,
        typer.Option("--range", metavar="LOW,HIGH", help="What its image's values go from and to: -1,1, 0,1 or 0,255."),
    ] = None
    latent: Annotated[
        str | None, typer.Option(help="The name of the input that takes the latent: the only input unless given.")
    ] = None
    image: Annotated[
        str | None, typer.Option(help="The name of the output that is the image: the only output unless given.")
    ] = None
    source: Annotated[
        str | None,
        typer.Option(help="The name of the input that takes the picture to translate: the only input unless given."),
    ] = None
    source_range: Annotated[
        str | None,
        typer.Option(
            "--source-range",
            metavar="LOW,HIGH",
            help="What that picture's values go from and to. Found by looking unless given, else as --range.",
        ),
    ] = None
    source_layout: Annotated[
        Literal["NCHW", "NHWC"] | None,
        typer.Option(help="Whether that picture has the channels before or after height and width."),
    ] = None
    source_size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="The size of that picture, where the graph takes any."),
    ] = None
    layout: Annotated[
        Literal["NCHW", "NHWC"] | None,
        typer.Option(
            help="Whether its image has the channels before or after height and width. Found by looking unless given."
        ),
    ] = None
    latent_dim: Annotated[
        int | None, typer.Option(min=1, help="How many numbers the latent has, where the graph does not say so.")
    ] = None
    label: Annotated[str | None, typer.Option(help="The name of the input that takes a class.")] = None
    classes: Annotated[
        str | None,
        typer.Option(help="What its classes are called, as in cat,dog,newt, or how many they are, as in 10."),
    ] = None
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Give another of its inputs this value for good. May be repeated."),
    ] = None
    latent_kind: Annotated[
        Literal["normal", "uniform", "sphere"] | None,
        typer.Option(
            help="What its latents are drawn from: standard normal, uniform from -1 to 1, or the unit sphere."
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="The size of its images, where they come as rows of numbers."),
    ] = None
    codes: Annotated[str | None, typer.Option(help="The name of the input that takes continuous codes.")] = None
    truncation_input: Annotated[str | None, typer.Option(help="The name of the input that takes truncation.")] = None
    premultiplied: Annotated[
        bool, typer.Option("--premultiplied", help="Say that its colours are already multiplied by alpha.")
    ] = False
    licence: Annotated[
        str | None,
        typer.Option(metavar="SPDX", help="The licence of the images that it was trained on, such as CC-BY-4.0."),
    ] = None
    attribution: Annotated[str | None, typer.Option(help="Whom to credit for those images.")] = None

    def check(self) -> None:
        """Raise BadParameter unless the files are one or two, with --range, or nothing of all this is given."""
        others = {name: value for name, value in vars(self).items() if name != "from_onnx"}
        given = {_NAMES.get(name, f"--{name.replace('_', '-')}"): value for name, value in others.items()}
        check_only_with("--from-onnx", self.from_onnx, given)
        if len(self.from_onnx or ()) > 2:
            raise typer.BadParameter(
                "--from-onnx is given once, or twice for a mapping and a synthesis: not more often"
            )
        if self.from_onnx and self.value_range is None:
            raise typer.BadParameter("--from-onnx needs --range: what the graph's values go from and to, such as -1,1")

    def hints(self) -> "ImportHints":
        """What the graph does not say itself. Raises ExportError for texts that are none."""
        from core.sizes import parse_sides
        from export.foreign.hints import ImportHints, parse_classes, parse_fixed, parse_range

        assert self.value_range is not None
        return ImportHints(
            value_range=parse_range(self.value_range),
            latent=self.latent,
            image=self.image,
            layout=self.layout,
            latent_dim=self.latent_dim,
            label=self.label,
            classes=parse_classes(self.classes or ""),
            fixed=parse_fixed(self.fix or ()),
            premultiplied=self.premultiplied,
            size=parse_sides(self.size) if self.size else None,
            codes=self.codes,
            truncation=self.truncation_input,
            latent_kind=self.latent_kind or "normal",
            source=self.source,
            source_range=parse_range(self.source_range, "--source-range") if self.source_range else None,
            source_layout=self.source_layout,
            source_size=parse_sides(self.source_size) if self.source_size else None,
        )
