"""The adversarial system with networks small enough to compute by hand: every term of both losses with its weight."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.trainer.toys import LABELS, A, B, C, batch, score, slopes, system_of
from trainer.objective import losses
from trainer.objective.losses import TOLD, Loss, told
from trainer.systems.players import Batch

WEIGHTS = {"r1_gamma": 0.5, "r2_gamma": 0.3, "gradient_penalty": 7.0, "drift": 0.11}


@pytest.mark.parametrize("every", [1, 3])
def test_every_term_of_the_discriminator_s_loss_with_its_weight(every: int) -> None:
    system = system_of(**WEIGHTS, penalty_every=every)
    played = batch()
    torch.manual_seed(9)
    loss, stats = system.discriminator_loss(played)
    real, fake, between = (shown.detach() for shown in system.discriminator.shown)
    assert torch.equal(real, played.images)

    torch.manual_seed(9)
    torch.randn(4, 3)  # the latents
    torch.testing.assert_close(between, torch.lerp(fake, real, torch.rand(4, 1, 1, 1)))

    r1, r2 = slopes(real).mean(), slopes(fake).mean()
    penalty, drift = (slopes(between).sqrt() - 1).square().mean(), score(real).square().mean()
    lazy = 0.5 / 2 * every * r1 + 0.3 / 2 * every * r2 + 7 * every * penalty
    expected = score(fake).mean() - score(real).mean() + lazy + 0.11 * drift
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    found = {name: value.item() for name, value in stats.items()}
    means = {"real": score(real).mean(), "fake": score(fake).mean()}
    means[TOLD] = told(score(real), score(fake))
    named = {**means, "r1": r1, "r2": r2, "penalty": penalty, "drift": drift}
    assert found == pytest.approx({name: value.item() for name, value in named.items()}, rel=1e-5)


@pytest.mark.parametrize("weights", [{name: value} for name, value in WEIGHTS.items()])
def test_each_penalty_alone_moves_the_critic_by_the_derivative_of_its_closed_form(weights: dict[str, float]) -> None:
    system = system_of(**weights, penalty_every=2)
    system.discriminator_loss(batch())[0].backward()
    real, fake, *between = (shown.detach().flatten(1) for shown in system.discriminator.shown)
    ((name, weight),) = weights.items()
    a, b, c = (torch.tensor(number, requires_grad=True) for number in (A, B, C))

    def slope(x: Tensor) -> Tensor:
        return (a + b * x).square().sum(dim=1)

    def judged(x: Tensor) -> Tensor:
        return a * x.sum(dim=1) + b * x.square().sum(dim=1) / 2 + c * LABELS

    loss = judged(fake).mean() - judged(real).mean()
    if name == "r1_gamma":
        loss = loss + weight / 2 * 2 * slope(real).mean()
    elif name == "r2_gamma":
        loss = loss + weight / 2 * 2 * slope(fake).mean()
    elif name == "gradient_penalty":
        loss = loss + weight * 2 * (slope(between[0]).sqrt() - 1).square().mean()
    else:
        loss = loss + weight * judged(real).square().mean()
    loss.backward()
    critic = system.discriminator
    found = [critic.a.grad, critic.b.grad, critic.c.grad]
    for ours, expected in zip(found, (a.grad, b.grad, c.grad), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_between_the_lazy_rounds_drift_alone_is_left() -> None:
    system = system_of(**WEIGHTS, penalty_every=3)
    for step in (0, 1, 2, 3):
        system.discriminator.shown.clear()
        loss, stats = system.discriminator_loss(batch(step))
        assert ({"r1", "r2", "penalty"} <= stats.keys()) == (step in (0, 3))
        if step in (1, 2):
            real, fake = system.discriminator.shown
            expected = score(fake).mean() - score(real).mean() + 0.11 * score(real).square().mean()
            assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
            assert stats.keys() == {"real", "fake", TOLD, "drift"}


def test_the_round_s_images_stay_as_they_were_given() -> None:
    played = batch()
    system_of(r1_gamma=1.0).discriminator_loss(played)
    assert not played.images.requires_grad


def test_without_penalties_the_loss_is_the_game() -> None:
    system = system_of()
    loss, stats = system.discriminator_loss(batch())
    real, fake = system.discriminator.shown
    assert loss.item() == pytest.approx((score(fake) - score(real)).mean().item(), rel=1e-5)
    assert stats.keys() == {"real", "fake", TOLD}
    assert not fake.requires_grad  # the generator learns nothing from it


def test_the_generator_s_loss_is_the_game_and_its_orthogonal_term() -> None:
    system = system_of(orthogonal=0.01)
    loss, _ = system.generator_loss(batch())
    (fake,) = system.discriminator.shown
    rows = system.generator.weight.detach()
    products = rows @ rows.T
    expected = -score(fake).mean() + 0.01 * (products - products.diagonal().diag()).square().sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    plain = system_of()
    assert plain.generator_loss(batch())[0].item() == pytest.approx(-score(plain.discriminator.shown[0]).mean().item())


def test_fakes_are_the_generator_s_of_normal_latents_limited_and_of_the_round_s_classes() -> None:
    system = system_of()
    torch.manual_seed(8)
    played = batch()
    system.discriminator_loss(played)
    system.generator_loss(played)
    torch.manual_seed(8)
    z = torch.randn(4, 3)
    expected = (z @ system.generator.weight.T + LABELS[:, None] / 10).clamp(-1, 1).view(4, 1, 8, 8)
    for shown in system.discriminator.shown[1:]:
        torch.testing.assert_close(shown, expected)
    assert all(torch.equal(told, LABELS) for told in system.discriminator.told)
    assert len(system.discriminator.told) == 3


def test_classes_are_told_at_the_penalty_s_images_and_to_pairs() -> None:
    system = system_of(loss="relativistic", gradient_penalty=1.0)
    loss = system.discriminator_loss(batch())[0]
    real, fake, between = system.discriminator.shown
    penalty = (slopes(between).sqrt() - 1).square().mean()
    assert loss.item() == pytest.approx((F.softplus(score(fake) - score(real)).mean() + penalty).item(), rel=1e-5)
    system.discriminator.shown.clear()
    found = system.generator_loss(batch())[0]
    fake, real = system.discriminator.shown
    assert torch.equal(real, batch().images)
    assert found.item() == pytest.approx(F.softplus(score(real) - score(fake)).mean().item(), rel=1e-5)
    assert all(torch.equal(told, LABELS) for told in system.discriminator.told)
    assert len(system.discriminator.told) == 5


def test_only_the_discriminator_learns_from_its_loss_and_only_the_generator_from_its_own() -> None:
    system = system_of(loss="relativistic", augment=("flip",), augment_target=0.6)
    system.discriminator_loss(batch())
    system.generator_loss(batch())
    assert system.discriminator.learning == [True, True, False, False]
    assert all(parameter.requires_grad for parameter in system.discriminator.parameters())


def test_fakes_of_rounds_in_which_the_generator_rests_cost_no_graph() -> None:
    system = system_of(critic_steps=3)
    assert [player.every for player in system.players] == [1, 3]
    made: list[bool] = []
    system.generator.register_forward_hook(lambda *given: made.append(given[2].requires_grad))
    for step in range(4):
        system.discriminator_loss(batch(step))
    assert made == [True, False, False, True]


def test_a_round_of_its_own_has_fakes_of_its_own() -> None:
    system = system_of()
    system.discriminator_loss(batch(0))
    system.discriminator_loss(batch(1))
    _, first, _, second = system.discriminator.shown
    assert not torch.equal(first, second)
    system.generator_loss(batch(1))
    assert torch.equal(system.discriminator.shown[-1], second)
    system.generator_loss(batch(1))  # they are let go once the generator has moved: they hold its graph
    assert not torch.equal(system.discriminator.shown[-1], second)


def spied(monkeypatch: pytest.MonkeyPatch, **changes: object) -> tuple[Tensor, Tensor]:
    """The targets that a discriminator's loss is given for 2000 real images and as many fakes."""
    given: list[Tensor] = []

    def discriminator(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
        given.extend((real_target, fake_target))
        return real.mean() + fake.mean()

    monkeypatch.setitem(losses.LOSSES, "hinge", lambda: Loss(discriminator, lambda fake, _: fake.mean()))
    system = system_of(loss="hinge", **changes)
    torch.manual_seed(0)
    system.discriminator_loss(Batch(torch.zeros(2000, 1, 8, 8), None, 0))
    return given[0], given[1]


def test_targets_are_1_and_0_or_what_labels_are_smoothed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for changes, ends in (({}, (1, 0)), ({"real_labels": (0.9, 0.9), "fake_labels": (0.2, 0.2)}, (0.9, 0.2))):
        real, fake = spied(monkeypatch, **changes)
        torch.testing.assert_close(real, torch.full((2000,), float(ends[0])))
        torch.testing.assert_close(fake, torch.full((2000,), float(ends[1])))


def test_noisy_targets_are_uniform_between_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    for target, low, high in zip(spied(monkeypatch, real_labels=(0.8, 1), fake_labels=(0, 0.4)), (0.8, 0), (1, 0.4)):  # noqa: B905
        assert low <= target.min() < low + 0.01
        assert high - 0.01 < target.max() <= high
        assert target.mean().item() == pytest.approx((low + high) / 2, abs=0.01)


def test_noisy_targets_leave_the_logits_as_they_are() -> None:
    system = system_of(loss="least-squares", real_labels=(0.8, 1.0))
    loss, stats = system.discriminator_loss(batch())
    real, fake = (score(shown) for shown in system.discriminator.shown)
    found = {name: value.item() for name, value in stats.items()}
    means = {"real": real.mean().item(), "fake": fake.mean().item(), TOLD: told(real, fake).item()}
    assert found == pytest.approx(means, rel=1e-5)
    ends = [(real - target).square().mean() / 2 + fake.square().mean() / 2 for target in (0.8, 1.0)]
    assert min(ends) - 0.2 < loss < max(ends) + 0.2


def test_losses_are_summed_in_full_precision_whatever_the_discriminator_s() -> None:
    system = system_of(loss="relativistic", gradient_penalty=1.0)
    plain = system.discriminator.score
    system.discriminator.score = lambda features, label=None: plain(features, label).bfloat16()
    for loss in (system.discriminator_loss, system.generator_loss):
        assert loss(batch())[0].dtype == torch.float32


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop", "sgd"])
def test_each_player_has_its_own_rate_and_both_have_the_betas_of_the_moment(optimiser: str) -> None:
    final = {"learning_rate_g": 0.001, "learning_rate_d": 0.004, "beta2": 0.5}
    system = system_of(
        optimiser=optimiser, learning_rate_g=0.003, learning_rate_d=0.002, beta1=0.25, beta2=0.75,
        schedule_kimg=1.0, final=final, batch=4,
    )  # fmt: skip
    for images, share in ((0, 0.0), (500, 0.5), (1000, 1.0), (5000, 1.0)):
        assert system.begin(images) == 4
        beta2 = 0.75 + share * (0.5 - 0.75)
        betas = {"adam": {"betas": (0.25, beta2)}, "rmsprop": {"alpha": beta2, "momentum": 0.25}}
        for player, rate in zip(system.players, (0.002 + 0.002 * share, 0.003 - 0.002 * share), strict=True):
            (group,) = player.optimiser.param_groups
            assert group["lr"] == pytest.approx(rate)
            for name, value in betas.get(optimiser, {"momentum": 0.25}).items():
                assert group[name] == pytest.approx(value)


def test_the_penalty_s_weight_is_that_of_the_moment() -> None:
    system = system_of(r1_gamma=2.0, r2_gamma=4.0, schedule_kimg=1.0, final={"r1_gamma": 1.0, "r2_gamma": 0.0})
    system.begin(500)
    loss = system.discriminator_loss(batch())[0]
    real, fake = system.discriminator.shown
    penalties = 1.5 / 2 * slopes(real).mean() + 2 / 2 * slopes(fake).mean()
    expected = score(fake).mean() - score(real).mean() + penalties
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    system.begin(1000)
    assert "r2" not in system.discriminator_loss(batch())[1]


def test_a_clipped_critic_is_clipped_at_its_own_bound_after_its_step() -> None:
    system = system_of(clip=0.05)
    critic = system.discriminator
    critic.a.grad, critic.b.grad, critic.c.grad = (torch.zeros(()) for _ in range(3))
    system.players[0].optimiser.step()
    assert [critic.a.item(), critic.b.item(), critic.c.item()] == pytest.approx([A, 0.05, 0.05])
