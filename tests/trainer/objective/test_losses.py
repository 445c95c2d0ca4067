"""Losses and penalties against closed forms."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_auroc

from core.errors import ConfigError
from trainer.objective.losses import (
    LOSSES,
    code_distance,
    hinge_discriminator,
    logistic_discriminator,
    loss_of,
    non_saturating_generator,
    relativistic_discriminator,
    relativistic_generator,
    told,
    wasserstein_discriminator,
    wasserstein_generator,
)
from trainer.objective.penalties import (
    clip_weights,
    drift,
    gradient_penalty,
    interpolates,
    orthogonal,
    squared_gradient,
)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


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
    loss = loss_of(name, {})
    # Scores between the two ends: beyond them some losses are content.
    real, fake = (torch.rand(8).mul(0.9).add(0.05).requires_grad_() for _ in range(2))
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


def test_interpolates_by_hand_of_images_that_require_gradients() -> None:
    # Of type double, as both ends are then: a weight of another type could not be mixed in.
    real, fake = (torch.randn(3, 2, 2, 2, dtype=torch.double, requires_grad=True) for _ in range(2))
    torch.manual_seed(4)
    between = interpolates(real, fake)
    torch.manual_seed(4)
    share = torch.rand(3, 1, 1, 1, dtype=torch.double)
    torch.testing.assert_close(between, share * real + (1 - share) * fake, rtol=1e-12, atol=1e-12)
    assert between.is_leaf
    assert interpolates(real, fake.float()).dtype == torch.double


@pytest.mark.parametrize("penalty", [squared_gradient, gradient_penalty])
def test_penalties_are_summed_in_full_precision(penalty: Callable[[Tensor, Tensor], Tensor]) -> None:
    # 4096 slopes of 0.125 each: 64 in all, a length of 8. A sum in bfloat16 would be of its type.
    images = torch.randn(2, 1, 64, 64).bfloat16().requires_grad_()
    found = penalty((images * 0.125).sum(dim=(1, 2, 3)), images)
    assert found.dtype == torch.float32
    assert found.item() == (64 if penalty is squared_gradient else 49)


def test_drift_is_the_mean_square_of_the_real_scores() -> None:
    assert drift(torch.tensor([3.0, -1.0])).item() == 5


def test_least_squares_by_hand_with_a_b_and_c() -> None:
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    loss = loss_of("least-squares", {"a": -1.0, "b": 1.0, "c": 0.0})
    found = loss.discriminator(real, fake, torch.ones(2), torch.zeros(2))
    assert found.item() == pytest.approx(((1 + 4) / 2 + (2.25 + 4) / 2) / 2)
    assert loss.generator(fake, None).item() == pytest.approx((0.25 + 9) / 2 / 2)


def test_smoothed_labels_lie_between_a_and_b() -> None:
    loss = loss_of("least-squares", {"a": -1.0, "b": 3.0})
    best = torch.tensor([-1 + 4 * 0.9]), torch.tensor([-1 + 4 * 0.1])
    assert loss.discriminator(*best, torch.tensor([0.9]), torch.tensor([0.1])).item() == pytest.approx(0, abs=1e-6)


def test_least_squares_with_b_minus_c_1_and_b_minus_a_2_is_the_chi_square() -> None:
    # Mao et al. 2017, equation 7: at the best discriminator 2 C(G) = χ²(p_d + p_g ‖ 2 p_g), here of two outcomes.
    data, model = torch.tensor([0.7, 0.3]), torch.tensor([0.4, 0.6])
    a, b, c = -1.0, 1.0, 0.0
    best = (b * data + a * model) / (data + model)  # equation 5
    cost = ((data * (best - c) ** 2).sum() + (model * (best - c) ** 2).sum()) / 2
    chi = ((2 * model - (data + model)) ** 2 / (data + model)).sum()
    assert (2 * cost).item() == pytest.approx(chi.item(), rel=1e-6)


def test_hinge_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, -0.5, 1.0])
    assert hinge_discriminator(real, fake).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 0.5 + 2) / 3)


@pytest.mark.parametrize(
    ("name", "of_discriminator", "of_generator"),
    [
        ("hinge", (0 + 0.5 + 0.5 + 1.75) / 2, -(-0.5 + 0.75) / 2),
        ("least-squares", (1**2 + 0.5**2 + 0.5**2 + 0.75**2) / 4, (1.5**2 + 0.25**2) / 4),
        ("non-saturating", (softplus(-2) + softplus(-0.5) + softplus(-0.5) + softplus(0.75)) / 2,
            (softplus(0.5) + softplus(-0.75)) / 2),
        ("relativistic", (softplus(-2.5) + softplus(0.25)) / 2, (softplus(2.5) + softplus(-0.25)) / 2),
        ("wasserstein", (-0.5 + 0.75) / 2 - (2 + 0.5) / 2, -(-0.5 + 0.75) / 2),
    ],
)  # fmt: skip
def test_both_sides_of_each_loss_by_its_name(name: str, of_discriminator: float, of_generator: float) -> None:
    real, fake, loss = torch.tensor([2.0, 0.5]), torch.tensor([-0.5, 0.75]), loss_of(name, {})
    found = loss.discriminator(real, fake, torch.ones(2), torch.zeros(2)).item(), loss.generator(fake, real).item()
    assert found == pytest.approx((of_discriminator, of_generator), rel=1e-6)


def test_code_distance_by_hand() -> None:
    seen, codes = torch.tensor([[1.0, 0.5]]), torch.tensor([[0.25, 2.0]])
    assert code_distance(seen, codes).item() == pytest.approx((0.75**2 + 1.5**2) / 2 / 2)


def test_what_a_loss_needs_and_what_its_logits_mean() -> None:
    facts = {name: (loss_of(name, {}).pairs, loss_of(name, {}).anchored) for name in LOSSES}
    assert facts == {
        "hinge": (False, True),
        "least-squares": (False, False),  # an undecided score is halfway between a and b
        "non-saturating": (False, True),
        "relativistic": (True, False),
        "wasserstein": (False, False),
    }
    assert loss_of("least-squares", {"sigmoid": True}).anchored


def test_least_squares_of_probabilities() -> None:
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    loss = loss_of("least-squares", {"sigmoid": True})
    p, q = ((1 / (1 + torch.exp(-logits))).tolist() for logits in (real, fake))
    wanted = ((p[0] - 1) ** 2 + (p[1] - 1) ** 2) / 4 + (q[0] ** 2 + q[1] ** 2) / 4
    assert loss.discriminator(real, fake, torch.ones(2), torch.zeros(2)).item() == pytest.approx(wanted, rel=1e-6)
    wanted = ((q[0] - 1) ** 2 + (q[1] - 1) ** 2) / 4
    assert loss.generator(fake, None).item() == pytest.approx(wanted, rel=1e-6)


def test_least_squares_as_they_come_send_reals_to_1_and_fakes_to_0_and_the_generator_to_1() -> None:
    loss, ends = loss_of("least-squares", {}), (torch.ones(1), torch.zeros(1))
    assert loss.discriminator(torch.ones(1), torch.zeros(1), *ends).item() == 0
    assert loss.discriminator(torch.tensor([3.0]), torch.tensor([1.0]), *ends).item() == pytest.approx((4 + 1) / 2)
    assert loss.generator(torch.tensor([3.0]), None).item() == pytest.approx(2)


@pytest.mark.parametrize("loss", ["non-saturating", "least-squares"])
def test_who_still_learns_far_on_the_right_side_of_separable_data(loss: str) -> None:
    """Mao et al. 2017, figure 1: fakes that are taken for real but lie far from it; only least squares moves them."""
    torch.manual_seed(0)
    players, critic = loss_of(loss, {}), nn.Linear(1, 1)
    optimiser = torch.optim.Adam(critic.parameters(), 0.05)
    real, fake = torch.randn(256, 1) / 4 + 3, torch.randn(256, 1) / 4 - 3
    for _ in range(500):
        optimiser.zero_grad()
        ends = torch.ones(256), torch.zeros(256)
        players.discriminator(critic(real).flatten(), critic(fake).flatten(), *ends).backward()
        optimiser.step()
    assert (critic(real) > critic(fake).max()).all()  # separated
    far = torch.full((64, 1), 12.0, requires_grad=True)
    players.generator(critic(far).flatten(), None).backward()
    norm = far.grad.norm().item() * 64**0.5  # of one image, which the mean divides by 64
    assert norm < 1e-6 if loss == "non-saturating" else 0.1 < norm < 10


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("hinge", {"a": 1.0}, "it has none"),
        ("least-squares", {"d": 1.0}, "it has a, b, c, sigmoid"),
        ("least-squares", {"a": "low"}, "must look like 0.0"),
        ("least-squares", {"a": 1e6}, "must look like 0.0"),
        ("least-squares", {"a": -2e6}, "must look like 0.0"),
        ("least-squares", {"a": float("nan")}, "must look like 0.0"),
        ("least-squares", {"a": True}, "must look like 0.0"),
        ("least-squares", {"sigmoid": 1}, "must look like False"),
    ],
)
def test_options_that_a_loss_does_not_have(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loss_of(name, options)


def test_clipped_weights_stay_within_and_the_others_as_they_are() -> None:
    network = nn.Linear(50, 3)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    clip_weights(network, 0.05)
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(new, old.clamp(-0.05, 0.05))


@pytest.mark.parametrize("filters", [3, 8, 20], ids=["fewer than their length", "as many", "more"])
def test_orthogonal_is_the_squared_products_of_different_filters(filters: int) -> None:
    layer = nn.Conv2d(2, filters, 2, bias=False)
    rows = layer.weight.detach().flatten(1)
    expected = sum((rows[i] @ rows[j]) ** 2 for i in range(filters) for j in range(filters) if i != j)
    assert orthogonal(layer).item() == pytest.approx(expected.item(), rel=1e-5)


def test_orthogonal_adds_up_all_layers_and_leaves_biases_out() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5), nn.Linear(5, 1), nn.Conv2d(1, 2, 2))
    expected = 0.0
    for layer in network:
        rows = layer.weight.detach().flatten(1)
        expected += sum((a @ b).item() ** 2 for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j)
    assert orthogonal(network).item() == pytest.approx(expected, rel=1e-5)


def test_orthogonal_filters_of_any_length_cost_nothing() -> None:
    layer = nn.Linear(6, 4)
    nn.init.orthogonal_(layer.weight)
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([[1.0], [2.0], [3.0], [0.1]]))
    assert orthogonal(layer).item() == pytest.approx(0, abs=1e-9)


def test_told_apart_is_the_area_under_the_curve() -> None:
    """Torchmetrics' own, with logits that are equal now and then; and what no offset changes."""
    generator = torch.Generator().manual_seed(3)
    real, fake = (torch.randint(-5, 5, (60,), generator=generator) / 2 + shift for shift in (0.5, 0.0))
    truth = torch.cat([torch.ones(60, dtype=torch.int), torch.zeros(60, dtype=torch.int)])
    expected = binary_auroc(torch.cat([real, fake]).sigmoid(), truth)
    assert told(real, fake).item() == pytest.approx(expected.item(), abs=1e-6)
    assert 0.5 < told(real, fake) == told(real - 7, fake - 7) < 0.9
    assert told(fake + 100, fake) == 1
    assert told(fake, fake) == 0.5


def test_only_a_critic_is_meant_to_tell_all_apart() -> None:
    assert [name for name in LOSSES if not loss_of(name, {}).contest] == ["wasserstein"]
