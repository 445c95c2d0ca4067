"""Training speed of the presets that this machine can train, and the share of it spent outside the networks.

    python benchmarks/presets.py [--pack data/openmoji32] [--preset dcgan-cpu …] [--turns 5] [--cycles 1] [--kimg 50]
    python benchmarks/presets.py --pack data/openmoji64 --preset dcgan r3gan … --device cuda --precision bf16 --kimg 0

Without a pack it renders OpenMoji at 32x32. Presets that grow are measured at their full size. ``--kimg 0`` leaves out
the shares, which only a CPU's clock can tell: an accelerator goes on by itself.

Images/s are those of rounds alone (read, play, average), without log, previews and checkpoints. The presets take
turns, and a figure is the median over the turns; a turn is whole cycles, a cycle being the rounds after which lazy
penalties come round again, so that none is missed and none counts twice.

The share outside is 1 - networks / wall, of a stretch of a real run with everything a run does, at the preset's own
rhythm. Networks are: forward passes of the generator and the discriminator, backward passes, the gradients that
penalties take, the steps of the optimisers. Outside is all else: reading, what augmentation does to images, averaging,
log and guard, previews (with their passes through the averaged generator), checkpoints, Python between all of these.
Backward passes also go back through losses and augmentation, which cannot be told apart, so the share is too small by
about what augmentation is. What a run does once, such as checking the pack, is left out. A stretch must be a multiple
of every rhythm, or the hooks at its end are too many: 50 kimg are, for all presets here (about half an hour in all).
"""

import argparse
import math
import platform
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import torch

from core.sizes import plan_size
from trainer import loop
from trainer.data.openmoji import OpenmojiOptions, import_openmoji
from trainer.data.pack import Pack
from trainer.hooks.log import wait_for
from trainer.hooks.pictures import Pictures
from trainer.optimisation import ema
from trainer.planning import Plan, plan
from trainer.presets import resolve
from trainer.run import Run
from trainer.stream import Stream
from trainer.systems import adversarial
from trainer.training import begin, hooks_of

PRESETS = ("dcgan", "dcgan-cpu", "stylegan-lite-cpu", "progressive-cpu", "r3gan-cpu")
NETWORKS, HOOKS, REST = "networks", "hooks", "rest"
METHODS = ("features", "score", "forward", "mapping", "synthesis", "paint")  # what systems call of a network
WANTED = 0.05


