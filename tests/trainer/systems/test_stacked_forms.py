"""The stack's losses written out: every term of every player, with its weight, on the networks as they are."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.spec import GeneratorSpec
from trainer.objective.augmentation import AUGMENTATIONS
from trainer.settings.config import TrainConfig
from trainer.settings.stack import Stack
from trainer.systems import build_system
from trainer.systems.players import Batch
from trainer.systems.stacked import ENCODER, LOWER_D, LOWER_G, UPPER_D, UPPER_G, Stacked

LABELS = torch.tensor([0, 1, 1, 0, 1, 1])
APART, TOGETHER = 1000, 2000  # images seen
WEIGHTS = {"conditional": 0.7, "features": 3.0, "entropy": 0.4}


def system_of(labels: bool = True, **changes: object) -> Stacked:
    spec = GeneratorSpec(
        "stacked", 8, 8, 1, 5, classes=("a", "b") if labels else (), options={"width": 4, "features": 6}
    )
    config = TrainConfig(
        "stackedgan",
        **{
            "family": "stacked",
            "system": "stacked",
            "discriminator": {"width": 4},
            "latent_dim": 5,
            "augment": ("flip",),
            "stack": {"encoder_kimg": 1.0, "apart_kimg": 1.0, **WEIGHTS},
            **changes,
        },
    )
    system = build_system(config, spec, torch.device("cpu"))
    assert isinstance(system, Stacked)
    with torch.no_grad():  # so large that it matters what they are given
        for weight in (*system.whole.parameters(), *system.discriminator.parameters()):
            if weight.ndim > 1:
                weight.mul_(4)
    return system


@pytest.fixture(autouse=True)
def halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Augmentation that is seen wherever it is done, and where it is left out."""
    monkeypatch.setitem(AUGMENTATIONS, "flip", lambda images: images / 2)


def batch(labels: Tensor | None = LABELS) -> Batch:
    return Batch(torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1, labels, 0)


def noise() -> tuple[Tensor, Tensor]:
    """The round's latents, of which the upper level takes the smaller half."""
    torch.manual_seed(6)
    z = torch.randn(6, 5)
    return z[:, :2], z[:, 2:]


def read_off(system: Stacked, seen: Tensor, wanted: Tensor, level: str) -> Tensor:
    return 0.4 * (system.networks[f"read_{level}"](seen) - wanted).square().mean() / 2


def play(system: Stacked, name: str) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(6)
    (player,) = [player for player in system.players if player.name == name]
    return player.loss(batch())


def test_the_encoder_s_loss_is_cross_entropy_of_augmented_images() -> None:
    system = system_of()
    system.begin(0)
    loss, stats = play(system, ENCODER)
    logits = system.encoder.classify(system.encoder(batch().images / 2))
    assert loss.item() == pytest.approx(F.cross_entropy(logits, LABELS).item(), rel=1e-5)
    assert stats["accuracy"].item() == pytest.approx((logits.argmax(1) == LABELS).float().mean().item())


def test_the_discriminator_of_features_tells_the_encoder_s_from_made_ones_and_reads_the_noise() -> None:
    system = system_of()
    system.begin(APART)
    loss, stats = play(system, UPPER_D)
    above, _ = noise()
    judge, made = system.features_discriminator, system.whole.upper(above, LABELS)
    seen = judge.features(system.encoder(batch().images)), judge.features(made)
    real, fake = (judge.score(features, LABELS) for features in seen)
    expected = F.softplus(-real).mean() + F.softplus(fake).mean() + read_off(system, seen[1], above, "above")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert stats["real"].item() == pytest.approx(real.mean().item(), rel=1e-4)
    assert stats["fake"].item() == pytest.approx(fake.mean().item(), rel=1e-4)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("images_seen", [APART, TOGETHER])
