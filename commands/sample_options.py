"""The options of ``sample``, in groups: which pictures, an animation, mixed styles, parts of bulk work."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from commands.opening import graphs_of
from commands.options import OverwritePictures, SheetOptions, as_usage, check_only_with


@dataclass(frozen=True)
class PictureOptions:
    """Which pictures are made of the seeds, and what their files are called."""

    truncation: Annotated[
        str,
        typer.Option(
            help="How far pictures may be from the average one: 1 is everything that was learned, 0 the average "
            "itself. 0,0.5,1 makes each seed at each of them."
        ),
    ] = "1"
    label: Annotated[
        str | None,
        typer.Option(
            help="The class to make, for models that have classes. all makes each in turn, unless one is called so."
        ),
    ] = None
    every_class: Annotated[bool, typer.Option("--every-class", help="Make each seed of each class.")] = False
    names: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="What the files are called, such as '{label}_{seed}_{truncation}'. A pattern may hold seed, label, "
            "truncation, codes, code, frame, layers, other, index, model and version.",
        ),
    ] = None
    overwrite: OverwritePictures = False
    code: Annotated[
        list[str] | None,
        typer.Option(
            metavar="I=VALUE",
            help="Set a continuous code, for models that have codes: 0=1.5 gives code 0 this value, 0=-2..2 makes a "
            "picture at each of several values. May be repeated.",
        ),
    ] = None

    def check(self) -> None:
        """Raise BadParameter for options that exclude each other, and a pattern of names that is none."""
        if self.every_class and self.label is not None:
            raise typer.BadParameter("--every-class makes all of them: leave --label out")
        if self.names is not None:
            from serving.sampling.naming import parse_names

            with as_usage():
                parse_names(self.names)


@dataclass(frozen=True)
class InterpolationOptions:
    """The animation from seed to seed."""

    interpolate: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Make an animation that goes from seed to seed, as in 3-9 or 3,9."),
    ] = None
    frames: Annotated[
        int | None, typer.Option(min=2, help="How many frames the animation has in all: 60 unless given.")
    ] = None
    fps: Annotated[
        float | None, typer.Option(min=0.1, max=50, help="How many frames are shown in a second: 20 unless given.")
    ] = None
    loop: Annotated[
        bool,
        typer.Option(
            "--loop", help="Go back to the first seed at the end, so that the animation repeats without a jump."
        ),
    ] = False
    animation: Annotated[
        Path | None,
        typer.Option(
            help="The animation's file, .gif, .png, .apng or .webp: OUT/CLASS_interpolation.webp unless given."
        ),
    ] = None

    def check(self) -> None:
        """Raise BadParameter for options of an animation without one."""
        given = {"--frames": self.frames, "--fps": self.fps, "--animation": self.animation, "--loop": self.loop}
        check_only_with("--interpolate", self.interpolate, given)


@dataclass(frozen=True)
class MixOptions:
    """Styles of several seeds in one picture."""

    mix: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Make the first seed with the styles of each of the others, as in 3,9,12."),
    ] = None
    layers: Annotated[
        str | None,
        typer.Option(
            help="Which styles the others give: coarse, middle, fine (thirds; at 64x64 those of sizes 4 and 8, 16 and "
            "32, and 64; at 32x32 of 4 and 8, 16, and 32), or layers counted from 0: 0-3."
        ),
    ] = None

    def check(self) -> None:
        """Raise BadParameter unless both are given, or none."""
        check_only_with("--mix", self.mix, {"--layers": self.layers})
        if self.mix and not self.layers:
            raise typer.BadParameter("--mix needs --layers: coarse, middle, fine, or a range like 0-3")


@dataclass(frozen=True)
class ShardOptions:
    """Bulk work, a part of the seeds at a time."""

    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make part I of N of the seeds, counted from 0, as a tar file with a manifest: for bulk work. all/N "
            "makes each part in turn and leaves out what is finished.",
        ),
    ] = None
    ray: Annotated[
        bool,
        typer.Option(
            "--ray", help="Make each shard in a task of Ray, on the cluster in RAY_ADDRESS or on this machine."
        ),
    ] = False

    def check(self, model: str, sheet: SheetOptions, pictures: PictureOptions) -> None:
        """Raise BadParameter for what does not go with parts of the seeds."""
        check_only_with("--shard", self.shard, {"--ray": self.ray})
        if self.shard is None:
            return
        if graphs_of(model) is not None:
            raise typer.BadParameter("--shard asks a server: publish a bundle first, and give the model's name")
        if sheet.sheet or "," in pictures.truncation or pictures.every_class:
            raise typer.BadParameter(
                "--sheet, --every-class and several truncations do not go with --shard: leave them out"
            )
        if pictures.names or pictures.overwrite:
            raise typer.BadParameter("--names and --overwrite do not go with --shard: its files are named by the order")
