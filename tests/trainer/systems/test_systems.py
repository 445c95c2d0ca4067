"""Every training system, by the same rules: a new one is covered by being listed."""

import math

import pytest
import torch

from core.errors import ConfigError
from core.spec import GeneratorSpec
from tests.resting import resting
from tests.trainer.conftest import tiny_config
from trainer.data.info import PackInfo, SourcesInfo
from trainer.loop import Training, move
from trainer.objective.losses import logistic_discriminator
from trainer.optimisation.ema import averages_of
from trainer.planning import spec_of
from trainer.presets import PRESETS, resolve
from trainer.settings.config import TrainConfig
from trainer.systems import SYSTEMS, build_system
from trainer.systems.players import Batch

CPU = torch.device("cpu")
SPEC = GeneratorSpec("dcgan", 16, 16, 4, 8, options={"width": 4})


def tiny(preset: str, **changes: object) -> TrainConfig:
    """The preset for images of 16x16, which are smaller than the papers' patches."""
    small = ["discriminator.field=16"] if PRESETS[preset]().system in ("paired", "cycle") else []
    return resolve(preset, ["width=4", "latent_dim=8", *small], **changes)


def batch(step: int = 0, labels: torch.Tensor | None = None) -> Batch:
    images, sources = torch.rand(2, 8, 4, 16, 16, generator=torch.Generator().manual_seed(step)) * 2 - 1
    return Batch(images, labels, step, sources)


def spec_for(config: TrainConfig) -> GeneratorSpec:
    sources = SourcesInfo(16, 16, 4)
    return spec_of(config, PackInfo("discs", 16, 16, 4, classes=("a", "b", "c"), sources=sources))


def batch_for(config: TrainConfig) -> Batch:
    return batch(labels=torch.arange(8) % 3 if config.conditional else None)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_names_a_system_that_exists(preset: str) -> None:
    config = tiny(preset)
    assert config.system in SYSTEMS
    system = build_system(config, spec_for(config), CPU)
    for player in system.players:
        loss, stats = player.loss(batch_for(config))
        assert loss.isfinite()
        assert all(value.ndim == 0 for value in stats.values())


@pytest.mark.parametrize("preset", PRESETS)
def test_every_player_moves_under_autocast(preset: str) -> None:
    config = tiny(preset, precision="bf16")
    system = build_system(config, spec_for(config), CPU)
    training = Training(config, system, averages_of(system.generators), CPU)
    for player in system.players:
        move(player, batch_for(config), training)
    assert all(math.isfinite(value) for value in training.meter.read().values())
    assert all(p.isfinite().all() for network in system.networks.values() for p in network.parameters())


@pytest.mark.parametrize("preset", PRESETS)
def test_each_player_gives_gradients_to_all_of_its_own_and_to_nobody_else(preset: str) -> None:
    config = tiny(preset)
    system = build_system(config, spec_for(config), CPU)
    everything = {p for network in system.networks.values() for p in network.parameters()}
    idle = {p for network in system.networks.values() for p in resting(network)}
    for player in system.players:
        own = {p for group in player.optimiser.param_groups for p in group["params"]} - idle
        for parameter in everything:
            parameter.grad = None
        player.loss(batch_for(config))[0].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in own)
        assert all(p.grad is None for p in everything - own)
    assert all(p.requires_grad for p in everything)


def test_the_seed_decides_the_networks() -> None:
    first, again, other = (build_system(tiny_config(seed=seed), SPEC, CPU).generator for seed in (1, 1, 2))
    assert torch.equal(first.project[0].weight, again.project[0].weight)
    assert not torch.equal(first.project[0].weight, other.project[0].weight)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("preset", ["acgan", "dcgan", "stackedgan"])
def test_networks_are_laid_out_in_memory_as_asked(preset: str, channels_last: bool) -> None:
    config = tiny(preset, channels_last=channels_last)
    system = build_system(config, spec_for(config), CPU)
    for name, network in system.networks.items():
        filters = [p for p in network.parameters() if p.ndim == 4 and min(p.shape) > 1]
        assert filters or name not in ("generator", "discriminator", "encoder")
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert all(p.is_contiguous(memory_format=layout) for p in filters)


