"""Ganfoundry's command line: flags → one frozen config → one call → one printed result.

Each command imports its room inside itself, so that ``--help`` costs nothing. Exit status: 0 done, 1 an error of
ours in one line, 2 bad usage, 3 stopped by Ctrl-C or SIGTERM with everything saved.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from core.errors import GanfoundryError

if TYPE_CHECKING:
    from trainer.data.pack import Pack
    from trainer.training import Plan

STOPPED = 3

app = typer.Typer(
    help="Turn a folder of images into a generator that a game-asset pipeline can call.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Make and look at packs of training images.", no_args_is_help=True)
app.add_typer(data_app, name="data")
console = Console()

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Repository = Annotated[Path, typer.Option(help="The folder Triton serves.")]


@app.command()
def doctor() -> None:
    """Say what this machine has, what is missing, and the command that brings it."""
    import export.doctor
    import serving.doctor
    import trainer.doctor

    table = Table("", "what", "found", "to mend it")
    for room in (trainer.doctor, export.doctor, serving.doctor):
        for check in room.checks():
            table.add_row("[green]✓[/]" if check.fine else "[red]✗[/]", check.name, check.found, check.mend)
    console.print(table)


@data_app.command("import")
def data_import(
    source: Annotated[Path, typer.Argument(help="A folder of images, a sprite sheet, or an idx file.")],
    destination: Annotated[Path, typer.Argument(help="The pack to make.")],
    size: Annotated[str, typer.Option(help="64, or HEIGHTxWIDTH: 96x64.")],
    fit: Annotated[Literal["pad", "crop", "stretch"], typer.Option(help="How other shapes become this one.")] = "pad",
    resample: Annotated[
        Literal["lanczos", "area", "nearest"], typer.Option(help="nearest keeps a palette exactly.")
    ] = "lanczos",
    channels: Annotated[int | None, typer.Option(help="1, 3 or 4; found by looking unless given.")] = None,
    grid: Annotated[str | None, typer.Option(help="Cut sprite sheets into cells of WIDTHxHEIGHT pixels.")] = None,
    labels: Annotated[Literal["folders"] | None, typer.Option(help="folders: each sub-folder is a class.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if any file cannot be read.")] = False,
    name: Annotated[str, typer.Option(help="The pack's name; the source's unless given.")] = "",
    licence: Annotated[str, typer.Option(help="The images' licence; it travels with the generator.")] = "",
    attribution: Annotated[str, typer.Option(help="Whom to credit; it travels with the generator.")] = "",
    overwrite: Overwrite = False,
) -> None:
    """Turn images into a pack: one size, one format, ready to train on."""
    from core.sizes import parse_size
    from trainer.data.importing import ImportOptions, import_images, parse_grid

    options = ImportOptions(
        size=parse_size(size),
        fit=fit,
        resample=resample,
        channels=channels,
        grid=parse_grid(grid) if grid else None,
        labels=labels,
        strict=strict,
        name=name,
        licence=licence,
        attribution=attribution,
        overwrite=overwrite,
    )
    with _bar("reading images") as progress:
        pack = import_images(source, destination, options, progress)
    _print_pack(pack, destination)


@data_app.command("openmoji")
def data_openmoji(
    destination: Annotated[Path, typer.Argument(help="The pack to make.")],
    size: Annotated[str, typer.Option(help="64, or HEIGHTxWIDTH: 96x64.")] = "64",
    skin_tones: Annotated[bool, typer.Option("--skin-tones", help="Keep the skin tone variants.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Render OpenMoji (CC BY-SA 4.0): some 2,500 real RGBA pictures from PyPI."""
    from core.sizes import parse_size
    from trainer.data.openmoji import import_openmoji

    with _bar("rendering OpenMoji") as progress:
        pack = import_openmoji(
            destination, parse_size(size), skin_tones=skin_tones, overwrite=overwrite, progress=progress
        )
    _print_pack(pack, destination)


