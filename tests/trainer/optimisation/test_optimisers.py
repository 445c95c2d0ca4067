"""Optimisers against the recursions of their papers, and the settings that move."""

import pytest
import torch
from torch import nn

from trainer.optimisation.optimisers import OPTIMISERS, set_rates

GRADIENTS = [0.5, -2.0, 1.0, 0.25]


def walked(name: str, rate: float, beta1: float, beta2: float) -> float:
    """Where a weight that starts at 1 ends after these gradients, with settings that come after it was made."""
    weight = nn.Parameter(torch.ones(1))
    optimiser = OPTIMISERS[name]([weight], 0.3, 0.6)
    set_rates(optimiser, rate, beta1, beta2)
    for gradient in GRADIENTS:
        weight.grad = torch.tensor([gradient])
        optimiser.step()
    return weight.item()


def test_sgd_with_momentum() -> None:
    weight, speed = 1.0, 0.0
    for gradient in GRADIENTS:
        speed = 0.9 * speed + gradient
        weight -= 0.1 * speed
    assert walked("sgd", 0.1, 0.9, 0.5) == pytest.approx(weight, rel=1e-6)


def test_rmsprop_divides_by_the_root_of_the_mean_square() -> None:
    weight, square, speed = 1.0, 0.0, 0.0
    for gradient in GRADIENTS:
        square = 0.9 * square + 0.1 * gradient**2
        speed = 0.7 * speed + gradient / (square**0.5 + 1e-8)
        weight -= 0.1 * speed
    assert walked("rmsprop", 0.1, 0.7, 0.9) == pytest.approx(weight, rel=1e-6)


def test_adam_corrects_for_its_start() -> None:
    weight, mean, square = 1.0, 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS, 1):
        mean = 0.5 * mean + 0.5 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        weight -= 0.1 * (mean / (1 - 0.5**step)) / ((square / (1 - 0.9**step)) ** 0.5 + 1e-8)
    assert walked("adam", 0.1, 0.5, 0.9) == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_is_made_with_its_betas(name: str) -> None:
    weight = nn.Parameter(torch.ones(1))
    optimiser = OPTIMISERS[name]([weight], 0.7, 0.8)
    rate = optimiser.param_groups[0]["lr"]
    for gradient in GRADIENTS:
        weight.grad = torch.tensor([gradient])
        optimiser.step()
    assert weight.item() - 1 == pytest.approx(walked(name, rate, 0.7, 0.8) - 1, rel=1e-4)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_rates_move_while_it_runs(name: str) -> None:
    weight = nn.Parameter(torch.ones(1))
    optimiser = OPTIMISERS[name]([weight], 0.0, 0.9)
    set_rates(optimiser, 0.0, 0.0, 0.9)
    weight.grad = torch.ones(1)
    optimiser.step()
    assert weight.item() == 1
    set_rates(optimiser, 0.01, 0.0, 0.9)
    optimiser.step()
    assert weight.item() < 1
