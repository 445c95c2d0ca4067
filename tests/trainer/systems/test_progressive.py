"""Progressive training: real images and fakes at one age, and exact resume in the middle of a fade."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from core.checkpoint import load_generator
from core.errors import ConfigError
from core.networks.progressive import LEVEL, Growing
from core.spec import GeneratorSpec
from tests.trainer.conftest import blobs
from tests.trainer.test_training import assert_same, final_tensors
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.planning import plan
from trainer.presets import resolve
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.systems import build_system
from trainer.systems.players import Batch
from trainer.training import train

CPU = torch.device("cpu")
SPEC = GeneratorSpec("progressive", 16, 16, 4, 8, options={"width": 4, "widest": 8})
# 40 images of 4x4, a fade over 120 to 8x8, 40 of these, a fade over 120 to 16x16: done after 320.
GROWTH = {"stable_kimg": [0.04], "fade_kimg": [0.12], "batch": [2, 1.5, 1], "rate": [0.5, 1]}


def tiny(**changes: object) -> TrainConfig:
    small = {"kimg": 0.4, "batch": 8, "log_kimg": 0.04, "preview_kimg": 0.4, "checkpoint_kimg": 0.4, "previews": 4}
    config = resolve("progressive-cpu", ["width=4", "generator.widest=8", "discriminator.widest=8", "latent_dim=8"])
    return replace(config, **{"growth": GROWTH, "penalty_every": 1, "final": {}, **small, **changes})


def batch(count: int = 8) -> Batch:
    return Batch(torch.rand(count, 4, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1, None, 0)


def test_stopping_in_each_fade_and_going_on_equals_never_stopping(pack: Pack, tmp_path: Path) -> None:
    whole = tiny(gradient_penalty=10.0, drift=0.001, penalty_every=2)
    train(plan(whole, pack), tmp_path / "whole")
    for kimg, stage in ((0.1, 0), (0.26, 1), (0.4, 2)):
        train(plan(replace(whole, kimg=kimg), pack), tmp_path / "parts")
        level, alpha = load_generator(tmp_path / "parts/generator.safetensors").stage()
        assert level == stage
        assert 0.2 < alpha < 0.8 or stage == 2
    ours, theirs = final_tensors(tmp_path / "parts"), final_tensors(tmp_path / "whole")
    assert_same(ours, theirs)
    growths = {name: int(value) for name, value in ours.items() if name.endswith("growth")}
    assert growths == dict.fromkeys(("generator.growth", "discriminator.growth", "average.growth"), 2 * LEVEL)


def test_rounds_follow_the_schedule(pack: Pack, tmp_path: Path) -> None:
    seen: list[int] = [0]
    train(plan(tiny(), pack), tmp_path / "run", tick=seen.append)
    sizes = {b - a for a, b in pairwise(seen)}
    assert sizes == {16, 12, 8}
    assert seen[:4] == [0, 16, 32, 48]  # the round after 40 images is still whole
    levels = [line["generator/level"] for line in Run(tmp_path / "run").read_log()]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, 2)


@pytest.mark.parametrize(("images", "side", "count", "rate"), [(0, 4, 16, 0.5), (100, 8, 12, 1), (390, 16, 8, 1)])
def test_both_players_work_at_the_current_size(
    images: int, side: int, count: int, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(learning_rate_g=1e-3, learning_rate_d=2e-3, loss="relativistic")
    system = build_system(config, SPEC, CPU)
    assert system.begin(images) == count
    rates = [group["lr"] for player in system.players for group in player.optimiser.param_groups]
    assert rates == pytest.approx([2e-3 * rate, 1e-3 * rate])
    judged: list[tuple[int, ...]] = []
    features = system.discriminator.features

    def watched(images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        judged.append(images.shape)
        return features(images, labels)

    monkeypatch.setattr(system.discriminator, "features", watched)
    for player in system.players:
        player.loss(batch())[0].backward()
    assert (
        judged == [(8, 4, side, side)] * 5
    )  # real, fake, between them; the generator's fake, and the real it is to beat


def test_no_round_is_without_images() -> None:
    system = build_system(tiny(growth={**GROWTH, "batch": [0.01, 0.2, 1]}), SPEC, CPU)
    assert [system.begin(images) for images in (0, 100, 390)] == [1, 2, 8]


@pytest.mark.parametrize(
    ("images", "level", "alpha"), [(0, 0, 0), (100, 0, 0.5), (160, 1, 0), (230, 1, 0.25), (320, 2, 0)]
)
def test_real_images_and_fakes_are_those_of_the_networks_age(
    images: int, level: int, alpha: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = build_system(tiny(augment=(), gradient_penalty=0.0), SPEC, CPU)
    with torch.no_grad():
        system.generator.project.bias.normal_()  # without it the latent's length would not matter
    system.begin(images)
    shown: list[torch.Tensor] = []
    features = system.discriminator.features
    monkeypatch.setattr(system.discriminator, "features", lambda x, labels: shown.append(x) or features(x, labels))
    torch.manual_seed(1)
    system.discriminator_loss(batch())
    _, stats = system.generator_loss(batch())
    assert stats["level"].item() == level + alpha

    torch.manual_seed(1)
    made = system.generator.paint(system.generator.mapping(torch.randn(8, 8))).clamp(-1, 1)
    real = F.avg_pool2d(batch().images, 2 ** (2 - level - (alpha > 0))) if level < 2 else batch().images
    if alpha:  # the smaller level's pixels, each a block of four, fade to the larger one's
        blocks = F.avg_pool2d(real, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        real = (1 - alpha) * blocks + alpha * real
    for found, expected in zip(shown, (real, made, made), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_loss_is_wgan_gp_with_drift() -> None:
    system = build_system(tiny(gradient_penalty=7.0, drift=0.5, augment=()), SPEC, CPU)
    system.begin(10**6)
    shown, features = [], system.discriminator.features
    system.discriminator.features = lambda x, labels: shown.append(x) or features(x, labels)
    torch.manual_seed(3)
    loss, stats = system.discriminator_loss(batch())
    between = shown[2].detach().requires_grad_()
    expected = stats["fake"] - stats["real"] + 7 * stats["penalty"] + 0.5 * stats["drift"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    real = system.discriminator(batch().images)
    assert stats["drift"].item() == pytest.approx(real.square().mean().item(), rel=1e-5)
    (slope,) = torch.autograd.grad(system.discriminator(between).sum(), between)
    penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    assert stats["penalty"].item() == pytest.approx(penalty.item(), rel=1e-4)


def test_networks_that_cannot_grow_are_refused() -> None:
    spec = GeneratorSpec("dcgan", 16, 16, 4, 8, options={"width": 4})
    with pytest.raises(ConfigError, match="family dcgan cannot grow"):
        build_system(TrainConfig("x", system="progressive"), spec, CPU)


@pytest.mark.parametrize(("height", "width", "channels"), [(28, 28, 1), (24, 16, 3)])
def test_every_shape_grows_with_labels(height: int, width: int, channels: int, tmp_path: Path) -> None:
    info = PackInfo("shapes", height, width, channels, classes=("a", "b"))
    labels = torch.arange(12).numpy() % 2
    pack = write_pack(tmp_path / "pack", blobs(12, height, width, channels), labels, info)
    growth = {"stable_kimg": [0.008], "fade_kimg": [0.016]}
    train(plan(tiny(kimg=0.064, growth=growth, conditional=True), pack), tmp_path / "run")
    generator = load_generator(tmp_path / "run/generator.safetensors")
    assert isinstance(generator, Growing)
    assert generator.stage() == (2, 0.0)
    assert generator(torch.zeros(2, 8), torch.tensor([0, 1])).shape == (2, channels, height, width)
