"""What a training system hands the loop: players, each with something to minimise and something to move."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from core.networks.base import Maker
from core.spec import GeneratorSpec
from trainer.settings.config import TrainConfig


@dataclass(frozen=True)
class Batch:
    """One round's data: real images ``(n, c, h, w)`` in the spec's value range, labels int64 ``(n,)`` or None.

    ``step`` counts the rounds of the run before this one. ``sources`` ``(n, c', h', w')`` are what a translator makes
    such images of, row by row where the pack has pairs; None where the pack has none, or nothing is translated.
    """

    images: Tensor
    labels: Tensor | None
    step: int
    sources: Tensor | None = None


GENERATOR, DISCRIMINATOR = "generator", "discriminator"  # what networks and players of a single game are called
Stats = Mapping[str, Tensor]


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Leave the weights of ``networks`` without gradients in the block: they would be computed and thrown away."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)


@dataclass(frozen=True)
class Player:
    """One side of the game. In every ``every``-th round it minimises ``loss`` with its own optimiser.

    ``loss`` gives the scalar to minimise and 0-dimensional statistics to log; it must leave other players'
    parameters without gradients.
    """

    name: str
    optimiser: torch.optim.Optimizer
    loss: Callable[[Batch], tuple[Tensor, Stats]]
    every: int = 1


class System(Protocol):
    """A way to play: networks by name (all that must be saved), and the players in the order they move.

    ``generators`` are those of which an average is kept, by name; the first is what ``spec`` describes.
    """

    spec: GeneratorSpec
    networks: dict[str, nn.Module]
    players: list[Player]
    inactive: frozenset[str]  # the names of players that do not move in this round

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None: ...

    @classmethod
    def check(cls, config: TrainConfig, spec: GeneratorSpec) -> None:
        """Raise ConfigError, which says what to do, for a run that the system cannot play. Nothing is built yet."""

    @property
    def generators(self) -> Mapping[str, Maker]:
        """Those of which an average is kept."""

    def begin(self, images_seen: int) -> int:
        """Set what changes with time; the size of the batch that the round after ``images_seen`` images takes."""

    def finished(self, average: Maker, images_seen: int) -> Mapping[str, Maker]:
        """What the last round, which reached ``images_seen`` images, has finished on the way to the whole: generators
        of their own, by their image size as text, made of the ``average``. Must say the same of a resumed run."""
