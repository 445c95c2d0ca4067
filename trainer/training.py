"""A training run from pack to generator: everything is put together here, and in this order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor, nn

from core.checkpoint import save_generator
from core.errors import ConfigError, DataError, TrainingError
from core.files import write_atomic
from core.networks import GENERATORS, TRANSLATORS
from core.networks.base import EXAMPLES, Discriminator, Maker, Translator
from core.networks.patch import PatchDiscriminator
from core.spec import AUTO, GeneratorSpec, Provenance, SourceSpec
from trainer import loop, state
from trainer.arithmetic import arithmetic, changes
from trainer.data.pack import Pack, PackInfo
from trainer.hooks.collapse import CollapseGuard
from trainer.hooks.judging import Judge
from trainer.hooks.levels import Levels
from trainer.hooks.log import Log, Report
from trainer.hooks.pictures import Pictures
from trainer.hooks.plateau import settling
from trainer.hooks.preview import write_preview
from trainer.hooks.side_by_side import SideBySide
from trainer.hooks.tensorboard import Board
from trainer.interrupts import only_one, stop_signals
from trainer.layers import Layer, layers
from trainer.loop import Hook, Training
from trainer.mark import states
from trainer.metrics.held import examples_of
from trainer.objective.corruption import SOURCES, Corruption
from trainer.optimisation import ema
from trainer.resuming import find_state
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.settings.heads import Heads
from trainer.stream import Stream
from trainer.systems import TRANSLATING, build_system
from trainer.systems.players import System


class Outcome(Enum):
    """How a call of ``train`` ended."""

    DONE = "done"
    ALREADY_DONE = "already done"
    STOPPED = "stopped"
    CUT_OFF = "cut off"  # before a state was saved


@dataclass(frozen=True)
class Plan:
    """What a run would be: shown by ``--dry-run``, started by ``train``."""

    config: TrainConfig
    spec: GeneratorSpec
    device: torch.device
    pack: Pack


def plan(config: TrainConfig, pack: Pack) -> Plan:
    """Everything that follows from a config and a pack. Raises ConfigError or DataError if they do not fit."""
    seen = len(pack.rows("train"))
    if seen < 2:
        raise DataError(f"the pack {pack.info.name} has {seen} image to train on: training needs at least 2")
    info, config = pack.info, config.settled(pack.info.distinct or len(pack))
    _check_conditions(config, Heads.of(config.heads))
    if config.conditional and pack.labels is None:
        raise ConfigError(
            f"the pack {info.name} has no labels: import it with --labels folders, or do without --conditional"
        )
    if config.balance and not config.conditional:
        raise ConfigError("--balance is of classes, and this run learns none: add --conditional, or leave it out")
    spec = spec_of(config, info)
    if config.conditional and spec.found_its_classes:
        raise ConfigError(
            f"the pack {info.name} calls its classes {spec.classes[0]} and on, as only those are called that a "
            "generator finds by itself: import it again with other names, or do without --conditional"
        )
    return Plan(config, spec, pick_device(config.device), pack)


def spec_of(config: TrainConfig, info: PackInfo) -> GeneratorSpec:
    """What a run of ``config`` on a pack makes: the pack's images, its classes or those of the heads, their codes."""
    heads, source = Heads.of(config.heads), source_of(config, info)
    shown = info.sources if source and source.origin == SOURCES else None  # whose licence counts, too
    return GeneratorSpec(
        family=config.family,
        height=info.height,
        width=info.width,
        channels=info.channels,
        latent_dim=0 if source else config.latent_dim,
        kind="image" if source else "noise",
        source=source,
        classes=info.classes if config.conditional else heads.names,
        codes=int(heads.codes),
        options=config.generator,
        provenance=Provenance(
            preset=config.preset,
            data_name=info.name,
            data_fingerprint=info.fingerprint,
            data_licence=info.licence,
            data_attribution=info.attribution,
            source_licence=shown.licence if shown else "",
            source_attribution=shown.attribution if shown else "",
            code_version=code_version(),
        ),
    )


def source_of(config: TrainConfig, info: PackInfo) -> SourceSpec | None:
    """What a translator of ``config`` takes: the pack's sources, or what its images are made to be; None for others.

    Raises ConfigError where the pack has no such sources.
    """
    if config.system not in TRANSLATING:
        return None
    fit, resample = info.options.get("fit", "pad"), info.options.get("resample", AUTO)
    sources, corruption = info.sources, Corruption.of(config.corruption)
    given = sources is not None and sources.paired and corruption.kind == "colourless"  # line art, say
    if config.system == "autoencoder" and not given:
        made = corruption.source_of(info.height, info.width, info.channels)
        return replace(made, fit=fit, resample=resample)
    if sources is None:
        raise ConfigError(
            f"the pack {info.name} holds no sources to translate: import it with --sources, --side-by-side or "
            "--unpaired, or learn without any, such as with --preset denoise-cpu"
        )
    if config.system == "paired" and not sources.paired:
        raise ConfigError(
            f"the sources of the pack {info.name} belong to no image of it (--unpaired): use --preset cyclegan-cpu"
        )
    return SourceSpec(sources.height, sources.width, sources.channels, sources.fit, sources.resample)


