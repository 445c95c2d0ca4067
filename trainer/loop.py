"""The order of things and nothing else: batch → players → averages → whatever is due.

Time is images seen. Every random draw of a round comes from torch's global generator, seeded afresh from
(seed, images seen), so a run that was stopped and continued equals one that never stopped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from core.networks.base import Maker
from trainer.optimisation import ema
from trainer.settings.config import TrainConfig
from trainer.stream import Stream
from trainer.systems.players import Batch, Player, System


class Meter:
    """Means of 0-dimensional tensors, summed where they are: reading them is what waits for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Count one more value of ``name``."""
        value = value.detach().float()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """The means since the last reading, by name; then start over."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


@dataclass
class Training:
    """What moves while a run trains: the system, its averaged generators by name, and how far they have come."""

    config: TrainConfig
    system: System
    averages: Mapping[str, Maker]
    device: torch.device
    images_seen: int = 0
    rounds: int = 0
    meter: Meter = field(default_factory=Meter)

    @property
    def average(self) -> Maker:
        """The first average: that of what the run is for."""
        return next(iter(self.averages.values()))


@dataclass(frozen=True)
class Hook:
    """Something done whenever the images seen pass a multiple of ``every``, and once more at the end."""

    every: float
    call: Callable[[Training], None]

    def due(self, before: int, after: int) -> bool:
        """Whether a multiple of ``every`` lies in (before, after]."""
        return after // self.every > before // self.every


def run(training: Training, stream: Stream, hooks: Sequence[Hook], stopping: Callable[[], bool]) -> bool:
    """Play rounds until the config's length is reached (True) or ``stopping()`` says so (False).

    The hooks run in order, after the round that makes them due.
    """
    while training.images_seen < training.config.images:
        if stopping():
            return False
        before = training.images_seen
        count = training.system.begin(before)
        play(training, stream.read(before, count, training.rounds))
        last = training.images_seen >= training.config.images
        for hook in hooks:
            if last or hook.due(before, training.images_seen):
                hook.call(training)
    return True


def play(training: Training, batch: Batch) -> None:
    """One round: every player whose turn it is moves, then the averages follow their generators."""
    config, images = training.config, len(batch.images)
    torch.manual_seed(round_seed(config.seed, training.images_seen))
    for player in training.system.players:
        if batch.step % player.every == 0 and player.name not in training.system.inactive:
            move(player, batch, training)
    training.images_seen += images
    training.rounds += 1
    keep = ema.decay(images, training.images_seen, config.ema_kimg * 1000, config.ema_ramp)
    for name, generator in training.system.generators.items():
        ema.update(training.averages[name], generator, keep)


def move(player: Player, batch: Batch, training: Training) -> None:
    """One step of one player's optimiser."""
    player.optimiser.zero_grad()
    with torch.autocast(training.device.type, torch.bfloat16, enabled=training.config.precision == "bf16"):
        loss, stats = player.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    player.optimiser.step()
    training.meter.add(f"{player.name}/loss", loss)
    for name, value in stats.items():
        training.meter.add(f"{player.name}/{name}", value)


def round_seed(seed: int, images_seen: int) -> int:
    """A seed for the round after ``images_seen`` images: neighbouring rounds get unrelated streams."""
    return int(np.random.SeedSequence((seed, images_seen)).generate_state(1, np.uint64)[0])
