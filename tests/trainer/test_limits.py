"""Values as pixels will show them, with gradients that can still pull them back."""

import pytest
import torch

from trainer.limits import limited


def test_values_are_clamped() -> None:
    values = torch.linspace(-3, 3, 25).reshape(1, 1, 5, 5)
    assert torch.equal(limited(values, -1, 1), values.clamp(-1, 1))


@pytest.mark.parametrize(
    ("value", "gradient", "expected"),
    [
        (0.5, 2.0, 2.0),
        (0.5, -2.0, -2.0),
        (1.0, -2.0, -2.0),  # at the end, not beyond it
        (3.0, -2.0, 0.0),  # descent would raise it further
        (3.0, 2.0, 2.0),
        (-3.0, 2.0, 0.0),
        (-3.0, -2.0, -2.0),
    ],
)
def test_only_gradients_that_lead_further_out_are_dropped(value: float, gradient: float, expected: float) -> None:
    values = torch.tensor([value], requires_grad=True)
    limited(values, -1, 1).backward(torch.tensor([gradient]))
    assert values.grad is not None
    assert values.grad.item() == expected


def test_values_that_all_left_the_range_learn_to_come_back() -> None:
    """A plain clamp's gradient is 0 there."""
    values = torch.full((8,), -5.0, requires_grad=True)
    optimiser = torch.optim.SGD([values], 0.5)
    for _ in range(40):
        optimiser.zero_grad()
        (limited(values, -1, 1) - 0.25).square().sum().backward()
        optimiser.step()
    assert torch.allclose(values, torch.tensor(0.25), atol=1e-4)
