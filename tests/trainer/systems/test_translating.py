"""Systems that translate: what their losses are, what their data goes through, and where one is the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import ConfigError
from core.networks.base import EXAMPLES, Translator
from core.spec import GeneratorSpec, SourceSpec
from tests.trainer.conftest import blobs
from trainer.clock import halved
from trainer.data.info import PackInfo, SourcesInfo
from trainer.data.pack import Pack, write_pack
from trainer.loop import Training, play
from trainer.metrics.held import examples_of, pairs_of
from trainer.objective.augmentation import ALIKE, augment_alike
from trainer.objective.corruption import Corruption
from trainer.optimisation import ema
from trainer.planning import plan, spec_of
from trainer.presets import resolve
from trainer.settings.config import TrainConfig
from trainer.stream import Stream
from trainer.systems import build_system
from trainer.systems.cycle import Pool, reversed_spec
from trainer.systems.players import Batch
from trainer.training import begin, stream_of

CPU = torch.device("cpu")
SPEC = GeneratorSpec("unet", 16, 16, 3, 0, kind="image", source=SourceSpec(16, 16, 3))
SMALL = ["width=4", "discriminator.field=16"]


def config_for(preset: str, *settings: str, **changes: object) -> TrainConfig:
    return resolve(preset, [*SMALL, "augment=", *settings], batch=8, **changes)


def stack(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Mixing(Translator):
    """A 1x1 convolution without bias: the least squares of its channels can be solved by hand."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.mix = nn.Conv2d(self.source.channels, spec.channels, 1, bias=False)

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        return self.mix(source)


# Pairs


def test_without_a_discriminator_pairs_are_an_autoencoder_bit_for_bit(tmp_path: object) -> None:
    """On pairs whose sources are what the autoencoder makes of the images."""
    images = blobs(24)
    lines = Corruption("colourless").corrupt(torch.from_numpy(images)).numpy()
    info = PackInfo("discs", 16, 16, 4, sources=SourcesInfo(16, 16, 4))
    pairs = write_pack(tmp_path / "pairs", images, None, info, sources=lines)
    plain = write_pack(tmp_path / "plain", images, None, replace(info, sources=None))
    settings = ["width=4", "augment=translation,flip", "pairing.l1=100", "pairing.adversarial=0", "schedule_kimg=0"]
    paired = replace(resolve("pix2pix-cpu", settings, batch=8), learning_rate_g=1e-3, beta1=0.9)
    alone = resolve("colourise-cpu", settings, batch=8)
    ended = []
    for config, pack in ((paired, pairs), (alone, plain)):
        training = begin(plan(config, pack))
        stream = stream_of(plan(config, pack))
        for step in range(4):
            play(training, stream.read(8 * step, training.system.begin(8 * step), step))
        ended.append(training.average.state_dict())
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])