def test_the_generator_of_features_is_to_pass_to_lead_to_its_class_and_together_to_paint_well(
    images_seen: int, labelled: bool
) -> None:
    system = system_of()
    with torch.no_grad():
        system.features_discriminator.embed.weight.normal_()
    system.begin(images_seen)
    labels = LABELS if labelled else None
    torch.manual_seed(6)
    loss, stats = system.features_generator_loss(batch(labels))
    above, below = noise()
    judge, made = system.features_discriminator, system.whole.upper(above, labels)
    seen = judge.features(made)
    expected = F.softplus(-judge.score(seen, labels)).mean() + read_off(system, seen, above, "above")
    if labelled:
        expected += 0.7 * F.cross_entropy(system.encoder.classify(made), LABELS)
    if images_seen == TOGETHER:
        expected += F.softplus(-system.discriminator(system.whole.paint(made, below) / 2)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    error = read_off(system, seen, above, "above") / 0.4
    assert stats["noise_error"].item() == pytest.approx(error.item(), rel=1e-5)


@pytest.mark.parametrize("images_seen", [APART, TOGETHER])
def test_both_players_of_the_lower_level(images_seen: int) -> None:
    """Apart it starts from the encoder's features of the real images, together from those that the upper one makes."""
    system = system_of()
    system.begin(images_seen)
    loss, stats = play(system, LOWER_D)
    generator_loss, said = play(system, LOWER_G)  # of the images that were painted for the discriminator
    above, below = noise()
    features = system.encoder(batch().images) if images_seen == APART else system.whole.upper(above, LABELS)
    painted, judge = system.whole.paint(features, below), system.discriminator
    seen = judge.features(batch().images / 2), judge.features(painted / 2)
    real, fake = (judge.score(each) for each in seen)
    reading = read_off(system, seen[1], below, "below")
    expected = F.softplus(-real).mean() + F.softplus(fake).mean() + reading
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert stats["real"].item() == pytest.approx(real.mean().item(), rel=1e-4)
    assert stats["fake"].item() == pytest.approx(fake.mean().item(), rel=1e-4)

    back = (system.encoder(painted) - features).square().mean()  # by pictures as they are, not augmented
    expected = F.softplus(-fake).mean() + reading + 3 * back
    assert generator_loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert said["features_error"].item() == pytest.approx(back.item(), rel=1e-4)
    assert said["noise_error"].item() == pytest.approx(reading.item() / 0.4, rel=1e-4)


@pytest.mark.parametrize("name", [UPPER_D, UPPER_G, LOWER_D, LOWER_G])
def test_scores_that_come_in_half_precision_are_summed_in_full(name: str) -> None:
    """Nothing more is lost than what the discriminators' own rounding loses."""
    losses = []
    for kind in (torch.bfloat16, torch.float32):
        system = system_of()
        system.begin(TOGETHER)
        for judge in (system.features_discriminator, system.discriminator):
            judge.score = lambda *given, score=judge.score, kind=kind: score(*given).bfloat16().to(kind)
        losses.append(play(system, name)[0])
    assert losses[0].dtype == torch.float32
    assert losses[0].item() == losses[1].item()


@pytest.mark.parametrize("images_seen", [0, APART, TOGETHER])
def test_no_player_moves_what_is_another_s(images_seen: int) -> None:
    system = system_of()
    system.begin(images_seen)
    everything = {p for network in system.networks.values() for p in network.parameters()}
    for player in system.players:
        own = {p for group in player.optimiser.param_groups for p in group["params"]}
        for parameter in everything:
            parameter.grad = None
        player.loss(batch())[0].backward()
        assert {p for p in everything if p.grad is not None} == own
        assert all(p.requires_grad for p in everything)
    movers = [p for player in system.players for group in player.optimiser.param_groups for p in group["params"]]
    assert sorted(map(id, movers)) == sorted(map(id, everything))


def test_the_augmented_share_is_that_of_the_moment() -> None:
    system = system_of(augment_p=1.0, schedule_kimg=1.0, final={"augment_p": 0.0})
    system.begin(10**6)
    loss, _ = play(system, ENCODER)
    logits = system.encoder.classify(system.encoder(batch().images))
    assert loss.item() == pytest.approx(F.cross_entropy(logits, LABELS).item(), rel=1e-5)


def test_generators_and_the_others_have_their_own_rates() -> None:
    final = {"learning_rate_g": 0.001, "learning_rate_d": 0.004, "beta2": 0.5}
    system = system_of(
        learning_rate_g=0.003, learning_rate_d=0.002, beta1=0.25, beta2=0.75, schedule_kimg=1.0, final=final, batch=7
    )
    for images, generators, others, beta2 in ((0, 0.003, 0.002, 0.75), (500, 0.002, 0.003, 0.625)):
        assert system.begin(images) == 7
        for player in system.players:
            (group,) = player.optimiser.param_groups
            assert group["lr"] == pytest.approx(generators if player.name in (UPPER_G, LOWER_G) else others)
            assert group["betas"] == pytest.approx((0.25, beta2))


def test_the_encoder_is_as_wide_as_the_discriminator() -> None:
    for options, width in (({"width": 4}, 4), ({}, 32)):
        system = system_of(discriminator=options)
        for network in (system.encoder, system.discriminator):
            assert next(p for p in network.parameters() if p.ndim == 4).shape[0] == width
    assert system.features_discriminator.feature_dim == 12  # twice as many as there are features


def test_weights_that_are_left_out_are_the_published_ones() -> None:
    assert Stack.of({"features": 2.0}) == Stack(10.0, 20.0, conditional=1.0, features=2.0, entropy=1.0)
    assert Stack.of({}).features == 10.0


def test_the_encoder_learns_its_statistics_alone() -> None:
    system = system_of()
    system.begin(999)
    assert system.encoder.training
    system.begin(1000)
    assert not system.encoder.training
