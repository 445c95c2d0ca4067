"""A training run from plan to generator: everything is put together here, and in this order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import torch

from core.checkpoint import save_generator
from core.errors import TrainingError
from core.files import write_atomic
from core.networks.base import EXAMPLES, Translator
from core.spec import GeneratorSpec
from trainer import loop, state
from trainer.arithmetic import arithmetic, changes
from trainer.hooks.collapse import CollapseGuard
from trainer.hooks.judging import Evaluator
from trainer.hooks.levels import Levels
from trainer.hooks.log import Log, Report, to_logger
from trainer.hooks.pictures import Pictures
from trainer.hooks.plateau import settling
from trainer.hooks.preview import write_preview
from trainer.hooks.side_by_side import SideBySide
from trainer.hooks.tensorboard import Board
from trainer.interrupts import only_one, stop_signals
from trainer.loop import Hook, Training
from trainer.mark import states
from trainer.metrics.held import examples_of
from trainer.optimisation import ema
from trainer.planning import Plan
from trainer.resuming import find_state
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.stream import Stream
from trainer.systems import build_system
from trainer.systems.players import System


class Outcome(Enum):
    """How a call of ``train`` ended."""

    DONE = "done"
    ALREADY_DONE = "already done"
    STOPPED = "stopped"
    CUT_OFF = "cut off"  # before a state was saved


def train(
    planned: Plan,
    out: Path,
    resume: bool = True,
    report: Report = to_logger,
    tick: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Train to the config's length, or until Ctrl-C or SIGTERM; go on by itself from what is in ``out``.

    ``report`` is given every line of the log, and lines with a "note" for what a person should know: without one they
    go to the logger "trainer". ``tick`` is given the images seen after every round.
    Raises TrainingError and its kinds; the last good state is kept whatever happens.
    """
    run = Run(out)
    with _writing(run):
        # Before anything is written
        run.check()
        planned.pack.verify()

        # Alone in the folder, from the newest state on
        with only_one(run):
            if not resume:
                run.clear()
            run.prepare()
            training, planned = _resumed(planned, run, report)
            if training.images_seen >= planned.config.images:
                return Outcome.ALREADY_DONE

            write_atomic(run.config, planned.config.to_json())
            with stop_signals() as stopping:
                return _until_stopped(training, planned, run, report, tick, stopping)


def _until_stopped(
    training: Training,
    planned: Plan,
    run: Run,
    report: Report,
    tick: Callable[[int], None],
    stopping: Callable[[], bool],
) -> Outcome:
    """Train and save; whoever interrupts that twice is told what is lost."""
    try:
        stream = stream_of(planned)
        pictures = Pictures(run, planned.config, planned.spec, report)
        hooks = hooks_of(planned, run, training.images_seen, report, tick, pictures)

        # To the end, or until somebody asks to stop: then what there is is saved
        if not (done := loop.run(training, stream, hooks, stopping)):
            note = f"saving after {training.images_seen:,} images: another Ctrl-C ends at once, without saving"
            report({"note": note})
            _save(training, planned, run)
        pictures.draw()
        return Outcome.DONE if done else Outcome.STOPPED
    except KeyboardInterrupt:  # asked a second time
        if last_saved(run) == training.images_seen:
            return Outcome.STOPPED
        report({"note": f"stopped after {training.images_seen:,} images without saving: {_kept(run)}"})
        return Outcome.CUT_OFF


def last_saved(run: Run) -> int | None:
    """How many images the newest state of ``run`` has seen; None if there is none."""
    return max((int(path.name) for path in states(run.checkpoints)), default=None)


def _kept(run: Run) -> str:
    """What there is to go on from."""
    if (images := last_saved(run)) is None:
        return "no state was saved before, so the same command begins anew"
    moment = datetime.fromtimestamp((run.checkpoints / f"{images:09d}").stat().st_mtime, UTC).astimezone()
    return f"the same command goes on from {images:,} images, saved at {moment:%H:%M:%S}"


@contextmanager
def _writing(run: Run) -> Iterator[None]:
    """Turn what the file system refuses into one line; whatever was saved before is whole."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"cannot write {error.filename or run.root} ({error.strerror or error}): what was saved before is whole; "
            "mend that, or make room, and run the same command again"
        ) from None


def stream_of(planned: Plan) -> Stream:
    """The pack's images in the order of the run, and its sources beside them, or, in a cycle, in an order of theirs."""
    config = planned.config
    return Stream(planned.pack, planned.spec, config.seed, planned.device, config.balance, config.apart)


