"""Augmentation in the game, with networks small enough to compute by hand: who sees it, and how its share moves."""

import pytest
import torch

from tests.trainer.toys import LABELS, batch, score, slopes, system_of
from trainer.objective.augmentation import AUGMENTATIONS
from trainer.systems.players import Batch


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_both_players_see_every_image_augmented_and_penalties_go_through_it(
    player: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AUGMENTATIONS, "flip", lambda images: images / 2)
    system = system_of(augment=("flip",), r1_gamma=1.0, loss="relativistic")
    torch.manual_seed(2)
    _, stats = getattr(system, f"{player}_loss")(batch())
    torch.manual_seed(2)
    made = system.generator(torch.randn(4, 3), LABELS).clamp(-1, 1)
    judged = {"discriminator": (batch().images, made), "generator": (made, batch().images)}[player]
    for shown, whole in zip(system.discriminator.shown, judged, strict=True):
        torch.testing.assert_close(shown, whole / 2)
    if player == "discriminator":  # the slope by the whole image is half of that by what was shown
        assert stats["r1"].item() == pytest.approx(slopes(batch().images / 2).mean().item() / 4, rel=1e-5)


@pytest.mark.parametrize(("share", "adaptive"), [(0.25, False), (0.25, True), (0.0, False), (1.0, True)])
def test_the_share_of_augmented_images_is_the_config_s_or_the_adapted_one(
    share: float, adaptive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AUGMENTATIONS, "flip", lambda images: images / 2)
    changes = {"augment_target": 0.6, "augment_p": 1.0} if adaptive else {"augment_p": share}
    system = system_of(augment=("flip",), **changes)
    if adaptive:
        system.share.p.fill_(share)
    system.discriminator_loss(Batch(torch.ones(4000, 1, 8, 8), None, 0))
    halved = (system.discriminator.shown[0][:, 0, 0, 0] == 0.5).float().mean().item()
    assert halved == pytest.approx(share, abs=0.03)


def adapted(loss: str, real: float, fake: float, rounds: int, *, target: float = 0.6, most: float = 1.0) -> list[float]:
    """p after each round in which D is ``real`` at all real images and ``fake`` at all fakes; it starts at 0.001."""
    system = system_of(loss=loss, augment=("translation",), augment_target=target, augment_p=most)
    with torch.no_grad():
        system.generator.weight.zero_()
        system.discriminator.b.zero_()
        system.discriminator.a.fill_((real - fake) / 64)
        system.discriminator.c.zero_()
    plain = system.discriminator.score
    system.discriminator.score = lambda features, label=None: plain(features, label) + fake
    system.share.p.fill_(0.001)
    shares = []
    for step in range(rounds):
        _, stats = system.discriminator_loss(Batch(torch.ones(50, 1, 8, 8), None, step))
        shares.append(stats["augment_p"])
    return [share.item() for share in shares]  # each as it was then, though p has moved on


STEP = 4 * 50 / 500_000  # the share of 500 thousand images that four rounds show


@pytest.mark.parametrize(("loss", "real", "fake", "direction"), [
    ("non-saturating", 3.0, 2.0, 1), ("non-saturating", -2.0, -3.0, -1), ("hinge", 3.0, 2.0, 1),
    # Where only differences count, what lies above the middle of both is called real.
    ("relativistic", -2.0, -3.0, 1), ("wasserstein", -2.0, -3.0, 1), ("wasserstein", 2.0, 3.0, -1),
    ("least-squares", 0.9, 0.8, 1), ("least-squares", 0.8, 0.9, -1),
])  # fmt: skip
def test_the_share_moves_every_fourth_round_by_the_images_seen(
    loss: str, real: float, fake: float, direction: int
) -> None:
    shares = adapted(loss, real, fake, 9)
    expected = [0.001] * 3 + [0.001 + direction * STEP] * 4 + [0.001 + 2 * direction * STEP] * 2
    assert shares == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("loss", ["hinge", "wasserstein"])
def test_signs_are_counted_image_by_image_from_0_or_from_halfway_between_the_means(loss: str) -> None:
    system = system_of(loss=loss, augment=("translation",), augment_target=0.6)
    images = (torch.rand(200, 1, 8, 8) * 2 - 1) * torch.linspace(0, 1, 200)[:, None, None, None]
    system.discriminator_loss(Batch(images, None, 0))
    real, fake = (score(shown, None) for shown in system.discriminator.shown)
    middle = (real.mean() + fake.mean()) / 2 if loss == "wasserstein" else 0
    assert system.share.signs.item() == (real - middle).sign().sum().item()
    assert system.share.count == 200


def test_the_share_stays_within_0_and_augment_p() -> None:
    assert adapted("hinge", 2.0, 1.0, 8, most=0.0012)[-1] == pytest.approx(0.0012)
    assert adapted("hinge", -2.0, -1.0, 16)[-1] == 0