def test_a_translator_of_pixels_learns_the_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets are sources with their channels exchanged: so is what a 1x1 network becomes."""
    monkeypatch.setattr("trainer.systems.translating.build_translator", Mixing)
    config = config_for("pix2pix-cpu", "pairing.adversarial=0", "pairing.l1=1", learning_rate_g=0.02)
    system = build_system(config, SPEC, CPU)
    source = stack(0, 16, 3, 16, 16)
    target = source[:, [2, 0, 1]]
    rows = source.movedim(1, -1).reshape(-1, 3)
    wanted = torch.linalg.lstsq(rows, target.movedim(1, -1).reshape(-1, 3)).solution.T
    training = Training(config, system, ema.averages_of(system.generators), CPU)
    for step in range(300):
        system.begin(0)
        if step == 200:
            system.players[0].optimiser.param_groups[0]["lr"] = 1e-3
        play(training, Batch(target, None, step, source))
        system.now = replace(system.now, learning_rate_g=0.02 if step < 200 else 1e-3)
    found = system.generator.mix.weight.detach()[:, :, 0, 0]
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0)


def test_the_generator_s_loss_is_lambda_times_l1_and_what_the_discriminator_says() -> None:
    """Isola et al. 2017, equation 4, on patches: recomputed by hand."""
    system = build_system(config_for("pix2pix-cpu", "pairing.l1=7", "pairing.adversarial=3"), SPEC, CPU)
    system.generator.eval()
    system.discriminator.eval()
    source, target = stack(1, 4, 3, 16, 16), stack(2, 4, 3, 16, 16)
    found, stats = system.generator_loss(Batch(target, None, 0, source))
    made = system.generator(source)
    distance = (made - target).abs().mean()
    patches = system.discriminator(made, source=source)
    assert patches.ndim == 3
    expected = 7 * distance + 3 * torch.nn.functional.softplus(-patches).mean()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(stats["l1"], distance.detach() * 127.5)


def test_a_discriminator_of_patches_is_halved_and_sees_the_source() -> None:
    system = build_system(config_for("pix2pix-cpu"), SPEC, CPU)
    system.generator.eval()
    system.discriminator.eval()
    source, target = stack(1, 4, 3, 16, 16), stack(2, 4, 3, 16, 16)
    found, _ = system.discriminator_loss(Batch(target, None, 0, source))
    real, fake = (system.discriminator(x, source=source) for x in (target, system.generator(source)))
    softplus = torch.nn.functional.softplus
    torch.testing.assert_close(found, (softplus(-real).mean() + softplus(fake).mean()) / 2)
    other, _ = system.discriminator_loss(Batch(target, None, 1, -source))
    assert not torch.equal(found, other)  # fresh weights say little of anything


def test_r1_of_patches_is_that_of_their_mean() -> None:
    """A mean over patches and images is what the penalty of one score an image would be of that mean."""
    config = config_for("pix2pix-cpu", "discriminator.norm=none", r1_gamma=2.0)
    system = build_system(config, SPEC, CPU)
    source, target = stack(1, 4, 3, 16, 16), stack(2, 4, 3, 16, 16)
    loss, stats = system.discriminator_loss(Batch(target, None, 0, source))
    plain, _ = build_system(replace(config, r1_gamma=0.0), SPEC, CPU).discriminator_loss(Batch(target, None, 0, source))
    shown = target.clone().requires_grad_()
    (slope,) = torch.autograd.grad(system.discriminator(shown, source=source).mean(dim=(1, 2)).sum(), shown)
    torch.testing.assert_close(stats["r1"], slope.square().sum(dim=(1, 2, 3)).mean())
    torch.testing.assert_close(loss, plain + stats["r1"])


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("channels", [3, 4])
def test_what_belongs_together_moves_together(name: str, channels: int) -> None:
    images = stack(3, 16, channels, 16, 24)
    torch.manual_seed(0)
    first, second = augment_alike([name], 1.0, images, images)
    assert torch.equal(first, second)
    assert not torch.equal(first, images)
    torch.manual_seed(0)
    first, second = augment_alike([name], 0.5, images, images)
    assert torch.equal(first, second)
    same = (first == images).all(dim=(1, 2, 3))
    assert 0 < same.sum() < 16


@pytest.mark.parametrize("name", ALIKE)
def test_a_smaller_source_moves_by_as_much_of_its_sides(name: str) -> None:
    small = stack(4, 32, 4, 8, 8)
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    moved = augment_alike([name], 1.0, small, large)
    assert torch.equal(moved[0].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), moved[1])


@pytest.mark.parametrize("small", [12, 14, 20, 28])
@pytest.mark.parametrize("large", [16, 28, 32, 56])
def test_pictures_of_any_two_sizes_move_together(small: int, large: int) -> None:
    """A dot in the middle lands at the same place of the sides, to a pixel."""
    stacks = [torch.full((64, 4, side, side + 4), -1.0) for side in (small, large)]
    for stack in stacks:
        stack[:, :, stack.shape[2] // 2, stack.shape[3] // 2] = 1
    torch.manual_seed(0)
    places = []
    for moved in augment_alike(["translation"], 1.0, *stacks):
        at = (moved[:, 3] > 0).nonzero()
        assert at[:, 0].tolist() == [*range(64)]  # it left no picture
        places.append((at[:, 1:] + 0.5) / torch.tensor(moved.shape[2:]))
    assert (places[0] - places[1]).abs().max() < 1.5 / min(small, large)
    assert len(places[0].unique(dim=0)) > 8


# Cycles


class Inverting(Translator):
    """Exchanges light and dark, which is its own inverse."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.sign = nn.Parameter(torch.tensor(-1.0))

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        return source * self.sign


def test_translators_that_are_inverse_have_no_cycle_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.systems.translating.build_translator", Inverting)
    system = build_system(config_for("cyclegan-cpu"), SPEC, CPU)
    a, b = stack(1, 4, 3, 16, 16), stack(2, 4, 3, 16, 16)
    loss, stats = system.generators_loss(Batch(b, None, 0, a))
    assert stats["cycle"] == 0
    torch.testing.assert_close(stats["identity"], (b.abs().mean() + a.abs().mean()) * 127.5)
    fooled = [
        ((judge(-x) - 1) ** 2).mean() / 2 for judge, x in ((system.discriminator_b, a), (system.discriminator_a, b))
    ]
    expected = 2 * sum(fooled) + 10 * 0.5 * (2 * a.abs().mean() + 2 * b.abs().mean())
    torch.testing.assert_close(loss, expected)


