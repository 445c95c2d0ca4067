"""Losses and penalties against closed forms."""

import pytest
import torch
from torch import nn

from trainer.losses import (
    LOSSES,
    logistic_discriminator,
    non_saturating_generator,
    relativistic_discriminator,
    relativistic_generator,
    wasserstein_discriminator,
    wasserstein_generator,
)
from trainer.penalties import drift, gradient_penalty, interpolates, squared_gradient


def test_logistic_discriminator_is_minus_the_log_likelihood() -> None:
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    loss = logistic_discriminator(real, fake, torch.ones(2), torch.zeros(2))
    expected = -torch.log(real.sigmoid()).mean() - torch.log(1 - fake.sigmoid()).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_smoothed_labels_put_the_optimum_at_the_smoothed_probability() -> None:
    logit = torch.logit(torch.tensor([0.9])).requires_grad_()
    logistic_discriminator(logit, torch.full((1,), -50.0), torch.full((1,), 0.9), torch.zeros(1)).backward()
    assert abs(logit.grad.item()) < 1e-6


def test_non_saturating_generator_learns_most_where_the_discriminator_is_sure() -> None:
    logits = torch.tensor([-20.0, 0.0, 20.0], requires_grad=True)
    non_saturating_generator(logits).backward()
    assert logits.grad * 3 == pytest.approx(torch.tensor([-1.0, -0.5, 0.0]), abs=1e-6)


def test_squared_gradient_of_a_linear_critic_is_its_squared_weight() -> None:
    weight = torch.randn(3 * 4 * 4)
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = squared_gradient(images.flatten(1) @ weight, images)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def test_squared_gradient_of_a_quadratic_critic_and_its_own_gradient() -> None:
    # D(x) = a ‖x‖² / 2 has E‖∇D‖² = a² E‖x‖², whose derivative by a is 2 a E‖x‖².
    a = torch.tensor(1.7, requires_grad=True)
    images = torch.randn(6, 1, 4, 4, requires_grad=True)
    penalty = squared_gradient(a * images.square().sum(dim=(1, 2, 3)) / 2, images)
    energy = images.square().sum(dim=(1, 2, 3)).mean().item()
    assert penalty.item() == pytest.approx(1.7**2 * energy, rel=1e-5)
    penalty.backward()
    assert a.grad.item() == pytest.approx(2 * 1.7 * energy, rel=1e-5)


def test_squared_gradient_reaches_every_weight_of_a_network() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16, 1))
    images = torch.randn(2, 1, 4, 4, requires_grad=True)
    squared_gradient(network(images).flatten(), images).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (network[0].weight, network[3].weight))


def test_the_relativistic_pair_is_a_zero_sum_view_of_the_difference() -> None:
    real, fake = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 1.0, 0.5])
    discriminator, generator = relativistic_discriminator(real, fake), relativistic_generator(fake, real)
    difference = real - fake
    assert discriminator.item() == pytest.approx(torch.log1p(torch.exp(-difference)).mean().item(), rel=1e-6)
    assert generator.item() == pytest.approx(torch.log1p(torch.exp(difference)).mean().item(), rel=1e-6)
    # log(1 + eˣ) - log(1 + e⁻ˣ) = x
    assert (generator - discriminator).item() == pytest.approx(difference.mean().item(), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_pulls_reals_up_and_fakes_down_and_the_generator_pulls_fakes_up(name: str) -> None:
    loss = LOSSES[name]
    real, fake = torch.randn(8, requires_grad=True), torch.randn(8, requires_grad=True)
    loss.discriminator(real, fake, torch.ones(8), torch.zeros(8)).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    loss.generator(fake, real.detach() if loss.pairs else None).backward()
    assert (fake.grad < 0).all()


def test_the_wasserstein_critic_estimates_the_distance_and_the_generator_closes_it() -> None:
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([0.5, -1.5, 1.0])
    assert -wasserstein_discriminator(real, fake).item() == pytest.approx(2.0, rel=1e-6)
    assert wasserstein_generator(fake).item() == pytest.approx(0.0, abs=1e-6)


def test_gradient_penalty_of_a_linear_critic_is_its_slope_s_distance_to_one() -> None:
    for scale in (0.1, 1.0, 3.0):
        weight = nn.functional.normalize(torch.randn(3 * 4 * 4), dim=0) * scale
        images = torch.randn(5, 3, 4, 4, requires_grad=True)
        penalty = gradient_penalty(images.flatten(1) @ weight, images)
        assert penalty.item() == pytest.approx((scale - 1) ** 2, rel=1e-5, abs=1e-10)


def test_gradient_penalty_of_a_quadratic_critic_and_its_own_gradient() -> None:
    # D(x) = a ‖x‖² / 2 has E(‖∇D‖ - 1)² = E(a ‖x‖ - 1)², whose derivative by a is 2 E ‖x‖ (a ‖x‖ - 1).
    a = torch.tensor(0.3, requires_grad=True)
    images = torch.randn(6, 2, 4, 4, requires_grad=True)
    penalty = gradient_penalty(a * images.square().sum(dim=(1, 2, 3)) / 2, images)
    norm = images.detach().flatten(1).norm(dim=1)
    assert penalty.item() == pytest.approx((0.3 * norm - 1).square().mean().item(), rel=1e-5)
    penalty.backward()
    assert a.grad.item() == pytest.approx(2 * (norm * (0.3 * norm - 1)).mean().item(), rel=1e-5)


def test_gradient_penalty_is_one_with_a_finite_gradient_where_a_critic_is_flat() -> None:
    weight = torch.zeros(16, requires_grad=True)
    images = torch.randn(3, 1, 4, 4, requires_grad=True)
    penalty = gradient_penalty(images.flatten(1) @ weight, images)
    penalty.backward()
    assert penalty.item() == 1
    assert torch.equal(weight.grad, torch.zeros(16))


def test_interpolates_lie_between_their_ends_by_one_uniform_draw_an_image() -> None:
    torch.manual_seed(0)
    real, fake = torch.ones(2000, 2, 2, 2), torch.full((2000, 2, 2, 2), -1.0, requires_grad=True)
    between = interpolates(real, fake)
    assert between.is_leaf
    assert between.requires_grad
    weights = (between.detach().flatten(1) + 1) / 2
    assert torch.equal(weights, weights[:, :1].expand_as(weights))
    assert 0 <= weights.min() < 0.01
    assert 0.99 < weights.max() <= 1
    assert weights.mean().item() == pytest.approx(0.5, abs=0.03)
    assert weights[:, 0].var().item() == pytest.approx(1 / 12, abs=0.01)


def test_drift_is_the_mean_square_of_the_real_scores() -> None:
    assert drift(torch.tensor([3.0, -1.0])).item() == 5
