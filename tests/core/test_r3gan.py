"""R3GAN's parts: blocks that start as nothing, resampling against the slow way, variance within bounds."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.r3gan import Block, Downsample, R3GANDiscriminator, R3GANGenerator, Upsample
from core.spec import GeneratorSpec
from tests.core.filled import filled

SMALL = {"width": 8, "widest": 4, "group": 4}


def spec_of(height=32, width=32, channels=4, **changes):
    return GeneratorSpec("r3gan", height, width, channels, 16, options=SMALL, **changes)


@pytest.mark.parametrize(("expansion", "group"), [(1, 0), (2, 16), (2, 5)])
def test_a_block_starts_as_the_identity_and_does_not_stay_it(expansion, group):
    block = Block(24, expansion, group, depth=8)
    x = torch.randn(2, 24, 5, 7)
    before = x.clone()
    assert torch.equal(block(x), x)
    assert torch.equal(x, before)  # its activations work in place, but not on what comes in
    block(x).square().sum().backward()
    assert block.layers[-1].weight.grad.abs().min() > 0
    with torch.no_grad():
        block.layers[-1].weight.normal_()
    assert not torch.allclose(block(x), x, atol=0.1)


def test_a_block_by_hand():
    """One channel, constant input: every layer is a multiplication."""
    block = Block(1, 1, 0, depth=1)
    first, _, mix, _, last = block.layers
    with torch.no_grad():
        first.weight.fill_(-2.0)
        first.bias.fill_(1.0)
        mix.weight.fill_(0.5)
        last.weight.fill_(3.0)
        last.bias.fill_(0.25)
        inside = block(torch.full((1, 1, 3, 3), 4.0))[0, 0, 1, 1]
    # 4 * -2 + 1 = -7, leaky: -1.4; nine times 0.5: -6.3, leaky: -1.26; times 3 plus 0.25; plus 4
    assert inside.item() == pytest.approx(4 - 1.26 * 3 + 0.25, rel=1e-6)


@pytest.mark.parametrize(("width", "group", "groups"), [(32, 16, 4), (32, 0, 1), (4, 16, 1), (12, 16, 3), (3, 16, 3)])
def test_groups_have_the_size_asked_for_or_the_largest_that_fits(width, group, groups):
    assert Block(width, 2, group, 1).layers[2].groups == groups


def up_expected(x):
    """Along each axis two pixels for each: three parts of it and one of its neighbour, the border repeated."""
    for axis in (0, 1):
        x = np.moveaxis(x, axis, 0)
        rows = []
        for i in range(len(x)):
            rows += [(3 * x[i] + x[max(i - 1, 0)]) / 4, (3 * x[i] + x[min(i + 1, len(x) - 1)]) / 4]
        x = np.moveaxis(np.array(rows), 0, axis)
    return x


def down_expected(x):
    """Along each axis [1, 3, 3, 1] / 8 around every pair of pixels, the border repeated."""
    for axis in (0, 1):
        x = np.moveaxis(x, axis, 0)
        padded = [x[0], *x, x[-1]]
        rows = [(padded[i] + 3 * padded[i + 1] + 3 * padded[i + 2] + padded[i + 3]) / 8 for i in range(0, len(x), 2)]
        x = np.moveaxis(np.array(rows), 0, axis)
    return x


@pytest.mark.parametrize(("module", "slow"), [(Upsample(), up_expected), (Downsample(), down_expected)])
@pytest.mark.parametrize("shape", [(4, 4), (6, 10), (14, 8)])
def test_resampling_equals_the_slow_way(module, slow, shape):
    x = torch.randn(2, 3, *shape, dtype=torch.float64)
    found = module.double()(x).numpy()
    module.float()
    for image in range(2):
        for channel in range(3):
            np.testing.assert_allclose(found[image, channel], slow(x[image, channel].numpy()), atol=1e-12, rtol=0)


@pytest.mark.parametrize("module", [Upsample(), Downsample(), nn.Sequential(Upsample(), Downsample())])
def test_resampling_keeps_constants_borders_included(module):
    assert torch.allclose(module(torch.full((1, 2, 6, 4), 0.7)), torch.tensor(0.7), atol=1e-6, rtol=0)


def test_downsampling_is_a_quarter_of_upsampling_backwards_away_from_the_border():
    """The pair moves nothing to the side: <up(x), y> = 4 <x, down(y)>."""
    x, y = torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 12, 12)
    x[..., 1:-1, 1:-1], y[..., 2:-2, 2:-2] = torch.rand(4, 4), torch.rand(8, 8)
    assert (Upsample()(x) * y).sum().item() == pytest.approx(4 * (x * Downsample()(y)).sum().item(), rel=1e-5)


def block_parameters(width, inner, group):
    return width * inner + inner + 9 * inner * group + inner + inner * width + width


def test_the_paper_s_64x64_networks_have_its_numbers():
    spec = GeneratorSpec("r3gan", 64, 64, 3, 64)
    blocks = 2 * 4 * block_parameters(768, 1536, 16) + 2 * block_parameters(384, 768, 16)
    base, change = 768 * 16, 768 * 384
    with torch.device("meta"):
        generator, discriminator = R3GANGenerator(spec), R3GANDiscriminator(spec)
    assert count(generator) == blocks + base + change + 64 * 768 + (384 * 3 + 3)
    assert count(discriminator) == blocks + base + change + 768 + (384 * 3 + 384)
    assert {block.layers[2].groups for block in generator.modules() if isinstance(block, Block)} == {96, 48}


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("grown", [False, True], ids=["at the start", "with every last layer grown"])
@pytest.mark.parametrize("build", [R3GANGenerator, R3GANDiscriminator])
def test_variance_stays_within_bounds_through_every_stage(build, grown):
    """Fix-up: L blocks that each add 1/L of the variance multiply it by at most (1 + 1/L)^L < e."""
    torch.manual_seed(0)
    network = build(GeneratorSpec("r3gan", 64, 64, 3, 64), width=32, widest=4)
    variances = []
    for module in network.modules():
        if isinstance(module, Block):
            if grown:
                nn.init.kaiming_normal_(module.layers[-1].weight, nonlinearity="linear")
            module.register_forward_hook(lambda _module, _inputs, output: variances.append(output.var().item()))
    with torch.no_grad():
        patches = torch.randn(64, 3, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
        out = network(torch.randn(64, 64) if build is R3GANGenerator else patches)
    assert len(variances) == 10
    # Resampling averages some of it away; blocks that have grown add some.
    assert all(0.1 < variance < 4 for variance in variances), variances
    assert 0.1 < out.std() < 3
    assert all((second > 1.01 * first) == grown for first, second in zip(variances[::2], variances[1::2], strict=True))


def test_an_untrained_generator_answers_its_latent_in_proportion():
    """Blocks are the identity and nothing is biased: the image is linear in z, and 0 at 0."""
    generator = build_generator(spec_of())
    z = torch.randn(3, 16)
    with torch.no_grad():
        torch.testing.assert_close(generator(-2 * z), -2 * generator(z))


def test_classes_reach_both_networks():
    spec = spec_of(classes=("cat", "dog"))
    torch.manual_seed(0)
    generator, discriminator = build_generator(spec), build_discriminator("r3gan", spec, SMALL)
    z, labels = torch.randn(2, 16), torch.tensor([0, 1])
    images = generator(z, labels)
    assert not torch.allclose(images, generator(z, 1 - labels))
    scores = discriminator(images, labels)
    assert not torch.allclose(scores, discriminator(images, 1 - labels))
    scores.sum().backward()
    for network in (generator, discriminator):
        assert network.embed.weight.grad.abs().sum(dim=1).min() > 0


@pytest.mark.parametrize(("height", "width", "base"), [(28, 28, (7, 7)), (48, 32, (6, 4)), (20, 64, (5, 16))])
def test_the_base_is_the_spec_s(height, width, base):
    generator = build_generator(spec_of(height, width))
    assert generator.base.shape[1:] == base
    assert generator(torch.randn(2, 16)).shape == (2, 4, height, width)


def leaky(x):
    return F.leaky_relu(x, 0.2)


def blocked(x, saved, name, groups):
    y = leaky(F.conv2d(x, saved.pop(f"{name}.0.weight"), saved.pop(f"{name}.0.bias")))
    y = leaky(F.conv2d(y, saved.pop(f"{name}.2.weight"), saved.pop(f"{name}.2.bias"), padding=1, groups=groups))
    return x + F.conv2d(y, saved.pop(f"{name}.4.weight"), saved.pop(f"{name}.4.bias"))


DEEP = GeneratorSpec("r3gan", 32, 48, 3, 5, classes=("a", "b", "c"), codes=2)
OPTIONS = {"width": 4, "widest": 3, "blocks": 2, "expansion": 3, "group": 6}
WIDTHS = [4, 8, 12, 12]  # from the image to the base
LABEL = torch.tensor([2, 0])


@torch.no_grad()
def test_a_generator_is_a_base_times_the_latent_then_blocks_and_doublings():
    network = build_generator(replace(DEEP, options=OPTIONS))
    saved = filled(network)
    z, codes = torch.randn(2, 5), torch.randn(2, 2)
    x = torch.cat([z, saved.pop("embed.weight")[LABEL], codes], dim=1) @ saved.pop("project.weight").T
    x = torch.einsum("nc,chw->nchw", x, saved.pop("base"))
    assert x.shape == (2, 12, 4, 6)
    place = 0
    for step, width in enumerate(WIDTHS[::-1]):
        if step:
            if f"stages.{place}.weight" in saved:
                x = F.conv2d(x, saved.pop(f"stages.{place}.weight"))
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
            place += 2
        assert x.shape[1] == width
        for _ in range(2):
            x = blocked(x, saved, f"stages.{place}.layers", width * 3 // 6)
            place += 1
    expected = F.conv2d(x, saved.pop("image.weight"), saved.pop("image.bias"))
    torch.testing.assert_close(network(z, LABEL, codes), expected, rtol=1e-4, atol=1e-4)
    assert not saved


@torch.no_grad()
def test_a_discriminator_is_blocks_and_halvings_then_a_base_and_a_score():
    network = build_discriminator("r3gan", DEEP, OPTIONS)
    saved = filled(network)
    images = torch.randn(2, 3, 32, 48)
    x = F.conv2d(images, saved.pop("image.weight"), saved.pop("image.bias"))
    place = 0
    for step, width in enumerate(WIDTHS):
        if step:
            x = Downsample()(x)
            if f"stages.{place + 1}.weight" in saved:
                x = F.conv2d(x, saved.pop(f"stages.{place + 1}.weight"))
            place += 2
        assert x.shape[1] == width
        for _ in range(2):
            x = blocked(x, saved, f"stages.{place}.layers", width * 3 // 6)
            place += 1
    features = torch.einsum("nchw,chw->nc", x, saved.pop("base"))
    torch.testing.assert_close(network.features(images), features, rtol=1e-4, atol=1e-4)
    plain = features @ saved.pop("last.weight")[0]
    torch.testing.assert_close(network(images), plain, rtol=1e-4, atol=1e-4)
    shown = (features * saved.pop("embed.weight")[LABEL]).sum(dim=1) / 12**0.5
    torch.testing.assert_close(network(images, LABEL), plain + shown, rtol=1e-4, atol=1e-4)
    assert not saved
    assert network.feature_dim == 12


def test_fresh_weights_vary_as_fix_up_says():
    """He's constant for the leak over the fourth root of the number of blocks; nothing from a block at first."""
    torch.manual_seed(0)
    spec = GeneratorSpec("r3gan", 16, 16, 3, 100, options={"width": 48, "group": 12})
    generator, discriminator = build_generator(spec), build_discriminator("r3gan", spec, spec.options)
    gain = math.sqrt(2 / 1.04) * 6**-0.25  # 2 blocks at each of 3 sizes
    expected = {"layers.0": gain, "layers.2": gain, "layers.4": 0.0, "project": 1.0, "last": 1.0}
    for network, image in ((generator, 0.5), (discriminator, 1.0)):
        kinds = {**expected, "image": image}
        for name, layer in network.named_modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                kind = next((kind for kind in kinds if name.endswith(kind)), "")
                deviation = kinds.get(kind, 1.0) / math.sqrt(layer.weight[0].numel())
                tolerance = 4 / math.sqrt(2 * layer.weight.numel())
                assert layer.weight.std().item() == pytest.approx(deviation, rel=tolerance, abs=1e-9), name
                assert layer.bias is None or not layer.bias.any(), name
    assert generator.base.std().item() == pytest.approx(1, rel=0.05)
    assert discriminator.base.std().item() == pytest.approx(1 / 4, rel=0.05)  # over the root of 16 positions