@data_app.command("info")
def data_info(
    pack: Annotated[Path, typer.Argument(help="A pack.")],
    sheet: Annotated[Path | None, typer.Option(help="Where to write the contact sheet; in the pack unless given.")] = None,
) -> None:
    """Show what a pack holds, and write a contact sheet of it."""
    from trainer.data.pack import Pack
    from trainer.data.summary import contact_sheet

    opened = Pack.open(pack)
    sheet = sheet or pack / "sheet.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(opened).save(sheet)
    _print_pack(opened, pack)
    console.print(f"contact sheet: {sheet}", soft_wrap=True)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="A pack.")],
    out: Annotated[Path, typer.Option(help="The run's folder. If it holds this run already, it goes on.")],
    preset: Annotated[str, typer.Option(help="The recipe: dcgan, dcgan-cpu.")] = "dcgan",
    kimg: Annotated[float | None, typer.Option(help="Length in thousands of images seen.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes every random draw.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps …")] = None,
    precision: Annotated[Literal["fp32", "bf16"] | None, typer.Option(help="bf16 is autocast.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="--no-resume starts afresh.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print settings and networks; train nothing.")] = False,
) -> None:
    """Train a generator on a pack. Run the same command again to go on."""
    from trainer.config import resolve
    from trainer.data.pack import Pack
    from trainer.training import Outcome, plan
    from trainer.training import train as run

    changes = {"kimg": kimg, "batch": batch, "seed": seed, "device": device, "precision": precision}
    planned = plan(resolve(preset, settings or (), **changes), Pack.open(data))
    if dry_run:
        _print_plan(planned)
        return
    _print_settings(planned)
    with _training_bar(planned.config.images) as (report, tick):
        outcome = run(planned, out, resume, report, tick)
    if outcome is Outcome.STOPPED:
        console.print(f"stopped; the state is saved in {out}: run the same command to go on", soft_wrap=True)
        raise typer.Exit(STOPPED)
    if outcome is Outcome.ALREADY_DONE:
        console.print(f"{out} is already trained to {planned.config.kimg:g} kimg: raise --kimg to go on", soft_wrap=True)
        return
    console.print(f"trained: {out / 'generator.safetensors'} (see {out / 'progress.png'})", soft_wrap=True)


@contextmanager
def _bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar as a function of (done, total)."""
    from rich.progress import Progress

    with Progress(console=console) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _training_bar(images: int) -> Iterator[tuple[Callable[[dict[str, Any]], None], Callable[[int], None]]]:
    """A bar with rate, time left and the last losses; one line per log interval where there is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]} {task.fields[losses]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=images, rate="", losses="")

        def report(line: dict[str, Any]) -> None:
            if "note" in line:
                progress.console.print(line["note"], soft_wrap=True)
                return
            losses = "  ".join(f"{name.split('/')[0]} {line[name]:.3f}" for name in line if name.endswith("/loss"))
            rate = f"{line['images_per_second']:.0f} images/s" if "images_per_second" in line else ""
            progress.update(task, rate=rate, losses=losses)
            if not console.is_terminal:
                console.print(f"{line['images']:,} of {images:,} images  {rate}  {losses}", soft_wrap=True, highlight=False)

        yield report, lambda seen: progress.update(task, completed=min(seen, images))


def _print_pack(pack: "Pack", path: Path) -> None:
    from trainer.data.summary import describe

    table = Table(title=str(path), show_header=False, title_justify="left")
    for label, value in describe(pack):
        table.add_row(label, str(value))
    console.print(table)


def _print_settings(planned: "Plan") -> None:
    spec, config = planned.spec, planned.config
    console.print(
        f"{config.preset} on {spec.provenance.data_name}: {len(planned.pack):,} images of {spec.size} with "
        f"{spec.channels} channels, {config.kimg:g} kimg in batches of {config.batch}, {planned.device}, {config.precision}",
        soft_wrap=True,
    )


def _print_plan(planned: "Plan") -> None:
    from trainer.training import describe

    _print_settings(planned)
    console.print_json(planned.config.to_json())
    for name, layers in describe(planned).items():
        table = Table("layer", "kind", "output", "parameters", title=name, title_justify="left")
        for layer in layers:
            table.add_row(layer.name, layer.kind, "x".join(map(str, layer.shape)), f"{layer.parameters:,}")
        table.add_section()
        table.add_row("total", "", "", f"{sum(layer.parameters for layer in layers):,}")
        console.print(table)


def main() -> None:
    """Run the command line; print errors of ours, and of the file system, as one line."""
    try:
        app()
    except GanfoundryError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}")


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {' '.join(message.split())}", soft_wrap=True, highlight=False)
    sys.exit(1)


if __name__ == "__main__":
    main()