def _check_conditions(config: TrainConfig, heads: Heads) -> None:
    """Raise ConfigError for classes or codes that the generator cannot learn, or that exclude each other."""
    kind: type[Maker] = {**GENERATORS, **TRANSLATORS}[config.family]
    if (config.conditional or heads.categories) and not kind.learns_classes:
        able = ", ".join(name for name, network in GENERATORS.items() if network.learns_classes)
        raise ConfigError(f"{config.family} does not learn classes: omit --conditional, or use a preset of {able}")
    if heads.codes and not kind.learns_codes:
        able = ", ".join(name for name, network in GENERATORS.items() if network.learns_codes)
        raise ConfigError(f"{config.family} does not learn codes: leave heads.codes at 0, or use a family of {able}")
    if config.conditional and heads.categories:
        raise ConfigError("--conditional gives the pack's classes and heads.categories others: choose one of them")


def use_threads(threads: int | None) -> None:
    """Compute with so many threads; None leaves it to PyTorch, which takes one for each core."""
    if threads is not None:
        torch.set_num_threads(threads)


def pick_device(name: str) -> torch.device:
    """``auto`` is the accelerator if there is one, else the CPU. Raises ConfigError for one that is not there."""
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(f"--device {name}: there is no such device here (try auto or cpu)") from None
    return device


def describe(planned: Plan) -> dict[str, list[Layer]]:
    """Every network of the run, layer by layer, for a batch of one."""
    system = build_system(planned.config, planned.spec, torch.device("cpu"))
    return {
        name: layers(network, *_example(network, planned.spec))
        for name, network in system.networks.items()
        if any(True for _ in network.parameters())  # others only keep averages
    }


def _example(network: nn.Module, spec: GeneratorSpec) -> tuple[Tensor, ...]:
    """What passes through ``network``, all zeros: a latent, an image, or what the first layer of a head takes."""
    if isinstance(network, Maker | PatchDiscriminator):
        return network.example()
    if any(isinstance(layer, nn.Conv2d) for layer in network.modules()) or isinstance(network, Discriminator):
        return (torch.zeros(1, spec.channels, spec.height, spec.width),)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Linear))
    return (torch.zeros(1, first.in_features),)


def train(
    planned: Plan,
    out: Path,
    resume: bool = True,
    report: Report = lambda _: None,
    tick: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Train to the config's length, or until Ctrl-C or SIGTERM; go on by itself from what is in ``out``.

    ``report`` is given every line of the log, and lines with a "note" for what a person should know; ``tick`` the
    images seen after every round.
    Raises TrainingError and its kinds; the last good state is kept whatever happens.
    """
    run = Run(out)
    with _writing(run):
        run.check()
        planned.pack.verify()
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
        if not (done := loop.run(training, stream, hooks, stopping)):
            note = f"saving after {training.images_seen:,} images: another Ctrl-C ends at once, without saving"
            report({"note": note})
            _save(training, planned, run)
        pictures.draw()
        return Outcome.DONE if done else Outcome.STOPPED
    except KeyboardInterrupt:
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
    if found.saved is None:
        run.rewind(0)  # a run that ended before its first state left a log and previews
        return training, planned
    run.rewind(found.saved.images_seen)
    state.restore(training, found.saved)
    report({"note": f"continuing after {training.images_seen:,} images"})
    if changed := changes(found.saved.arithmetic, arithmetic(planned.config, planned.device)):
        report({"note": changed})
    return training, planned


def hooks_of(
    planned: Plan, run: Run, images_seen: int, report: Report, tick: Callable[[int], None], pictures: Pictures
) -> list[Hook]:
    """What is done besides training, in order: tick, keep levels, log, preview, judge, show, save, draw."""
    config, judges, boards = planned.config, [], []
    if config.metric_kimg:  # made before the log, which is not to count the first look at the real images
        judge = Judge(
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
        judges = [Hook(config.metric_kimg * 1000, judge)]
    if config.tensorboard:
        boards = [Hook(config.log_kimg * 1000, Board(run, images_seen))]
    log = Log(run, report, images_seen)
    hooks = [
        Hook(1, lambda t: tick(t.images_seen)),
        Hook(1, Levels(run, report, images_seen)),
        Hook(config.log_kimg * 1000, log),
    ]
    guard = Hook(config.log_kimg * 1000, CollapseGuard(log, planned.pack, config, report))
    pairs = SideBySide(planned.pack, config.previews) if planned.spec.kind == "image" else None

    def show(now: Training) -> None:
        drawn = pairs.sheet(now.averages) if pairs else None
        write_preview(run, now.average, config.previews, now.images_seen, drawn)

    preview = Hook(config.preview_kimg * 1000, show)
    save = Hook(config.checkpoint_kimg * 1000, lambda t: _save(t, planned, run))
    draw = Hook(save.every, lambda _: pictures.update())
    aside = [guard, preview, *judges, *boards, save, draw]
    return [*hooks, *(Hook(hook.every, log.aside(hook.call)) for hook in aside)]


def _save(training: Training, planned: Plan, run: Run) -> None:
    """The full state, and every generator on its own."""
    state.save(run.checkpoints, training, planned.pack.info.fingerprint)
    for path, average in zip(run.generators(training.averages), training.averages.values(), strict=True):
        run.claim(path)
        save_generator(path, average, average.spec.with_provenance(images_seen=training.images_seen))


def code_version() -> str:
    """The installed version of Ganfoundry."""
    try:
        return version("ganfoundry")
    except PackageNotFoundError:
        return "unknown"