def begin(planned: Plan) -> Training:
    """A run that has seen nothing: networks as the config's seed initialises them, and a first average of them.

    Translators are given sources to carry with them, held-out ones where there are any, and say which.
    """
    system = build_system(planned.config, planned.spec, planned.device)
    for maker in system.generators.values():
        if isinstance(maker, Translator):
            shown, part = examples_of(planned.pack, maker.spec, EXAMPLES)
            maker.show(shown)
            maker.spec = maker.spec.with_provenance(source_examples=part)
    return _unseen(planned.config, system, planned.device)


def fresh(config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> Training:
    """``begin`` without a pack."""
    return _unseen(config, build_system(config, spec, device), device)


def _unseen(config: TrainConfig, system: System, device: torch.device) -> Training:
    """A run of ``system`` before its first image; the averages carry what its generators do."""
    return Training(config, system, ema.averages_of(system.generators), device)


def _resumed(planned: Plan, run: Run, report: Report) -> tuple[Training, Plan]:
    """The training as it was when the newest whole state was saved, if there is one, and the settings it goes on by."""
    found = find_state(run, planned.config, planned.pack.info.fingerprint, report)
    planned = replace(planned, config=found.config)
    training = begin(planned)

    # From the beginning
    if found.saved is None:
        run.rewind(0)  # a run that ended before its first state left a log and previews
        return training, planned

    # From where it was saved
    run.rewind(found.saved.images_seen)
    state.restore(training, found.saved)
    report({"note": f"continuing after {training.images_seen:,} images"})
    if changed := changes(found.saved.arithmetic, arithmetic(planned.config, planned.device)):
        report({"note": changed})
    return training, planned


def hooks_of(
    planned: Plan, run: Run, images_seen: int, report: Report, tick: Callable[[int], None], pictures: Pictures
) -> list[Hook]:
    """What is done besides training, in order: tick, keep levels, log, preview, evaluate, show, save, draw."""
    config = planned.config
    log_every = config.log_kimg * 1000

    # Made before the log, which is not to count the first look at the real images
    evaluators = []
    if config.metric_kimg:
        evaluators = [Hook(config.metric_kimg * 1000, evaluator_of(planned, run, report))]
    boards = [Hook(log_every, Board(run, images_seen))] if config.tensorboard else []

    # In every round, and the log
    log = Log(run, report, images_seen)
    hooks = [
        Hook(1, lambda t: tick(t.images_seen)),
        Hook(1, Levels(run, report, images_seen)),
        Hook(log_every, log),
    ]

    # What takes time that is not training's
    pairs = SideBySide(planned.pack, config.previews) if planned.spec.kind == "image" else None

    def show(now: Training) -> None:
        drawn = pairs.sheet(now.averages) if pairs else None
        write_preview(run, now.average, config.previews, now.images_seen, drawn)

    guard = Hook(log_every, CollapseGuard(log, planned.pack, config, report))
    preview = Hook(config.preview_kimg * 1000, show)
    save = Hook(config.checkpoint_kimg * 1000, lambda t: _save(t, planned, run))
    draw = Hook(save.every, lambda _: pictures.update())
    aside = [guard, preview, *evaluators, *boards, save, draw]
    return [*hooks, *(Hook(hook.every, log.aside(hook.call)) for hook in aside)]


def evaluator_of(planned: Plan, run: Run, report: Report) -> Evaluator:
    """What looks at KID, or L1 of pairs, of the run as it trains."""
    config = planned.config
    return Evaluator(
        run,
        planned.spec,
        planned.pack,
        config.metric_samples,
        planned.device,
        report,
        reals=config.metric_reals,
        settled_kimg=settling(config, planned.spec),
        apart=config.apart,
    )


def _save(training: Training, planned: Plan, run: Run) -> None:
    """The full state, and every generator on its own."""
    state.save(run.checkpoints, training, planned.pack.info.fingerprint)
    for path, average in zip(run.generators(training.averages), training.averages.values(), strict=True):
        run.claim(path)
        save_generator(path, average, average.spec.with_provenance(images_seen=training.images_seen))