def test_a_discriminator_ends_as_wide_as_its_last_maps():
    spec = GeneratorSpec("r3gan", 8, 8, 3, 5, classes=("a", "b", "c"))
    network = build_discriminator("r3gan", spec, OPTIONS)
    assert (network.feature_dim, network.base.shape, network.last.weight.shape) == (8, (8, 4, 4), (1, 8))
    assert network.embed.weight.shape == (3, 8)


def test_without_classes_there_is_nothing_to_embed():
    assert build_generator(spec_of()).embed is None
    assert build_discriminator("r3gan", spec_of(), SMALL).embed is None


def test_a_filter_is_made_anew_and_not_saved():
    assert Downsample().state_dict() == {}


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("width", 1, 4096), ("widest", 1, 64), ("blocks", 1, 16), ("expansion", 1, 8), ("group", 0, 4096)],
)
def test_options_have_limits(name, least, most):
    tiny = {"width": 1, "widest": 1, "blocks": 1, "expansion": 1, "group": 0}
    spec = GeneratorSpec("r3gan", 8, 8, 3, 5)
    with torch.device("meta"):
        for value in (least, most):
            build_discriminator("r3gan", spec, {**tiny, name: value})
    for value in (least - 1, most + 1):
        with pytest.raises(SpecError, match=f"{name} must be {least} to {most}, not {value}"):
            build_discriminator("r3gan", spec, {**tiny, name: value})
