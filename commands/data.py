"""``data``: packs of training images are made, and looked at."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from commands.console import ask, print_facts, say, say_all
from commands.options import Held, NewPack, Overwrite, Size
from commands.progress import bar

if TYPE_CHECKING:
    from trainer.data.openmoji import OpenmojiOptions
    from trainer.data.pack import Pack


def data_import(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES", help="A folder or ZIP of images, a sprite sheet, an atlas with its JSON, or an idx file."
        ),
    ],
    destination: NewPack,
    size: Size,
    fit: Annotated[
        Literal["pad", "crop", "stretch", "keep"],
        typer.Option(
            help="How an image of another shape becomes this one: with a border, cut, or squeezed. keep changes no "
            "pixel: it takes the middle, with margins where there is too little."
        ),
    ] = "pad",
    resample: Annotated[
        Literal["lanczos", "area", "nearest"] | None,
        typer.Option(
            help="How an image is made smaller or larger. nearest keeps pixel art's colours exactly. Unless given it "
            "is lanczos, but nearest for pixel art that grows by a whole factor."
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            help="What a pixel is: 1 for grey, 3 for RGB, 4 for RGBA. Found by looking at the images unless given."
        ),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT", help="Cut every image into cells of this many pixels: it is a sprite sheet."
        ),
    ] = None,
    margin: Annotated[
        str, typer.Option(help="How many pixels lie around all cells of a sheet: 1, or WIDTHxHEIGHT.")
    ] = "0",
    spacing: Annotated[
        str, typer.Option(help="How many pixels lie between two cells of a sheet: 2, or WIDTHxHEIGHT.")
    ] = "0",
    frames: Annotated[
        Literal["first", "all"], typer.Option(help="Which frames of an animated file become images.")
    ] = "first",
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="folders|LIST|PATTERN",
            help="Where an image's class is written. folders: its sub-folder's name. A list: a CSV of file names and "
            "classes, or StyleGAN's dataset.json. A pattern of file names: '{class}_{number}'.",
        ),
    ] = None,
    duplicates: Annotated[
        Literal["drop", "keep"], typer.Option(help="What becomes of images that look exactly like an earlier one.")
    ] = "drop",
    empty: Annotated[
        Literal["drop", "keep"],
        typer.Option(help="What becomes of images that are wholly transparent or of a single colour."),
    ] = "drop",
    strict: Annotated[
        bool, typer.Option("--strict", help="Make no pack if any file cannot be read or, of pairs, has no partner.")
    ] = False,
    sources: Annotated[
        Path | None,
        typer.Option(
            help="A folder, ZIP or sheet of sources, of which a translator learns to make the images: each belongs to "
            "the image of its name, whatever the endings."
        ),
    ] = None,
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Every image is two beside each other, a source and what becomes of it."),
    ] = False,
    source_side: Annotated[
        Literal["left", "right"] | None,
        typer.Option(help="Which half is the source with --side-by-side: the left one, unless given."),
    ] = None,
    unpaired: Annotated[
        bool,
        typer.Option("--unpaired", help="The --sources belong to no image: both folders are examples of a style each."),
    ] = False,
    source_size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="The size that all sources get: that of the images, unless given."),
    ] = None,
    source_channels: Annotated[
        int | None, typer.Option(help="What a pixel of a source is: 1, 3 or 4 channels. Found unless given.")
    ] = None,
    source_grid: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="The cells of sheets of sources, where they are not as large as --grid; --margin and --spacing are "
            "in proportion.",
        ),
    ] = None,
    held: Held = None,
    group_by: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="What ends the part of a name that variants of one thing share: with _ hero_walk and hero_run are "
            "both held out, or neither.",
        ),
    ] = "",
    name: Annotated[str, typer.Option(help="What the pack is called: as its source is, unless given.")] = "",
    licence: Annotated[
        str,
        typer.Option(
            metavar="SPDX",
            help="The images' licence, such as CC0-1.0 or CC-BY-SA-4.0. It travels with all that is made from them.",
        ),
    ] = "",
    attribution: Annotated[
        str, typer.Option(help="Whom to credit for the images. It travels with all that is made from them.")
    ] = "",
    sources_licence: Annotated[
        str, typer.Option(metavar="SPDX", help="The sources' licence: that of the images, unless given.")
    ] = "",
    sources_attribution: Annotated[
        str, typer.Option(help="Whom to credit for the sources: as for the images, unless given.")
    ] = "",
    overwrite: Overwrite = False,
) -> None:
    """Turn images, or pairs of them, into a pack to train on."""
    from trainer.data.cautions import size_of
    from trainer.data.grid import parse_gap, parse_grid
    from trainer.data.importing import ImportOptions, import_images
    from trainer.data.pack import SHEET
    from trainer.data.splitting import parse_share

    options = ImportOptions(
        size=size_of(size),
        fit=fit,
        resample=resample,
        channels=channels,
        grid=parse_grid(grid) if grid else None,
        margin=parse_gap("--margin", margin),
        spacing=parse_gap("--spacing", spacing),
        frames=frames,
        labels=labels,
        duplicates=duplicates,
        empty=empty,
        strict=strict,
        name=name,
        licence=licence,
        attribution=attribution,
        overwrite=overwrite,
        sources=sources,
        side_by_side=side_by_side,
        source_side=source_side,
        unpaired=unpaired,
        source_size=size_of(source_size, "--source-size") if source_size else None,
        source_channels=source_channels,
        source_grid=parse_grid(source_grid, "--source-grid") if source_grid else None,
        sources_licence=sources_licence,
        sources_attribution=sources_attribution,
        held=parse_share(held) if held else None,
        group_by=group_by,
    )
    with bar("reading images") as progress:
        pack = import_images(source, destination, options, progress)
    _print_pack(pack, destination, destination / SHEET, may_ask=True)


def data_openmoji(
    destination: NewPack,
    size: Size = "64",
    lines: Annotated[
        bool, typer.Option("--lines", help="Make pairs: the lines of each drawing alone, and the drawing in colour.")
    ] = False,
    skin_tones: Annotated[
        bool, typer.Option("--skin-tones", help="Also take the variants of skin tone, which are left out otherwise.")
    ] = False,
    flags: Annotated[
        bool, typer.Option("--flags", help="Make pairs of flags too, whose lines do not say which colours they have.")
    ] = False,
    held: Held = None,
    groups: Annotated[
        Path | None, typer.Option(help="Unicode's file emoji-test.txt, whose groups become the classes.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a pack of OpenMoji: some 2,500 pictures, CC BY-SA 4.0."""
    from core.sizes import parse_size
    from trainer.data.openmoji import OpenmojiOptions
    from trainer.data.splitting import parse_share

    options = OpenmojiOptions(
        size=parse_size(size),
        lines=lines,
        skin_tones=skin_tones,
        flags=flags,
        groups=groups,
        held=parse_share(held) if held else None,
        overwrite=overwrite,
    )
    make_openmoji(destination, options)


