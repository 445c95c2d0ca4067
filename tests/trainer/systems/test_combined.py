"""Games at once: what each adds is there, and what does not go together is refused before anything is built."""

from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import ConfigError
from core.spec import GeneratorSpec
from tests.resting import resting
from tests.trainer.conftest import tiny_config
from trainer.data.pack import Pack
from trainer.loop import Training, move
from trainer.optimisation.ema import averages_of
from trainer.planning import plan
from trainer.presets import resolve
from trainer.settings.config import TrainConfig
from trainer.systems import SYSTEMS, build_system, system_named
from trainer.systems.adversarial import Adversarial
from trainer.systems.combined import ProgressiveWithHeads, StyleWithHeads
from trainer.systems.players import Batch

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")
LABELS = torch.tensor([0, 1, 2, 1, 0, 2])
PRESET = {"style+heads": "stylegan-lite-cpu", "progressive+heads": "progressive-cpu"}


def config_of(system: str, *settings: str, **changes: object) -> TrainConfig:
    heads = [f"system={system}", "heads.label=0.7", "heads.fakes=0.25"]
    plain = ["width=4", "latent_dim=8", "augment=", "r1_gamma=0", "gradient_penalty=0", "drift=0"]
    loss = {"loss": "non-saturating", "conditional": True, "final": {}}
    return resolve(PRESET[system], [*plain, *heads, *settings], **{**loss, **changes})


def system_of(system: str, *settings: str) -> Adversarial:
    config = config_of(system, *settings)
    spec = GeneratorSpec(config.family, 16, 16, 4, 8, classes=CLASSES, options=config.generator)
    found = build_system(config, spec, CPU)
    assert isinstance(found, Adversarial)
    return found


def batch() -> Batch:
    return Batch(torch.rand(6, 4, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1, LABELS, 0)


@pytest.mark.parametrize("name", PRESET)
def test_heads_read_the_class_off_images_that_have_styles_or_grow(name: str) -> None:
    """Every term of both losses, recomputed from what the discriminator was shown."""
    system = system_of(name)
    shown: list[Tensor] = []
    told: list[Tensor | None] = []
    features = system.discriminator.features

    def spied(images: Tensor, label: Tensor | None = None) -> Tensor:
        shown.append(images.detach())
        told.append(label)
        return features(images, label)

    system.discriminator.features = spied
    discriminator_loss, stats = system.discriminator_loss(batch())
    generator_loss, said = system.generator_loss(batch())
    seen = [features(images) for images in shown[:2]]
    real, fake = (system.discriminator.score(each) for each in seen)
    errors = [F.cross_entropy(system.classes(each), LABELS) for each in seen]
    game = F.softplus(-real).mean() + F.softplus(fake).mean()
    expected = game + 0.7 * (errors[0] + 0.25 * errors[1])
    assert discriminator_loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert generator_loss.item() == pytest.approx((F.softplus(-fake).mean() + 0.7 * errors[1]).item(), rel=1e-4)
    assert stats["class_error"].item() == pytest.approx(errors[1].item(), rel=1e-4)
    assert said["class_error"].item() == pytest.approx(errors[1].item(), rel=1e-4)
    assert told == [None, None, None]
    assert system.discriminator.spec.classes == ()


@pytest.mark.parametrize("name", PRESET)
def test_every_player_of_two_games_moves_its_own_and_nothing_else(name: str) -> None:
    system = system_of(name, *(["regularise.path_length=2", "regularise.mixing=0.5"] if name == "style+heads" else []))
    everything = {p for network in system.networks.values() for p in network.parameters()}
    idle = {p for network in system.networks.values() for p in resting(network)}
    for player in system.players:
        own = {p for group in player.optimiser.param_groups for p in group["params"]} - idle
        for parameter in everything:
            parameter.grad = None
        player.loss(batch())[0].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in own)
        assert all(p.grad is None for p in everything - own)
    heads = {*system.classes.parameters()}
    assert heads < {p for group in system.players[0].optimiser.param_groups for p in group["params"]}


def test_what_each_game_adds_is_there() -> None:
    style = system_of("style+heads", "regularise.path_length=2", "regularise.path_length_every=4")
    assert isinstance(style, StyleWithHeads)
    assert [*style.networks] == ["generator", "discriminator", "path_mean", "classes"]
    assert [player.name for player in style.players] == ["discriminator", "generator", "path_length"]
    style.begin(0)
    assert style.optimiser_g.param_groups[0]["lr"] == pytest.approx(0.8 * style.optimiser_d.param_groups[0]["lr"])

    grown = system_of("progressive+heads", "growth.stable_kimg=1", "growth.fade_kimg=1")
    assert isinstance(grown, ProgressiveWithHeads)
    grown.begin(0)
    _, stats = grown.generator_loss(batch())
    assert stats["level"] == 0
    grown.begin(1500)
    _, stats = grown.generator_loss(batch())
    assert stats["level"] == 0.5 and "class_error" in stats


def test_the_order_of_the_names_is_free_and_settings_of_both_are_taken() -> None:
    assert system_named("heads+style") is system_named("style+heads") is StyleWithHeads
    assert config_of("progressive+heads", "growth.stable_kimg=1").growth["stable_kimg"] == 1
    with pytest.raises(ConfigError, match="regularise is of the style system"):
        config_of("progressive+heads", "regularise.mixing=0.5")


@pytest.mark.parametrize("pair", permutations(("adversarial", "cycle", "heads", "progressive", "stacked", "style"), 2))
def test_what_does_not_go_together_is_refused_when_the_run_is_planned(pair: tuple[str, str], pack: Pack) -> None:
    name = "+".join(pair)
    if name in SYSTEMS or "+".join(reversed(pair)) in SYSTEMS:
        return
    with pytest.raises(ConfigError, match=f"the systems {pair[0]} and {pair[1]} cannot be combined: choose from"):
        plan(tiny_config(system=name), pack)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["system=style"], "have no styles: --set family=style"),
        (["system=style+heads", "heads.label=1"], "have no styles: --set family=style"),
        (["system=progressive"], "cannot grow: --set family=progressive"),
        (["system=stacked"], "are no stack: --set family=stacked"),
        (["system=heads"], "heads need something to tell"),
        (["system=solitaire"], "no training system 'solitaire'"),
        (["system=style+solitaire"], "no training system 'solitaire'"),
        (["family=style", "system=style+heads", "heads.codes=2"], "does not learn codes"),
    ],
)
def test_a_game_that_the_networks_cannot_play_is_refused_when_the_run_is_planned(
    settings: list[str], said: str, pack: Pack
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(resolve("dcgan", settings), pack)


def test_a_critic_with_heads_is_clipped_as_one_without() -> None:
    config = tiny_config(loss="wasserstein", clip=0.01, optimiser="rmsprop", system="heads", heads={"codes": 1})
    system = build_system(config, GeneratorSpec("dcgan", 16, 16, 4, 8, codes=1, options={"width": 4}), CPU)
    training = Training(config, system, averages_of(system.generators), CPU)
    move(system.players[0], batch(), training)
    assert all(p.abs().max() <= 0.01 for p in system.discriminator.parameters())
    assert any(p.abs().max() > 0.01 for p in system.codes.parameters())  # which scores nothing
