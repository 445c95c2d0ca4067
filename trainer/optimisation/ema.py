"""The exponential moving average of the generator's weights: the generator that is previewed, saved and exported."""

import copy
import math
from collections.abc import Mapping
from typing import TypeVar

import torch

from core.networks.base import Maker

Network = TypeVar("Network", bound=Maker)


def average_of(generator: Network) -> Network:
    """A copy to average into: evaluation mode, no gradients."""
    return copy.deepcopy(generator).eval().requires_grad_(False)


def averages_of(generators: Mapping[str, Maker]) -> dict[str, Maker]:
    """A first average of each."""
    return {name: average_of(generator) for name, generator in generators.items()}


def decay(batch: int, images_seen: int, half_life: float, ramp: float) -> float:
    """How much of the average one step of ``batch`` images keeps: 0.5^(batch / half-life), as in Karras et al. 2020.

    ``half_life`` is in images; it is shortened to ``ramp`` times the images seen so far, so that a young average
    forgets its random start.
    """
    memory = min(half_life, ramp * images_seen) if ramp > 0 else half_life
    return math.pow(0.5, batch / max(memory, 1e-8))


def update(average: Maker, generator: Maker, keep: float) -> None:
    """average ← keep * average + (1 - keep) * generator, for weights and for batch norm's running statistics."""
    ours, theirs = average.state_dict(), generator.state_dict()
    moving = [name for name, value in ours.items() if value.is_floating_point()]
    torch._foreach_lerp_([ours[name] for name in moving], [theirs[name] for name in moving], 1 - keep)
    for name in ours.keys() - moving:
        ours[name].copy_(theirs[name])