def make_openmoji(destination: Path, options: "OpenmojiOptions") -> None:
    """Make a pack of OpenMoji, and print what it holds."""
    from trainer.data.openmoji import import_openmoji
    from trainer.data.pack import SHEET

    with bar("rendering OpenMoji") as progress:
        pack = import_openmoji(destination, options, progress)
    _print_pack(pack, destination, destination / SHEET)


def data_info(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="The folder of a pack, which 'data import' makes.")],
    sheet: Annotated[
        Path | None, typer.Option(help="The PNG file of the contact sheet: sheet.png in the pack unless given.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Note this as the licence of the pack's images.")] = "",
    attribution: Annotated[str, typer.Option(help="Note in the pack whom to credit for its images.")] = "",
    sources_licence: Annotated[
        str, typer.Option(help="Note this as the licence of the sources of pairs, if it is not that of the images.")
    ] = "",
    sources_attribution: Annotated[str, typer.Option(help="Note in the pack whom to credit for its sources.")] = "",
) -> None:
    """Show what a pack holds, and write a contact sheet of it."""
    from trainer.data.licences import note
    from trainer.data.pack import SHEET, Pack

    opened = note(Pack.open(pack), licence, attribution, sources_licence, sources_attribution)
    _print_pack(opened, pack, sheet or pack / SHEET)


def _print_pack(pack: "Pack", path: Path, sheet: Path, may_ask: bool = False) -> None:
    """Print what a pack holds and what to know before training on it, and write its contact sheet.

    In between, ask once for a licence that is not stated, where that ``may_ask`` and somebody can answer.
    """
    from trainer.data import licences
    from trainer.data.summary import describe, save_sheet, warnings

    look = save_sheet(pack, sheet)
    print_facts(str(path), describe(pack))
    say(look)

    if may_ask and not pack.info.licence and licences.may_ask():
        these = "these images" if pack.info.sources is None else "these images and their sources"
        pack = licences.note(pack, *licences.ask(ask, say, these))

    say_all(f"warning: {line}" for line in warnings(pack))