def test_discriminators_judge_what_was_made_before_anyone_moved() -> None:
    system = build_system(config_for("cyclegan-cpu", "cycle.pool=0"), SPEC, CPU)
    given = Batch(stack(1, 4, 3, 16, 16), None, 0, stack(2, 4, 3, 16, 16))
    before = system.there(given.sources).detach(), system.back(given.images).detach()
    for player in system.players:
        player.optimiser.zero_grad()
        system.begin(0)
        player.loss(given)[0].backward()
        if player.name == "generators":
            player.optimiser.step()
            turn = system._turn(given)
            assert torch.equal(turn.to_b, before[0]) and torch.equal(turn.to_a, before[1])
    assert not torch.equal(system.there(given.sources), before[0])


def test_the_pool_is_that_of_a_simulation_with_lists() -> None:
    spec = replace(SPEC, height=1, width=1, channels=1, source=SourceSpec(1, 1, 1))
    pool, kept = Pool(3, spec), []
    torch.manual_seed(7)
    shown = [pool(torch.arange(4.0).view(4, 1, 1, 1) + 10 * turn).flatten().tolist() for turn in range(12)]
    torch.manual_seed(7)
    expected = []
    for turn in range(12):
        draws, row = torch.rand(4, 2).tolist(), []
        for number, (coin, place) in enumerate(draws):
            fresh = float(number + 10 * turn)
            if len(kept) < 3:
                kept.append(fresh)
                row.append(fresh)
            elif coin < 0.5:
                index = int(place * 3)
                row.append(kept[index])
                kept[index] = fresh
            else:
                row.append(fresh)
        expected.append(row)
    assert shown == expected
    assert pool.images.flatten().tolist() == kept
    assert any(value < 10 * turn for turn, row in enumerate(shown) for value in row)  # some are of before


def test_no_pool_lets_everything_pass() -> None:
    fresh = stack(0, 5, 3, 16, 16)
    assert torch.equal(Pool(0, SPEC)(fresh), fresh)


def test_the_way_back_takes_what_the_way_there_makes() -> None:
    there = replace(SPEC, height=32, channels=4, source=SourceSpec(16, 8, 1, fit="crop"))
    back = reversed_spec(there)
    assert (back.height, back.width, back.channels) == (16, 8, 1)
    assert back.source == SourceSpec(32, 16, 4, fit="crop", origin="images")


def test_what_is_made_of_a_domain_has_its_licence(pairs: Pack) -> None:
    back = reversed_spec(spec_of(config_for("cyclegan-cpu"), pairs.info)).provenance
    assert (back.data_licence, back.source_licence) == ("CC0-1.0", "CC-BY-4.0")
    undone = spec_of(resolve("denoise-cpu"), pairs.info).provenance  # of the images alone
    assert (undone.data_licence, undone.source_licence) == ("CC-BY-4.0", "")


def test_half_the_size_is_half_of_both_sides() -> None:
    """What a run would be that takes too long: it can be built."""
    small = halved(replace(SPEC, height=32, source=SourceSpec(32, 16, 3)))
    assert (small.height, small.width, small.source.height, small.source.width) == (16, 8, 16, 8)
    build_system(config_for("cyclegan-cpu", "discriminator.field=5"), small, CPU)


def test_pictures_that_differ_have_no_identity() -> None:
    grey = replace(SPEC, source=SourceSpec(16, 16, 1))
    with pytest.raises(ConfigError, match=r"cycle\.identity=0"):
        build_system(config_for("cyclegan-cpu"), grey, CPU)
    system = build_system(config_for("cyclegan-cpu", "cycle.identity=0"), grey, CPU)
    loss, stats = system.generators_loss(Batch(stack(1, 2, 3, 16, 16), None, 0, stack(2, 2, 1, 16, 16)))
    assert loss.isfinite() and "identity" not in stats


def test_without_pairs_there_is_no_source_to_show() -> None:
    with pytest.raises(ConfigError, match=r"discriminator\.given"):
        build_system(config_for("cyclegan-cpu", "discriminator.given=true"), SPEC, CPU)


# Data


def test_a_run_sees_pairs_as_pairs_and_nothing_that_is_held_out(pairs: Pack) -> None:
    planned = plan(config_for("pix2pix-cpu"), pairs)
    seen = stream_of(planned).read(0, 28, 0)
    train = pairs.rows("train")
    assert len(train) == 28
    whole = Stream(pairs, planned.spec, 0, CPU)
    assert {*whole.rows.tolist()} == {*range(28)}
    alpha = (seen.images[:, 3] > 0).float()
    lines = (seen.sources[:, 3] > 0).float()
    assert ((lines <= alpha).all(dim=(1, 2))).all()  # every outline lies on its disc
    shuffled = stream_of(plan(config_for("cyclegan-cpu"), pairs)).read(0, 28, 0)
    assert torch.equal(shuffled.images, seen.images)
    assert not torch.equal(shuffled.sources, seen.sources)
    key = [sorted(each.sources.flatten(1).sum(dim=1).tolist()) for each in (seen, shuffled)]
    assert key[0] == pytest.approx(key[1])  # the same ones in another order