class Clock:
    """Seconds by what they were spent on. What happens within something that is timed counts only there."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.within = [REST]
        self.moment = perf_counter()

    def charge(self) -> None:
        now = perf_counter()
        self.seconds[self.within[-1]] += now - self.moment
        self.moment = now

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            self.charge()
            self.within.append(name)
            try:
                return call(*args, **options)
            finally:
                self.charge()
                self.within.pop()

        return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--preset", nargs="+", default=PRESETS)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=1)
    parser.add_argument("--kimg", type=float, default=50.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pack = (
            Pack.open(args.pack) if args.pack else import_openmoji(place / "pack", OpenmojiOptions(plan_size(32, 32)))
        )
        how = {"device": args.device, "precision": args.precision}
        plans = {name: plan(resolve(name, **how), pack) for name in args.preset}
        print_speeds(plans, args.turns, args.cycles)
        if args.kimg:
            print_shares(plans, round(args.kimg * 1000), place)


def print_speeds(plans: dict[str, Plan], turns: int, cycles: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in plans}
    runs = {name: cycles_of(planned) for name, planned in plans.items()}
    for turn in range(turns + 1):
        for name, run in runs.items():
            start = perf_counter()
            images = sum(next(run) for _ in range(cycles))
            if turn:  # the first turn warms up
                rates[name].append(images / (perf_counter() - start))
    print(f"\n{'preset':20}{'images/s':>10}{'least':>9}{'most':>9}")
    for name, found in rates.items():
        print(f"{name:20}{statistics.median(found):10.1f}{min(found):9.1f}{max(found):9.1f}")


def cycles_of(planned: Plan) -> Iterator[int]:
    """Play whole cycles of a run that has grown; each gives the images it saw."""
    training = grown(planned, planned.config.images)
    stream = Stream(planned.pack, planned.spec, planned.config.seed, planned.device)
    while True:
        before = training.images_seen
        for _ in range(cycle(training)):
            count = training.system.begin(training.images_seen)
            loop.play(training, stream.read(training.images_seen, count, training.rounds))
        wait_for(planned.device)
        yield training.images_seen - before


def grown(planned: Plan, images_seen: int) -> loop.Training:
    """A run with fresh networks at an age at which every network has its full size."""
    training = begin(planned)
    training.images_seen = images_seen
    return training


def cycle(training: loop.Training) -> int:
    """The rounds after which everything that is done rarely was done equally often."""
    rare = [adversarial.ADAPT_EVERY] if training.config.augment_target else []
    return math.lcm(training.config.penalty_every, *(player.every for player in training.system.players), *rare)


def print_shares(plans: dict[str, Plan], images: int, place: Path) -> None:
    columns = ("reading", "augmentation", "averaging", HOOKS, REST)
    print(f"\nover {images:,} images, wanted under {WANTED:.0%} outside the networks; of the whole time, each:")
    print(f"{'preset':20}{'images/s':>10}{'outside':>9}" + "".join(f"{name:>14}" for name in columns))
    for name, planned in plans.items():
        seconds = spend(planned, images, Run(place / name))
        whole = seconds.total()
        outside = 1 - seconds[NETWORKS] / whole
        parts = "".join(f"{seconds[column] / whole:14.2%}" for column in columns)
        print(f"{name:20}{images / whole:10.1f}{outside:9.2%}{parts}", flush=True)


def spend(planned: Plan, images: int, run: Run) -> Counter[str]:
    """The seconds that a stretch of a run takes, by what they were spent on."""
    config = planned.config
    rhythms = (config.log_kimg, config.preview_kimg, config.checkpoint_kimg)
    if any(images % (every * 1000) for every in rhythms):
        print(f"{config.preset}: {images:,} images are no multiple of {rhythms} kimg, so the end has too many hooks")
    start = -(-config.images // images) * images
    planned = replace(planned, config=replace(config, kimg=(start + images) / 1000))
    training = grown(planned, start)
    stream = Stream(planned.pack, planned.spec, config.seed, planned.device)
    for step in range(cycle(training)):  # warms up
        loop.play(training, stream.read(start, training.system.begin(start), step))
    training.images_seen, _ = start, training.meter.read()
    run.prepare()
    clock = Clock()
    with watched(clock, training):
        pictures = Pictures(run, planned.config, planned.spec, lambda _: None)
        hooks = hooks_of(planned, run, start, lambda _: None, lambda _: None, pictures)
        hooks = [loop.Hook(hook.every, clock.timed(HOOKS, hook.call)) for hook in hooks]
        clock.seconds.clear()
        clock.moment = perf_counter()
        loop.run(training, stream, hooks, lambda: False)
        clock.charge()
    return clock.seconds


@contextmanager
def watched(clock: Clock, training: loop.Training) -> Iterator[None]:
    """While it lasts, what ``training`` does is timed by ``clock``. Its averaged generator is a copy, and is not."""
    system = training.system
    watch = [(system.networks[name], method, NETWORKS) for name in ("generator", "discriminator") for method in METHODS]
    optimisers = {id(player.optimiser): player.optimiser for player in system.players}
    watch += [(optimiser, "step", NETWORKS) for optimiser in optimisers.values()]
    watch += [(torch.Tensor, "backward", NETWORKS), (torch.autograd, "grad", NETWORKS)]
    watch += [(Stream, "read", "reading"), (adversarial, "augment", "augmentation"), (ema, "update", "averaging")]
    with ExitStack() as stack:
        for owner, name, spent_on in watch:
            if hasattr(owner, name):
                stack.enter_context(patch.object(owner, name, clock.timed(spent_on, getattr(owner, name))))
        yield


if __name__ == "__main__":
    main()
