"""What to do next with a generator that was judged: from its figures, its run's log and its settings."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from core.bundle import MANIFEST
from core.errors import TrainingError
from core.run import back_of, is_way_back
from trainer.hooks.plateau import looks_of, metric_of, stalled
from trainer.metrics.evaluate import Evaluation
from trainer.metrics.translators import TranslatorEvaluation
from trainer.metrics.verdict import COPIES, GOOD, SURE, WORDS, Step, Verdict, blind_spot, grade, remarks
from trainer.objective.losses import TOLD, WON, discriminators, loss_of
from trainer.presets import PRESETS
from trainer.presets.about import ABOUT, JOBS
from trainer.resuming import own_settings
from trainer.run import Run
from trainer.settings.config import TrainConfig

ROOM = (
    0.9  # of pairs: held flatter than it need be; a quarter of the penalty made outlines sharper, and KID a sixth less
)
LINES = 5  # of the log, that one looks at
WORSE = 1.05  # the last KID by the least, from which on the best generator is another one
FEW = 500  # images: the fewest that anything was measured of (benchmarks/RESULTS.md, "Few images")
MOST = 3  # steps
AUGMENTATIONS = ("translation", "colour", "cutout")  # the one that changes the pictures least first


@dataclass(frozen=True)
class Situation:
    """What was judged, and the run it comes from, if that is there: its folder, its settings and its log."""

    judged: Path
    pack: Path
    images: int
    run: Path | None = None
    config: TrainConfig | None = None
    log: Sequence[Mapping[str, Any]] = ()
    program: str = "ganfoundry"  # as it was called

    @property
    def told(self) -> float | None:
        """How many of the pairs of a real and a made image the discriminator last told apart, of several the one that
        told the most; None if not logged."""
        logged = [line for line in self.log if discriminators(line)][-LINES:]
        names = discriminators(logged[-1]) if logged else []
        found = [[line[f"{name}/{TOLD}"] for line in logged if name in discriminators(line)] for name in names]
        return max((sum(each) / len(each) for each in found), default=None)

    @property
    def won(self) -> bool:
        """Whether the discriminator has won, where that is a fault."""
        contest = self.config is not None and loss_of(self.config.loss, self.config.loss_options).contest
        return contest and self.told is not None and self.told >= WON


def situation(judged: Path, pack: Path, images: int) -> Situation:
    """What there is to know of what was ``judged`` by the ``pack`` of so many ``images``."""
    run = Run(judged if judged.is_dir() else judged.parent)
    config = own_settings(run)
    with suppress(TrainingError, OSError):  # without a log that can be read, the figures stand alone
        if config is not None:
            return Situation(judged, pack, images, run.root, config, run.read_log())
    return Situation(judged, pack, images)


def with_verdict(evaluation: Evaluation, judged: Path, pack: Path, program: str) -> Evaluation:
    """``evaluation`` of what is at ``judged`` by the pack at ``pack``, with what it means and what to do next.

    ``program`` is what commands begin with.
    """
    figures, ground, copies = evaluation.figures, evaluation.ground, evaluation.copies
    distinct = evaluation.facts["protocol"]["distinct_real_images"]
    blind = blind_spot(copies, distinct)
    found = grade(figures.kid, max(ground.kid, 0.0) + SURE * ground.kid_std, evaluation.scale)
    suspicious = 0.0 if blind else copies.suspicious
    at = replace(situation(judged, pack, distinct), program=program)
    steps = advise(at, found in GOOD, suspicious)
    told = remarks(figures.precision, figures.recall, suspicious, blind)
    return replace(evaluation, verdict=Verdict(found, WORDS[found], told, steps))


def with_steps(judged: TranslatorEvaluation, source: Path, pack: Path, program: str) -> TranslatorEvaluation:
    """``judged`` of the translator at ``source`` by the pack at ``pack``, with what to do next."""
    known = judged.evaluation.facts["protocol"]["known"]
    at = replace(situation(source, pack, known), program=program)
    return judged.then(advise(at, judged.good, 0.0))


def advise(at: Situation, good: bool, suspicious: float) -> tuple[Step, ...]:
    """What to do next, the likeliest first. ``good``: it may be used; ``suspicious`` is the share of copies."""
    steps = list(islice(_steps(at, suspicious), MOST))
    if good and not any(" export " in step.command for step in steps):
        steps.append(Step("use it", _use(at)))
    return tuple(steps)


def _use(at: Situation) -> str:
    """The command that takes what was judged where it can be used: a bundle was exported already."""
    if (at.judged / MANIFEST).is_file():
        return _command(at, "publish", at.judged, "--name", at.judged.resolve().name)
    return _command(at, "export", at.judged, "--out", _beside("exports", at.judged))


def _steps(at: Situation, suspicious: float) -> Iterator[Step]:
    """All that speaks from the figures."""
    if suspicious > COPIES:
        yield from _against_copies(at)

    # What its run's log and settings say
    if at.run is not None and at.config is not None:
        looks = looks_of(at.log)
        yield from _longer(at, at.run, at.config, stuck=stalled(looks))
        if stalled(looks):
            yield from _the_best(at, at.run)
        if stalled(looks) or not looks:
            yield from _penalty(at, at.config)
        if stalled(looks):
            yield from _another_recipe(at, at.run, at.config)

    if at.images < FEW:
        yield Step(f"import more images of the same kind: {at.images} are few, and mirrored ones count")


def _against_copies(at: Situation) -> Iterator[Step]:
    """Another augmentation, in a run of its own: what a discriminator has seen it does not forget."""
    if at.run is None or at.config is None:
        yield Step("train with more images, or with augmentation, against copies")
        return
    used = tuple(name for name in at.config.augment if name in AUGMENTATIONS)
    if more := next((name for name in AUGMENTATIONS if name not in used), ""):
        chosen = f"augment={','.join((*used, more))}"
        what = f"train anew with {more} as augmentation, or with more images, against copies"
        yield Step(what, _anew(at, at.run, at.config.preset, "--set", chosen))


def _longer(at: Situation, run: Path, config: TrainConfig, stuck: bool) -> Iterator[Step]:
    """More images seen, while KID falls or nobody looked, or up to the preset's own length."""
    usual = PRESETS[config.preset]().kimg if config.preset in PRESETS else 0.0
    seen = at.log[-1]["images"] / 1000 if at.log else 0.0
    if seen < 0.9 * usual:
        what = f"train on: it has seen {seen:.3g} of the {usual:g} thousand images that {config.preset} is meant for"
        yield Step(what, _on(at, run, max(usual, config.kimg)))
    elif not stuck:
        name = metric_of(at.log).split("-")[0]
        falls = f"{name} was still falling" if looks_of(at.log) else f"nobody has seen yet whether {name} still falls"
        yield Step(f"train on: {falls}", _on(at, run, 1.5 * seen))


