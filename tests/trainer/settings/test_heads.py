"""Heads on the discriminator: what they are asked, what they are told, and whom they move."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.checkpoint import load_generator
from core.errors import ConfigError
from core.spec import CATEGORY
from tests.trainer.conftest import tiny_config
from trainer.data.pack import Pack
from trainer.planning import plan
from trainer.presets import resolve
from trainer.run import Run
from trainer.settings.heads import Heads
from trainer.systems import build_system
from trainer.systems.heads import WithHeads
from trainer.systems.players import Batch
from trainer.training import train

CPU = torch.device("cpu")
TINY = ["width=4", "latent_dim=8"]


def system_of(preset: str, pack: Pack, *settings: str) -> WithHeads:
    planned = plan(resolve(preset, [*TINY, *settings]), pack)
    system = build_system(planned.config, planned.spec, CPU)
    assert isinstance(system, WithHeads)
    return system


def batch_of(pack: Pack, labels: torch.Tensor | None = None) -> Batch:
    images = torch.from_numpy(pack.gather(np.arange(8))).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Batch(images, labels, 0)


def test_the_discriminator_is_told_neither_class_nor_code(pack: Pack) -> None:
    system = system_of("acgan", pack)
    assert system.spec.classes == ("a", "b")
    assert system.discriminator.spec == replace(system.spec, classes=())
    system = system_of("infogan", pack, "heads.codes=3")
    assert system.discriminator.spec == replace(system.spec, classes=(), codes=0)


def test_fakes_are_asked_for_the_classes_of_the_round(pack: Pack) -> None:
    labels = torch.tensor([0, 1] * 4)
    asked = system_of("acgan", pack).conditions(batch_of(pack, labels))
    assert torch.equal(asked.labels, labels)
    assert asked.codes is None


def test_categories_come_equally_often_and_codes_fill_their_range(pack: Pack) -> None:
    system = system_of("infogan", pack, "heads.categories=4.0", "heads.codes=3")  # as JSON may have it
    assert system.spec.classes == tuple(f"{CATEGORY}{i}" for i in range(4))
    assert (system.spec.codes, system.spec.found_its_classes) == (3, True)
    many = Batch(torch.zeros(4000, 4, 16, 16), None, 0)
    asked = system.conditions(many)
    shares = torch.bincount(asked.labels, minlength=4) / 4000
    assert shares == pytest.approx(torch.full((4,), 0.25), abs=0.03)
    assert asked.codes.shape == (4000, 3)
    assert asked.codes.abs().max() <= 1
    assert asked.codes.mean().item() == pytest.approx(0, abs=0.05)
    assert asked.codes.square().mean().item() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("share", [1.0, 0.1, 0.0])
def test_the_class_error_is_cross_entropy_of_real_and_a_share_of_that_of_fakes(pack: Pack, share: float) -> None:
    system = system_of("acgan", pack, "augment=", "heads.label=0.7", f"heads.fakes={share}")
    labels = torch.tensor([0, 1] * 4)
    batch = batch_of(pack, labels)
    made: list[torch.Tensor] = []
    system.generator.register_forward_hook(lambda *given: made.append(given[2].detach()))
    discriminator, stats = system.discriminator_loss(batch)
    generator, _ = system.generator_loss(batch)
    features = [system.discriminator.features(images) for images in (batch.images, *made)]
    errors = [F.cross_entropy(system.classes(each), labels) for each in features]
    real, fake = (system.discriminator.score(each) for each in features)
    game = F.softplus(-real).mean() + F.softplus(fake).mean()
    assert discriminator.item() == pytest.approx((game + 0.7 * (errors[0] + share * errors[1])).item(), rel=1e-4)
    convinced = F.softplus(-fake).mean()
    assert generator.item() == pytest.approx((convinced + 0.7 * errors[1]).item(), rel=1e-4)  # all of it, always
    assert stats["class_error"].item() == pytest.approx(errors[1].item(), rel=1e-4)


def test_the_heads_move_with_the_discriminator(pack: Pack) -> None:
    system = system_of("infogan", pack)
    mine = {p for group in system.players[0].optimiser.param_groups for p in group["params"]}
    heads = {*system.classes.parameters(), *system.codes.parameters()}
    assert heads and heads < mine
    assert {"classes", "codes"} < system.networks.keys()  # so they are saved


def test_a_code_is_learnt_from_scratch(pack: Pack, out: Path) -> None:
    """With the game left out of it, the generator and the head agree on what the code means."""
    config = tiny_config(kimg=1.2, heads={"codes": 1, "code": 20.0}, system="heads", learning_rate_g=2e-3)
    train(plan(config, pack), out)
    log = [line["generator/code_error"] for line in Run(out).read_log() if "generator/code_error" in line]
    assert np.mean(log[-5:]) < 0.5 * np.mean(log[:5])
    assert load_generator(Run(out).generator).spec.codes == 1


def test_the_most_heads_that_there_may_be() -> None:
    most = Heads.of({"categories": 1000, "codes": 64})
    assert (len(most.names), most.codes) == (1000, 64)


def test_heads_that_are_not_asked_for_are_not_there() -> None:
    assert Heads.of({}) == Heads(label=0.0, fakes=1.0, categories=0, codes=0, category=1.0, code=0.5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lable": 1.0}, "heads.lable is unknown"),
        ({"categories": 2.5}, "whole number"),
        ({"codes": 65}, "at most 64"),
        ({"categories": 1001}, "at most 1000"),
        ({"label": -1.0}, "at least 0"),
        ({"code": float("nan")}, "at least 0"),
        ({"label": True}, "at least 0"),
    ],
)
def test_what_heads_cannot_be(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Heads.of(settings)


@pytest.mark.parametrize(
    ("preset", "settings", "said"),
    [
        ("acgan", ["heads.categories=3"], "choose one of them"),
        ("dcgan", ["heads.codes=2"], "heads is of the heads system"),
        ("dcgan", ["system=heads"], "heads need something to tell"),
        ("r3gan-cpu", ["system=heads", "heads.codes=2"], "does not learn codes"),
        ("stylegan-lite-cpu", ["heads.codes=2"], "heads is of the heads system"),
    ],
)
def test_heads_that_do_not_fit_the_run(pack: Pack, preset: str, settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned = plan(resolve(preset, [*TINY, *settings]), pack)
        build_system(planned.config, planned.spec, CPU)