def test_generators_of_latents_see_nothing_that_is_held_out(pairs: Pack) -> None:
    stream = stream_of(plan(resolve("dcgan", ["width=4"]), pairs))
    assert stream.read(0, 28, 0).sources is None
    assert max(stream._chosen(0, 280)) == 27
    balanced = stream_of(
        plan(resolve("dcgan-28", ["width=4", "family=dcgan", "conditional=true", "balance=true"]), pairs)
    )
    assert max(balanced._chosen(0, 280)) == 27


def test_held_out_sources_travel_with_every_generator(pairs: Pack) -> None:
    training = begin(plan(config_for("cyclegan-cpu"), pairs))
    held = pairs.rows("held")
    for maker in (training.system.generators["a2b"], training.averages["a2b"]):
        assert np.array_equal(sums(maker.examples[: len(held)]), sums(pairs.gather_sources(held)))
        assert maker.examples.shape == (EXAMPLES, 16, 16, 4)
        assert maker.spec.provenance.source_examples == "held"
    assert np.array_equal(sums(training.averages["b2a"].examples[: len(held)]), sums(pairs.gather(held)))


def test_examples_of_what_is_trained_on_are_said_to_be_that(pairs: Pack) -> None:
    alone = replace(pairs, parts=None)
    for preset in ("denoise-cpu", "cyclegan-cpu"):
        for maker in begin(plan(config_for(preset), alone)).averages.values():
            assert maker.spec.provenance.source_examples == "train"


def sums(images: np.ndarray) -> np.ndarray:
    """Something that tells pictures apart, sorted."""
    return np.sort((images.reshape(len(images), -1) * np.arange(1, images[0].size + 1)).sum(axis=1))


def test_sources_of_every_origin(pairs: Pack, pack: Pack) -> None:
    spec = spec_of(config_for("pix2pix-cpu"), pairs.info)
    source, target = pairs_of(pairs, spec, "validation").all()
    assert np.array_equal(sums(source), sums(pairs.gather_sources([28, 29, 30, 31])))
    back, there = pairs_of(pairs, reversed_spec(spec), "validation").all()
    assert np.array_equal(back, target) and np.array_equal(there, source)
    noisy = spec_of(resolve("denoise-cpu"), pack.info)
    first, part = examples_of(pack, noisy, 3)
    assert part == "train"  # nothing is held out of this one
    assert np.array_equal(first, examples_of(pack, noisy, 3)[0]) and first.shape == (3, 16, 16, 4)


def test_a_pack_must_have_what_is_translated(pack: Pack, pairs: Pack) -> None:
    for preset in ("pix2pix-cpu", "cyclegan-cpu"):
        with pytest.raises(ConfigError, match="holds no sources"):
            spec_of(config_for(preset), pack.info)
    apart = replace(pairs.info, sources=replace(pairs.info.sources, paired=False))
    with pytest.raises(ConfigError, match="cyclegan-cpu"):
        spec_of(config_for("pix2pix-cpu"), apart)
    assert spec_of(resolve("colourise-cpu"), pairs.info).source.origin == "sources"
    assert spec_of(resolve("colourise-cpu"), apart).source.origin == "colourless 1"


@pytest.mark.parametrize(
    "preset, settings, said",
    [
        ("pix2pix-cpu", ["family=dcgan"], "family=unet"),
        ("dcgan", ["family=unet", "generator={}"], "pix2pix-cpu"),
        ("pix2pix-cpu", ["augment=colour"], "augment=translation,flip"),
        ("pix2pix-cpu", ["drift=1"], "has no drift"),
        ("pix2pix-cpu", ["augment_target=0.6", "augment=flip"], "has no augment_target"),
        ("pix2pix-cpu", ["pairing.l1=0", "pairing.adversarial=0"], "nothing would be learned"),
        ("pix2pix-cpu", ["cycle.pool=5"], "cycle is of the cycle system"),
        ("cyclegan-cpu", ["cycle.pool=0.5"], "whole number"),
        ("denoise-cpu", ["corruption.kind=rain"], "choose from colourless"),
        ("denoise-cpu", ["corruption.strength=0.5"], "1 to 255"),
    ],
)
def test_what_does_not_fit_is_said(preset: str, settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        system = resolve(preset, [s for s in settings if "generator={}" not in s])
        build_system(replace(system, generator={}, discriminator={}), SPEC, CPU)
