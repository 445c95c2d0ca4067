"""Values as pixels will show them, with gradients that can still pull them back."""

import pytest
import torch

from trainer.objective.clamp import PULL, clamp


def test_values_are_clamped() -> None:
    values = torch.linspace(-3, 3, 25).reshape(1, 1, 5, 5)
    assert torch.equal(clamp(values, -1, 1), values.clamp(-1, 1))


@pytest.mark.parametrize(
    ("value", "gradient", "expected"),
    [
        (0.5, 2.0, 2.0),
        (0.5, -2.0, -2.0),
        (1.0, -2.0, -2.0),  # at the end, not beyond it
        (1.0, 2.0, 2.0),
        (-1.0, -2.0, -2.0),
        (-1.0, 2.0, 2.0),
        (3.0, -2.0, 0.0),  # descent would raise it further
        (3.0, 2.0, 2.0 * PULL),
        (3.0, 0.5, 0.5 * PULL),
        (-3.0, 0.5, 0.0),
        (-3.0, -0.5, -0.5 * PULL),
        (-3.0, 2.0, 0.0),
        (-3.0, -2.0, -2.0 * PULL),
    ],
)
def test_outside_a_little_of_the_gradients_that_lead_back_in_is_left(
    value: float, gradient: float, expected: float
) -> None:
    values = torch.tensor([value], requires_grad=True)
    clamp(values, -1, 1).backward(torch.tensor([gradient]))
    assert values.grad is not None
    assert values.grad.item() == pytest.approx(expected, rel=1e-6)


def test_values_that_all_left_the_range_learn_to_come_back() -> None:
    """A plain clamp's gradient is 0 there."""
    values = torch.full((8,), -5.0, requires_grad=True)
    optimiser = torch.optim.Adam([values], 0.1)  # whose steps do not depend on how small all gradients are
    for _ in range(400):
        optimiser.zero_grad()
        (clamp(values, -1, 1) - 0.25).square().sum().backward()
        optimiser.step()
    assert torch.allclose(values, torch.tensor(0.25), atol=1e-3)
