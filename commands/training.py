"""``train`` and what belongs to it: the recipes, and the curves of runs."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands.console import console, print_table, say, say_all
from commands.options import Threads, grouped, is_given
from commands.progress import training_bar

if TYPE_CHECKING:
    from trainer.planning import Plan
    from trainer.preparing import ChosenSettings, TrainingRequest
    from trainer.training import Outcome

STOPPED = 3  # the exit status of a run that was stopped, and saved


@dataclass(frozen=True)
class SettingOptions:
    """The settings of a run that have options of their own; all others are given with --set."""

    kimg: Annotated[
        float | None, typer.Option(help="How long to train, in thousands of images that the discriminator sees.")
    ] = None
    batch: Annotated[int | None, typer.Option(help="How many images the networks see in one step.")] = None
    seed: Annotated[
        int | None,
        typer.Option(help="The number that fixes every random draw: the same seed trains the same generator."),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(help="Where to train: auto, cpu, cuda, cuda:1, mps … auto takes a GPU if there is one."),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option(help="The numbers to compute with. bf16 is faster where the hardware has it; weights stay fp32."),
    ] = None
    conditional: Annotated[
        bool, typer.Option("--conditional", help="Learn the pack's classes, so that one can be asked for.")
    ] = False
    balance: Annotated[
        bool, typer.Option("--balance", help="Show every class equally often, however many images it has.")
    ] = False
    loss: Annotated[
        str | None,
        typer.Option(
            help="How the scores that the discriminator gives become a loss: non-saturating, least-squares, "
            "wasserstein, hinge or relativistic."
        ),
    ] = None
    penalty: Annotated[
        str | None, typer.Option(help="What keeps the discriminator smooth: none, r1, r1-r2, gradient-penalty or clip.")
    ] = None
    optimiser: Annotated[str | None, typer.Option(help="How weights are changed: adam, rmsprop or sgd.")] = None
    metric_kimg: Annotated[
        float | None,
        typer.Option(
            "--metric-every",
            help="Take KID, or L1 of a translator's validation pairs, and keep the best generator every so many "
            "thousand images; 0 never does. Unless given, a new run does so as often as costs at most 3 % of its time.",
        ),
    ] = None
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write the curves for TensorBoard, into the run's folder.")
    ] = False

    def changes(self) -> dict[str, Any]:
        """The settings by name, None for those that were not given."""
        return {name: value if is_given(value) else None for name, value in vars(self).items()}


@grouped
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
    *,
    changes: SettingOptions,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the preset; --list-settings names them. Of a run that goes on, rates and "
            "penalties only. May be repeated.",
        ),
    ] = None,
    threads: Threads = None,
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
    if not (list_settings or (data and (out or dry_run))):
        missing = "option '--out'" if data else "argument 'PACK'"
        raise typer.BadParameter(f"Missing {missing}")

    from trainer.planning import use_threads
    from trainer.preparing import TrainingRequest

    use_threads(threads)
    request = TrainingRequest(data, out, preset, tuple(settings or ()), changes.changes(), resume)
    if list_settings:
        _list_settings(request)
    else:
        run_training(request, dry_run)


def run_training(request: "TrainingRequest", dry_run: bool = False) -> None:
    """Train as ``request`` says, and print how it goes; only say what would be done where it is a ``dry_run``."""
    from trainer.clock import how_long
    from trainer.preparing import choose_settings, prepare
    from trainer.training import train as train_run

    # What is to be done
    chosen = choose_settings(request)
    _say_why(chosen)
    prepared = prepare(request, chosen, dry_run)
    planned = prepared.plan
    _print_settings(planned)
    if dry_run:
        _print_networks(planned)
    say_all(how_long(planned, prepared.images_seen, prepared.seconds))
    if prepared.judging:
        say(prepared.judging)
    if dry_run:
        return

    # It is done
    assert request.out
    with training_bar(planned.config.images) as (report, tick):
        outcome = train_run(planned, request.out, request.resume, report, tick)
    _tell_outcome(outcome, request.out, planned.config.kimg)


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="PRESET", help="A recipe, to see all of its numbers in words.")
    ] = None,
) -> None:
    """List the recipes that 'train' knows, or show one in full.

    They are listed by what they are for, with the minutes they take here.
    """
    if name is not None:
        _print_preset(name)
    else:
        _print_presets()


def _print_preset(name: str) -> None:
    from trainer.presets import resolve
    from trainer.presets.about import ABOUT
    from trainer.presets.words import in_use

    config, about = resolve(name), ABOUT[name]
    say(f"{name}: {about.good_for}; sized for {about.size} ({about.paper})")
    print_table(("setting", "value", "in words"), in_use(config))


def _print_presets() -> None:
    from trainer.clock import slowness
    from trainer.presets.about import ABOUT, JOBS, REFERENCE

    factor = slowness(REFERENCE, ABOUT[REFERENCE].minutes or 1)
    heads = ("preset", "size", "what it is for", "minutes here", "images/s, H100")
    longest = max(map(len, ABOUT))

    for job, names in JOBS.items():
        rows = []
        for name in names:
            about = ABOUT[name]
            minutes = f"{about.minutes * factor:.0f}" if about.minutes else ""
            gpu = f"{about.gpu:g}" if about.gpu else ""
            # As wide as the longest, so that the tables' columns are below one another
            rows.append((f"{name:{longest}}", about.size, f"{about.good_for} ({about.paper})", minutes, gpu))
        print_table(heads, rows, title=job)

    say(
        f"minutes here: those measured on two cores, times {factor:.2g}, which is how {REFERENCE} does on this machine "
        "as it is now; 'train --dry-run' says it for your pack. Pictures of each: docs/presets.md"
    )


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="The folders of the runs, finished or not.")],
    out: Annotated[Path, typer.Option(help="The PNG file to draw into.")],
) -> None:
    """Draw KID and losses of several runs over one another."""
    from trainer.hooks.curves import check_place, plot_runs

    check_place(out)
    plot_runs(runs, out)
    say(f"curves: {out}")


def _list_settings(request: "TrainingRequest") -> None:
    from trainer.preparing import choose_settings
    from trainer.presets.listing import MARK, listing

    chosen = choose_settings(request)
    _say_why(chosen)
    config = chosen.settled()

    print_table(("setting", "", "value", "unit", "what it does"), listing(config))
    say(
        f"These are the settings of {config.preset}, as --set takes them. {MARK} may change when a run goes on; "
        "kimg are thousands of images seen. --set width=N sets the width of both networks."
    )


def _say_why(chosen: "ChosenSettings") -> None:
    if chosen.why:
        say(f"preset {chosen.config.preset}: {chosen.why} (--preset takes another, 'presets' lists them)")


def _print_settings(planned: "Plan") -> None:
    from trainer.data.classes import class_warning

    spec, config = planned.spec, planned.config
    say(
        f"{config.preset} on {spec.provenance.data_name}: {len(planned.pack):,} images of {spec.size} with "
        f"{spec.channels} channels, {config.kimg:g} kimg in batches of {config.batch}, {planned.device}, "
        f"{config.precision}"
    )
    if config.conditional and (warning := class_warning(planned.pack, config.balance)):
        say(f"warning: {warning}")


def _print_networks(planned: "Plan") -> None:
    """Print all settings, and every network layer by layer."""
    from trainer.planning import describe

    console.print_json(planned.config.to_json())
    for name, layers in describe(planned).items():
        rows = [(layer.name, layer.kind, "x".join(map(str, layer.shape)), f"{layer.parameters:,}") for layer in layers]
        total = f"{sum(layer.parameters for layer in layers):,}"
        print_table(("layer", "kind", "output", "parameters"), rows, name, total=("total", "", "", total))


def _tell_outcome(outcome: "Outcome", out: Path, kimg: float) -> None:
    """Say how training ended. Raises Exit with the status of one that was stopped."""
    from trainer.training import Outcome

    if outcome is Outcome.STOPPED:
        say(f"stopped; the state is saved in {out}: run the same command to go on")
        raise typer.Exit(STOPPED)
    if outcome is Outcome.CUT_OFF:
        raise typer.Exit(128 + signal.SIGINT)
    if outcome is Outcome.ALREADY_DONE:
        say(f"{out} is already trained to {kimg:g} kimg: raise --kimg to go on")
    else:
        say(f"trained: {out / 'generator.safetensors'} (see {out / 'progress.png'})")