def _the_best(at: Situation, run: Path) -> Iterator[Step]:
    """The generator of the least KID or L1, where the last is worse and that one is not what was judged."""
    looks, best = looks_of(at.log), Run(run).best
    if is_way_back(at.judged):
        best = back_of(best)
    images, least = min(looks, key=lambda look: look[1])
    if looks[-1][1] > WORSE * least and best.is_file() and at.judged.name != best.name:
        name = metric_of(at.log).split("-")[0]
        what = f"take the generator of {images / 1000:g} kimg, whose {name} was {least:.3f} and not {looks[-1][1]:.3f}"
        yield Step(what, _command(at, "export", best, "--out", _beside("exports", best)))


def _penalty(at: Situation, config: TrainConfig) -> Iterator[Step]:
    """A firmer penalty where the discriminator has won, a weaker one where it is held too flat."""
    gamma, seen = config.adjusted().r1_gamma, at.log[-1]["images"] / 1000 if at.log else 0.0
    assert at.run is not None
    if at.won:
        what = f"hold the discriminator flatter: it tells {at.told:.1%} of real and made images apart, and has won"
        yield Step(what, _on(at, at.run, 1.5 * seen, "--set", f"r1_gamma={10 * gamma or 1:g}"))
    elif gamma and at.told is not None and at.told < ROOM:
        what = "let the discriminator look closer, which makes outlines sharper: a quarter of the penalty"
        yield Step(what, _on(at, at.run, 1.5 * seen, "--set", f"r1_gamma={gamma / 4:g}"))


def _another_recipe(at: Situation, run: Path, config: TrainConfig) -> Iterator[Step]:
    """The preset of the same job that came furthest on the same images, if that is another one."""
    own = ABOUT.get(config.preset)
    if own is None or own.kid is None:
        return
    job = next(names for names in JOBS.values() if config.preset in names)
    rivals = {name: kid for name in job if (kid := ABOUT[name].kid) is not None and ABOUT[name].size == own.size}
    best = min(rivals, key=lambda name: rivals[name])
    if best != config.preset:
        what = f"try {best}, which came to {rivals[best]:.3f} where {config.preset} came to {own.kid:.3f}"
        yield Step(what, _anew(at, run, best))


def _on(at: Situation, run: Path, kimg: float, *more: str) -> str:
    return _command(at, "train", at.pack, "--out", run, "--kimg", f"{kimg:.3g}", *more)


def _anew(at: Situation, run: Path, preset: str, *more: str) -> str:
    """The command of another run beside this one, under a name that is not taken."""
    names = (run.with_name(f"{run.name}-{number}") for number in count(2))
    classes = ["--conditional"] if at.config and at.config.conditional else []
    out = next(name for name in names if not name.exists())
    return _command(at, "train", at.pack, "--out", out, "--preset", preset, *classes, *more)


def _beside(folder: str, judged: Path) -> Path:
    """A place for what is made of ``judged``, by its name."""
    whole = judged.resolve()
    if whole.suffix != ".safetensors":
        return Path(folder, whole.name)
    return Path(folder, whole.parent.name + ("-b2a" if is_way_back(whole) else ""))


def _command(at: Situation, *words: str | Path) -> str:
    return shlex.join([at.program, *map(str, words)])
