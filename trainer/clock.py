"""How long a run will take on this machine: a few rounds of it, played on images of noise and thrown away."""

import math
from dataclasses import replace
from time import perf_counter

import torch

from core.clock import in_words
from core.pixels import to_values
from core.spec import GeneratorSpec, SourceSpec
from trainer.hooks.log import wait_for
from trainer.loop import Training, play
from trainer.planning import Plan
from trainer.presets import resolve
from trainer.settings.config import SMALL, TrainConfig
from trainer.systems.players import Batch
from trainer.training import fresh

LONG = 12 * 3600.0  # seconds after which a run is said to be too much for a machine
SMALLEST = 32  # a size to fall back on
_LOOKS = 3  # moments of a run at which its speed is taken: some grow on the way
_CYCLE = 16  # rounds after which all that is not done in every round has come round, or nearly
_SECONDS = 2.0  # of a look, once it has seen a round of every kind
_PATIENCE = 8.0  # seconds after which no further look is taken


def seconds_left(config: TrainConfig, spec: GeneratorSpec, device: torch.device, images_seen: int = 0) -> float:
    """About how many seconds training takes after ``images_seen`` images, here and now, without previews and judging.

    Runs that grow end slowest, so the end is looked at first; where that alone takes long, all is taken to be as slow.
    """
    left = max(config.images - images_seen, 0)
    training, start, found = fresh(config, spec, device), perf_counter(), []
    for look in reversed(range(_LOOKS)):
        found.append(_seconds_an_image(training, images_seen + left * (2 * look + 1) // (2 * _LOOKS)))
        if perf_counter() - start > _PATIENCE:
            break
    return left * sum(found) / len(found)


def is_over_at_once(config: TrainConfig, images_seen: int = 0) -> bool:
    """Whether what is left of a run is no more rounds than it takes to see how long they are."""
    return config.images - images_seen <= _LOOKS * _CYCLE * config.batch


def what_would_fit(planned: Plan) -> tuple[GeneratorSpec, float] | None:
    """The largest of half the size, a quarter and so on that is trained within ``LONG``, and its seconds; or None."""
    spec = planned.spec
    while min(spec.height, spec.width) >= 2 * SMALLEST and spec.height % 2 == spec.width % 2 == 0:
        spec = halved(spec)
        if (seconds := seconds_left(planned.config, spec, planned.device)) <= LONG:
            return spec, seconds
    return None


def how_long(planned: Plan, images_seen: int, seconds: float) -> list[str]:
    """Lines that say that the rest of a run takes so many seconds here and, if that is too long, what would fit."""
    if is_over_at_once(planned.config, images_seen):
        return []
    rest = "for the rest" if images_seen else f"for {planned.config.kimg:g} kimg"
    lines = [f"about {in_words(seconds)} {rest} on this machine as it is now, without judging"]
    if seconds <= LONG:
        return lines

    if (fits := what_would_fit(planned)) is not None:
        smaller, less = fits
        remedy = f"at {smaller.size} it would be about {in_words(less)} (import the images with --size)"
    else:
        kimg = float(f"{planned.config.kimg * LONG / seconds:.1g}")
        remedy = f"--kimg {kimg:g} would take about {in_words(seconds * kimg / planned.config.kimg)}"
    return [*lines, f"warning: that is long for this machine; {remedy}"]


def halved(spec: GeneratorSpec) -> GeneratorSpec:
    """The same generator of half the size; a translator's sources are half as large, too."""
    source = spec.source
    if source is not None:
        source = replace(source, height=max(source.height // 2, 1), width=max(source.width // 2, 1))
    return replace(spec, height=spec.height // 2, width=spec.width // 2, source=source)


def slowness(preset: str, minutes: float) -> float:
    """How much longer than ``minutes`` the ``preset`` would take here, at 32x32 with transparency, on the CPU."""
    config = resolve(preset)
    spec = GeneratorSpec(config.family, 32, 32, 4, config.latent_dim, options=config.generator)
    return seconds_left(config.settled(SMALL - 1), spec, torch.device("cpu")) / (60 * minutes)


def _seconds_an_image(training: Training, moment: int) -> float:
    """The mean over a cycle of rounds at ``moment``, weighted by how often each kind of round comes.

    A long cycle on a slow machine is not waited for: the rounds that were seen stand for the rest.
    """
    system, config = training.system, training.config
    cycle = min(math.lcm(config.penalty_every, *(player.every for player in system.players)), _CYCLE)
    training.images_seen = moment
    count = system.begin(moment)

    # One round of each kind, as far as there is time
    _seconds_of(training, count, 0)  # the first round of a shape chooses its kernels
    first = _seconds_of(training, count, 0)
    others: list[float] = []
    start = perf_counter()
    for step in range(1, cycle):
        others.append(_seconds_of(training, count, step))
        if perf_counter() - start > _SECONDS:
            break

    mean = (first + (cycle - 1) * sum(others) / len(others)) / cycle if others else first
    return mean / count


def _noise(training: Training, count: int, like: GeneratorSpec | SourceSpec) -> torch.Tensor:
    """``count`` pictures of the size and channels of ``like``, ``(count, c, h, w)``, every level of them drawn."""
    images = torch.randint(0, 256, (count, like.height, like.width, like.channels), dtype=torch.uint8)
    return to_values(images.to(training.device), training.system.spec.value_range)


def _seconds_of(training: Training, count: int, step: int) -> float:
    """How long a round of ``count`` images takes, as the round ``step`` of a run."""
    spec = training.system.spec
    before = training.images_seen

    # A batch of noise in the place of the pack's
    images = _noise(training, count, spec)
    known = spec.classes and not spec.found_its_classes
    labels = torch.randint(0, len(spec.classes), (count,)).to(training.device) if known else None
    sources = _noise(training, count, spec.source) if spec.source else None
    batch = Batch(images, labels, step, sources)

    # Nothing that was asked of the device before or in the round is left undone when a clock is read
    wait_for(training.device)
    start = perf_counter()
    play(training, batch)
    wait_for(training.device)
    training.images_seen = before
    return perf_counter() - start