def test_networks_and_players_are_saved_and_logged_by_these_names() -> None:
    found = {}
    for preset in ("acgan", "dcgan", "infogan", "progressive", "stackedgan", "stylegan-lite"):
        config = tiny(preset)
        system = build_system(config, spec_for(config), CPU)
        found[preset] = [*system.networks], [player.name for player in system.players]
    game = ["discriminator", "generator"]
    both = ["generator", "discriminator"]
    levels = ["encoder", "features_discriminator", "features_generator", "discriminator", "generator"]
    parts = ["encoder", "features_discriminator", "read_above", "read_below"]
    assert found == {
        "acgan": ([*both, "classes"], game),
        "dcgan": (both, game),
        "infogan": ([*both, "classes", "codes"], game),
        "progressive": (both, game),
        "stackedgan": ([*both, *parts], levels),
        "stylegan-lite": ([*both, "path_mean"], [*game, "path_length"]),
    }
    assert [*build_system(tiny_config(augment=("flip",), augment_target=0.6), SPEC, CPU).networks] == [*both, "augment"]


def test_unknown_systems_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose from adversarial"):
        build_system(tiny_config(system="solitaire"), SPEC, CPU)


def test_lazy_r1_is_as_strong_on_average_as_penalty_every_round() -> None:
    every = build_system(tiny_config(r1_gamma=2.0, penalty_every=1), SPEC, CPU)
    lazy = build_system(tiny_config(r1_gamma=2.0, penalty_every=4), SPEC, CPU)
    plain = build_system(tiny_config(), SPEC, CPU)

    def penalties(system: object) -> list[float]:
        losses = []
        for step in range(4):
            torch.manual_seed(step)
            losses.append(system.discriminator_loss(batch(0) if step == 0 else Batch(batch(0).images, None, step))[0])
        return [loss.item() for loss in losses]

    base = penalties(plain)
    often = [a - b for a, b in zip(penalties(every), base, strict=True)]
    rarely = [a - b for a, b in zip(penalties(lazy), base, strict=True)]
    assert rarely[1:] == pytest.approx([0, 0, 0], abs=1e-6)
    assert rarely[0] == pytest.approx(4 * often[0], rel=1e-4)


def test_both_players_judge_the_same_fakes() -> None:
    system = build_system(tiny_config(), SPEC, CPU)
    drawn: list[torch.Tensor] = []
    system.generator.register_forward_hook(lambda *args: drawn.append(args[2]))
    round_ = batch()
    for player in system.players:
        player.loss(round_)
    assert len(drawn) == 1


def test_smoothed_labels_reach_the_discriminator() -> None:
    plain = build_system(tiny_config(), SPEC, CPU)
    smooth = build_system(tiny_config(real_labels=(0.9, 0.9)), SPEC, CPU)
    losses = []
    for system in (plain, smooth):
        torch.manual_seed(0)
        losses.append(system.discriminator_loss(batch())[0].item())
    with torch.no_grad():
        torch.manual_seed(0)
        fake = plain.discriminator(plain.generator(torch.randn(8, 8)))
        real = plain.discriminator(batch().images)
        expected = logistic_discriminator(real, fake, torch.full((8,), 0.9), torch.zeros(8)).item()
    assert losses[1] == pytest.approx(expected, rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_a_clipped_critic_is_clipped_whenever_somebody_looks() -> None:
    config = tiny_config(loss="wasserstein", clip=0.01, optimiser="rmsprop", learning_rate_d=0.005)
    system = build_system(config, SPEC, CPU)
    training = Training(config, system, averages_of(system.generators), CPU)
    for player in system.players:
        move(player, batch(), training)
        assert all(p.abs().max() <= 0.01 for p in system.discriminator.parameters())
