"""Heads with networks small enough to compute by hand: what fakes are asked to be, and every term with its weight."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.trainer.toys import LABELS, SPEC, Painter, batch, score, system_of
from trainer.objective.losses import TOLD, told
from trainer.systems.adversarial import Adversarial

FOUND = replace(SPEC, classes=("category 0", "category 1", "category 2"), codes=2)
CODES = replace(SPEC, classes=(), codes=2)


def asked(system: Adversarial) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """What the next round asks for, drawn again: categories, then codes, then latents that none of these repeat."""
    torch.manual_seed(4)
    labels = torch.randint(3, (4,)) if system.config.heads.get("categories") else None
    codes = torch.rand(4, 2) * 2 - 1 if system.spec.codes else None
    return labels, codes, torch.randn(4, 3)


def painted(system: Adversarial, z: Tensor, labels: Tensor | None, codes: Tensor | None) -> Tensor:
    assert isinstance(system.generator, Painter)
    images = z @ system.generator.weight.T
    if labels is not None:
        images = images + labels[:, None] / 10
    if codes is not None:
        images = images + codes.sum(dim=1, keepdim=True) / 5
    return images.clamp(-1, 1).view(4, 1, 8, 8).detach()


@pytest.mark.parametrize("spec", [FOUND, CODES], ids=["categories", "codes alone"])
def test_both_players_minimise_what_heads_read_wrong_of_the_codes_that_fakes_were_made_of(spec: object) -> None:
    heads = {"codes": 2, "code": 0.3} | ({"categories": 3, "category": 0.7} if spec is FOUND else {})
    system = system_of(spec, system="heads", heads=heads)
    labels, codes, z = asked(system)
    given = None if spec is FOUND else LABELS  # classes that no head reads
    fake = painted(system, z, given if labels is None else labels, codes)
    error = (system.codes(fake.flatten(1)) - codes).square().mean() / 2
    read, errors = 0.3 * error, {"code_error": error.item()}
    if labels is not None:
        error = F.cross_entropy(system.classes(fake.flatten(1)), labels)
        read, errors = read + 0.7 * error, {**errors, "class_error": error.item()}

    torch.manual_seed(4)
    played = batch(labels=given)
    loss, stats = system.discriminator_loss(played)
    generator_loss, said = system.generator_loss(played)
    real, shown = system.discriminator.shown[:2]
    torch.testing.assert_close(shown, fake)
    real, fake = score(real, None), score(fake, None)
    apart = told(real, fake).item()
    assert loss.item() == pytest.approx((fake.mean() - real.mean() + read).item(), rel=1e-5)
    means = {"real": real.mean().item(), "fake": fake.mean().item(), TOLD: apart}
    assert {name: value.item() for name, value in stats.items()} == pytest.approx({**means, **errors}, rel=1e-4)
    assert generator_loss.item() == pytest.approx((read - fake.mean()).item(), rel=1e-5)
    assert {name: value.item() for name, value in said.items()} == pytest.approx(errors, rel=1e-5)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_classes_of_the_pack_are_read_off_real_images_and_off_a_share_of_the_fakes(share: float) -> None:
    system = system_of(system="heads", heads={"label": 0.6, "fakes": share}, seed=3)
    _, _, z = asked(system)
    shown = {"real": batch().images, "fake": painted(system, z, LABELS, None)}
    read = {name: system.classes(images.flatten(1)) for name, images in shown.items()}
    errors = {name: F.cross_entropy(seen, LABELS) for name, seen in read.items()}
    real, fake = (score(images, None).mean() for images in shown.values())  # the discriminator is told no class

    torch.manual_seed(4)
    loss, stats = system.discriminator_loss(batch())
    generator_loss, said = system.generator_loss(batch())
    expected = fake - real + 0.6 * errors["real"] + 0.6 * share * errors["fake"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert generator_loss.item() == pytest.approx((0.6 * errors["fake"] - fake).item(), rel=1e-5)
    assert said["class_error"].item() == pytest.approx(errors["fake"].item(), rel=1e-5)
    right = [int(seen.argmax()) == label for seen, label in zip(read["real"], LABELS, strict=True)]
    assert stats["accuracy"].item() == sum(right) / 4 != 0.5
    assert stats.keys() == {"real", "fake", TOLD, "class_error", "accuracy"}
