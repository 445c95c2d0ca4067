"""``translate``: pictures in files to pictures in files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.console import say, say_all
from commands.opening import session
from commands.options import OverwritePictures, ServerOptions, SheetOptions, check_only_with, grouped
from commands.progress import bar


@grouped
def translate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|BUNDLE|RUN",
            help="The name of a served translator, or the folder of a bundle or run of one, which needs no server.",
        ),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN…",
            help="The pictures to translate: files, folders with all that is in them, or patterns like 'lines/*.png'. "
            "Whatever 'data import' reads is read.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The folder for the PNG files, which are called as the pictures are; the folders in a folder stay as "
            "they are."
        ),
    ],
    *,
    sheet: SheetOptions,
    tile: Annotated[
        bool,
        typer.Option(
            "--tile",
            help="Resize no picture: cut larger ones into tiles of the size that the translator takes, which overlap "
            "and are blended into one again.",
        ),
    ] = False,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0, help="How many pixels tiles overlap by: a quarter of a tile unless given. More hides seams better."
        ),
    ] = None,
    margins: Annotated[
        bool,
        typer.Option(
            "--margins",
            help="Keep the whole of what the translator makes. Unless given, a picture of other proportions, which "
            "was fitted between margins, comes back without them, where its edges lie between no pixels.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End before anything is written where a file is no picture.")
    ] = False,
    overwrite: OverwritePictures = False,
    server: ServerOptions,
    batch: Annotated[
        int | None,
        typer.Option(help="How many pictures to ask for at once. 1 gives the same bytes always, on one machine."),
    ] = None,
) -> None:
    """Turn pictures into other pictures with a translator.

    Each is fitted as the pictures were that the translator was trained on; one of that very size is taken as it is. A
    file that is no picture is left out and listed.
    """
    check_only_with("--tile", tile, {"--overlap": overlap})
    if tile and margins:
        raise typer.BadParameter("--tile leaves no margins: leave --margins out")
    server.check()
    look = sheet.look()

    translate_files(
        model,
        inputs,
        server,
        batch,
        out=out,
        sheet=sheet.sheet,
        look=look,
        tile=tile,
        overlap=overlap,
        margins=margins,
        strict=strict,
        overwrite=overwrite,
    )


def translate_files(
    model: str, inputs: Sequence[str], server: ServerOptions, batch: int | None = None, **how: Any
) -> None:
    """Translate the pictures that ``inputs`` name, and print what was made; ``how`` is the rest of a Translation."""
    from serving.client.sampler import Translator
    from serving.sampling.translate import Translation, translate
    from trainer.data.reading import read_image

    read = partial(read_image, ours=True)
    with session(Translator, model, server, batch) as translator, bar("translating") as progress:
        outcome = translate(Translation(translator=translator, read=read, progress=progress, **how), inputs)

    say(outcome.said)
    say_all(f"skipped {path}: {why}" for path, why in outcome.skipped)
