"""The style family: its layers against slow references, and what a style means."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.layers import doubled
from core.networks.style import MEMORY, HalvingBlock
from core.spec import GeneratorSpec
from tests.core.filled import filled

TINY = {"width": 4, "style_dim": 8, "mapping_layers": 2}
SPEC = GeneratorSpec("style", 16, 16, 4, 6, options=TINY)


@pytest.fixture
def generator():
    """In evaluation mode, with noise and biases that show."""
    torch.manual_seed(0)
    network = build_generator(SPEC).eval()
    with torch.no_grad():
        network.latent_mean.normal_()
        for name, parameter in network.named_parameters():
            if name.endswith(("strength", "bias")):
                parameter.add_(torch.randn_like(parameter) / 2)
    return network


def test_a_conditional_discriminator_scores_each_class_differently():
    spec = GeneratorSpec("style", 16, 16, 4, 6, classes=("a", "b"))
    discriminator = build_discriminator("style", spec, {"width": 4})
    images = torch.randn(1, 4, 16, 16).expand(4, -1, -1, -1)
    scores = discriminator(images, torch.tensor([0, 1, 0, 1]))
    torch.testing.assert_close(scores[:2], scores[2:])
    assert abs(scores[0] - scores[1]) > 1e-3
    discriminator(images, torch.tensor([0, 0, 0, 0])).sum().backward()
    assert discriminator.classes.weight.grad[0].abs().sum() > 0
    assert discriminator.classes.weight.grad[1].abs().sum() == 0


@torch.no_grad()
def test_one_style_for_each_layer_is_as_good_as_one_for_all(generator):
    w = torch.randn(3, 8)
    assert generator.style_layers == 2 * SPEC.size.doublings + 2
    torch.testing.assert_close(
        generator.synthesis(w[:, None].expand(-1, generator.style_layers, -1)), generator.synthesis(w)
    )


@torch.no_grad()
def test_every_layer_s_style_matters_and_late_ones_leave_the_coarse_image_alone(generator):
    ws = torch.randn(1, 1, 8).expand(-1, generator.style_layers, -1)
    plain = generator.synthesis(ws)
    for layer in range(generator.style_layers):
        changed = ws.clone()
        changed[:, layer] += 1
        assert (generator.synthesis(changed) - plain).abs().max() > 1e-3, layer


@torch.no_grad()
def test_truncation_0_is_the_mean_image_and_half_is_half_way_in_w(generator):
    z = torch.randn(3, 6)
    mean = generator.synthesis(generator.latent_mean[None])
    torch.testing.assert_close(generator(z, truncation=torch.zeros(3, 1)), mean.expand(3, -1, -1, -1))
    half = generator.synthesis((generator.mapping(z) + generator.latent_mean) / 2)
    torch.testing.assert_close(generator(z, truncation=torch.full((3, 1), 0.5)), half)


@torch.no_grad()
def test_noise_is_fixed_in_evaluation_and_fresh_in_training(generator):
    z = torch.randn(1, 6).expand(3, -1)
    still = generator(z)
    assert torch.equal(still, generator(z))
    torch.testing.assert_close(still[1:], still[:2])
    torch.testing.assert_close(still[:1], generator(z[:1]))
    generator.train()
    torch.manual_seed(1)
    moving = generator(z)
    assert (moving[0] - moving[1]).abs().max() > 1e-3
    torch.manual_seed(1)
    assert torch.equal(generator(z), moving)


def test_noise_has_a_value_for_every_pixel_of_every_styled_layer(generator):
    assert generator.noise_dim == 4 * 4 + 2 * (8 * 8) + 2 * (16 * 16)
    assert generator.noise_dim == sum(layer.noise.numel() for layer in generator.layers)
    tall = build_generator(GeneratorSpec("style", 48, 32, 3, 6, options=TINY))
    assert tall.noise_dim == sum(layer.noise.numel() for layer in tall.layers)
    assert build_generator(GeneratorSpec("dcgan", 16, 16, 4, 6, options={"width": 4})).noise_dim == 0


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_the_fixed_noise_given_as_an_input_changes_nothing(generator, training):
    z = torch.randn(3, 6)
    still = generator(z)
    fixed = torch.cat([layer.noise.flatten() for layer in generator.layers])
    generator.train(training)
    torch.testing.assert_close(generator(z, noise=fixed.expand(3, -1)), still, rtol=0, atol=1e-6)


@torch.no_grad()
def test_no_noise_given_as_an_input_is_a_network_without(generator):
    z = torch.randn(3, 6)
    silent = generator(z, noise=torch.zeros(3, generator.noise_dim))
    assert (silent - generator(z)).abs().max() > 1e-3
    for layer in generator.layers:
        layer.strength.zero_()
    assert torch.equal(silent, generator(z))


@torch.no_grad()
def test_every_noise_value_moves_its_own_row_from_its_own_pixel_on(generator):
    z, quiet = torch.randn(1, 6).expand(2, -1), torch.zeros(2, generator.noise_dim)
    plain = generator(z, noise=quiet)
    ends = [0, *torch.tensor(generator._noise_dims).cumsum(0).tolist()]
    for first, end in pairwise(ends):
        for value in (first, end - 1):
            noise = quiet.clone()
            noise[1, value] = 5.0
            moved = (generator(z, noise=noise) - plain).abs()
            assert moved[0].max() == 0
            assert moved[1].max() > 1e-4
            corner = moved[1, :, :2, :2] if value == first else moved[1, :, -2:, -2:]
            assert corner.max() > 1e-4  # the first value is the first pixel's, the last the last's


def test_a_spec_with_noise_of_another_network_is_refused():
    right = build_generator(SPEC).noise_dim
    build_generator(replace(SPEC, noise=right))
    with pytest.raises(SpecError, match=f"style takes {right} noise values at this size, not 7"):
        build_generator(replace(SPEC, noise=7))


@torch.no_grad()
def test_the_mean_latent_becomes_the_mean_of_w():
    torch.manual_seed(0)
    generator = build_generator(SPEC)
    exact = generator.eval().mapping(torch.randn(100_000, 6)).mean(dim=0)
    assert torch.equal(generator.latent_mean, torch.zeros(8))  # evaluation moves nothing
    generator.train()
    generator.mapping(torch.randn(100_000, 6))
    torch.testing.assert_close(generator.latent_mean, (1 - MEMORY) * exact, rtol=0.1, atol=1e-4)
    for _ in range(2000):
        generator.mapping(torch.randn(256, 6))
    torch.testing.assert_close(generator.latent_mean, exact, rtol=0, atol=0.02)
    assert exact.abs().max() > 0.1


@torch.no_grad()
def test_a_fresh_generator_starts_within_the_value_range():
    torch.manual_seed(0)
    spec = GeneratorSpec("style", 64, 64, 3, 64, options={"width": 16, "style_dim": 64, "mapping_layers": 2})
    images = build_generator(spec)(torch.randn(8, 64))
    assert 0.2 < images.std().item() < 0.7


@pytest.mark.parametrize(
    "options",
    [{"width": 0}, {"style_dim": 0}, {"mapping_layers": 0}, {"width": 5000}, {"noise_rate": -0.1}, {"noise_rate": 2.0}],
)
def test_impossible_options_are_named(options):
    with pytest.raises(SpecError, match=next(iter(options))):
        build_generator(GeneratorSpec("style", 16, 16, 4, 6, options={**TINY, **options}))


TALL = GeneratorSpec("style", 24, 16, 3, 6, classes=("a", "b", "c"), options={**TINY, "noise_rate": 0.5})
LABEL = torch.tensor([2, 0])


@torch.no_grad()
def test_synthesis_sums_the_images_of_all_sizes_each_with_the_next_layer_s_style():
    """Figure 7b of Karras et al. 2020, from the layers that test_style_layers.py tests."""
    network = build_generator(TALL).train()
    saved = filled(network)
    layers, images = network.layers, network.images
    assert (len(layers), len(images), network.style_layers) == (5, 3, 6)
    ws, noise = torch.randn(2, 6, 8), torch.randn(2, 6 * 4 + 2 * 12 * 8 + 2 * 24 * 16)
    first, second, third, fourth, fifth = noise.split([24, 96, 96, 384, 384], dim=1)

    x = layers[0](saved["constant"].expand(2, -1, -1, -1), ws[:, 0], first)
    image = images[0](x, ws[:, 1])
    x = layers[2](layers[1](x, ws[:, 1], second), ws[:, 2], third)
    assert x.shape == (2, 8, 12, 8)
    image = doubled(image) + images[1](x, ws[:, 3])
    x = layers[4](layers[3](x, ws[:, 3], fourth), ws[:, 4], fifth)
    expected = doubled(image) + images[2](x, ws[:, 5])
    torch.testing.assert_close(network.synthesis(ws, noise=noise), expected)
    z = torch.randn(2, 6)
    torch.testing.assert_close(network(z, LABEL), network.synthesis(network.map(z, LABEL)))


def test_a_generator_s_parts_have_the_widths_and_rates_of_its_options():
    torch.manual_seed(0)
    network = build_generator(TALL)
    assert [tuple(layer.weight.shape[:2]) for layer in network.layers] == [(16, 16), (8, 16), (8, 8), (4, 8), (4, 4)]
    assert [layer.doubling for layer in network.layers] == [False, True, False, True, False]
    assert [tuple(layer.noise.shape[2:]) for layer in network.layers] == [(6, 4), *[(12, 8)] * 2, *[(24, 16)] * 2]
    assert [tuple(layer.weight.shape[:2]) for layer in network.images] == [(3, 16), (3, 8), (3, 4)]
    assert {layer.style.weight.shape[1] for layer in (*network.layers, *network.images)} == {8}
    assert {layer.noise_rate for layer in network.layers} == {0.5}
    assert network.map.embedding.weight.shape == (3, 6)
    assert [tuple(layer.weight.shape) for layer in network.map.layers] == [(8, 12), (8, 8)]
    assert network.constant.shape == (1, 16, 6, 4)
    assert "constant" in dict(network.named_parameters())
    large = build_generator(replace(TALL, options={**TINY, "width": 64}))
    assert large.constant.std().item() == pytest.approx(1, rel=0.05)
    weights = torch.cat([layer.weight.flatten() for layer in large.images])
    assert weights.std().item() == pytest.approx(0.5 / math.sqrt(3), rel=0.05)  # three images are summed


@torch.no_grad()
def test_a_discriminator_halves_compares_connects_and_scores():
    network = build_discriminator("style", TALL, {"width": 4})
    saved = filled(network)

    def used(name, gain):
        return saved.pop(f"{name}.weight") * gain / math.sqrt(network.get_parameter(f"{name}.weight")[0].numel())

    images, root = torch.randn(2, 3, 24, 16), math.sqrt(2)
    x = F.leaky_relu(F.conv2d(images, used("see", root), saved.pop("see.bias")), 0.2)
    for block in network.halve:
        x = block(x)
    assert x.shape == (2, 16, 6, 4)
    x = torch.cat([x, x.std(dim=0, correction=0).mean().expand(2, 1, 6, 4)], dim=1)
    x = F.leaky_relu(F.conv2d(x, used("convolve", root), saved.pop("convolve.bias"), padding=1), 0.2)
    x = F.leaky_relu(F.linear(x.flatten(1), used("connect", root), saved.pop("connect.bias")), 0.2)
    torch.testing.assert_close(network.features(images), x, rtol=1e-4, atol=1e-5)
    plain = F.linear(x, used("last", 1.0), saved.pop("last.bias"))[:, 0]
    torch.testing.assert_close(network(images), plain, rtol=1e-4, atol=1e-5)
    shown = (x * saved.pop("classes.weight")[LABEL]).sum(dim=1) / 4  # the root of 16 features
    torch.testing.assert_close(network(images, LABEL), plain + shown, rtol=1e-4, atol=1e-5)
    assert all(name.startswith("halve.") for name in saved)
    assert network.feature_dim == 16
    assert build_discriminator("style", SPEC, {"width": 4}).classes is None


@torch.no_grad()
def test_a_halving_block_is_the_sum_of_its_two_ways_over_root_2():
    torch.manual_seed(0)
    block = HalvingBlock(2, 3)
    nn.init.normal_(block.first.bias)
    nn.init.normal_(block.second.bias)
    x = torch.randn(2, 2, 4, 6)
    y = F.leaky_relu(F.conv2d(x, block.first.weight * math.sqrt(2 / 18), block.first.bias, padding=1), 0.2)
    y = F.conv2d(F.avg_pool2d(y, 2), block.second.weight * math.sqrt(1 / 18), block.second.bias, padding=1)
    shorter = F.conv2d(F.avg_pool2d(x, 2), block.skip.weight * math.sqrt(1 / 4))
    torch.testing.assert_close(block(x), F.leaky_relu(y, 0.2) + shorter)
    assert block.skip.bias is None


def test_widths_never_exceed_eight_times_the_width():
    with torch.device("meta"):
        spec = GeneratorSpec("style", 128, 128, 3, 6, options={**TINY, "width": 2})
        generator, discriminator = build_generator(spec), build_discriminator("style", spec, {"width": 2})
    assert [layer.weight.shape[1] for layer in generator.images] == [16, 16, 16, 8, 4, 2]
    assert [block.second.weight.shape[0] for block in discriminator.halve] == [4, 8, 16, 16, 16]


def test_the_mean_of_w_is_moved_in_whole_precision_and_outside_the_gradient():
    network = build_generator(SPEC).train()
    with torch.autocast("cpu", torch.bfloat16):
        w = network.mapping(torch.randn(64, 6))
    assert w.dtype == torch.bfloat16
    assert network.latent_mean.dtype == torch.float32
    torch.testing.assert_close(network.latent_mean, 0.005 * w.detach().float().mean(dim=0))
    assert w.requires_grad
    assert not network.latent_mean.requires_grad


def test_options_have_limits():
    with torch.device("meta"):
        for name in TINY:
            for value in (1, 1024):
                build_generator(replace(SPEC, options={**TINY, name: value}))
            with pytest.raises(SpecError, match=f"{name} must be 1 to 1024, not 1025"):
                build_generator(replace(SPEC, options={**TINY, name: 1025}))
        for rate in (0.0, 1.0):
            build_generator(replace(SPEC, options={**TINY, "noise_rate": rate}))
        with pytest.raises(SpecError, match="width must be 1 to 1024, not 0"):
            build_discriminator("style", SPEC, {"width": 0})
