"""The layers of a style-based generator against their equations, on numbers small enough to work out by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.networks.layers import doubled
from core.networks.style import HalvingBlock
from core.networks.style_layers import (
    Mapping,
    StyledConvolution,
    ToImage,
    modulated_convolution,
    normalised,
    settle,
)


def test_rows_are_scaled_to_a_mean_square_of_1():
    x = torch.tensor([[3.0, 4.0], [1e-4, 0.0]])
    expected = torch.tensor([[3 / math.sqrt(12.5), 4 / math.sqrt(12.5)], [1e-4 / math.sqrt(1.5e-8), 0.0]])
    torch.testing.assert_close(normalised(x), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("label", [None, torch.tensor([2, 0])])
def test_a_mapping_is_its_layers_one_after_the_other(label):
    torch.manual_seed(0)
    mapping = Mapping(4, 5, 3, classes=3)
    assert [layer.weight.shape for layer in mapping.layers] == [(5, 8), (5, 5), (5, 5)]
    assert mapping.embedding.weight.shape == (3, 4)
    for layer in mapping.layers:
        nn.init.normal_(layer.bias, 0.0, 100.0)
    z = torch.randn(2, 4)
    kind = torch.zeros(2, 4) if label is None else normalised(mapping.embedding.weight[label])
    x = torch.cat([normalised(z), kind], dim=1)
    for layer in mapping.layers:
        effective = layer.weight * math.sqrt(2 / layer.weight.shape[1]) * 0.01
        x = F.leaky_relu(x @ effective.T + 0.01 * layer.bias, 0.2)
    torch.testing.assert_close(mapping(z, label), x, rtol=1e-4, atol=1e-5)


def test_a_mapping_without_classes_has_no_embedding_and_no_wider_input():
    mapping = Mapping(4, 5, 1, classes=0)
    assert mapping.embedding is None
    assert [layer.weight.shape for layer in mapping.layers] == [(5, 4)]


@pytest.mark.parametrize("doubling", [False, True])
def test_a_styled_convolution_is_modulated_doubled_noised_biased_and_leaky(doubling):
    torch.manual_seed(0)
    height, width = (6, 8) if doubling else (3, 4)
    layer = StyledConvolution(2, 3, 5, height, width, doubling=doubling, noise_rate=0.5)
    assert (layer.style.weight.shape, layer.weight.shape, layer.noise.shape) == (
        (2, 5),
        (3, 2, 3, 3),
        (1, 1, height, width),
    )
    assert torch.equal(layer.style.bias, torch.ones(2))
    assert torch.equal(layer.bias, torch.zeros(1, 3, 1, 1))
    nn.init.normal_(layer.bias)
    nn.init.constant_(layer.strength, 3.0)
    x, w, noise = torch.randn(2, 2, 3, 4), torch.randn(2, 5), torch.randn(2, height * width)
    y = modulated_convolution(x, layer.weight, layer.style(w), math.sqrt(2))
    y = doubled(y) if doubling else y
    expected = F.leaky_relu(y + layer.bias + 1.5 * noise.reshape(2, 1, height, width), 0.2)
    torch.testing.assert_close(layer(x, w, noise), expected)
    expected = F.leaky_relu(y + layer.bias + 1.5 * layer.noise, 0.2)
    torch.testing.assert_close(layer.eval()(x, w), expected)


def test_a_styled_convolution_starts_from_unit_normal_weights_and_doubles_nothing():
    torch.manual_seed(0)
    layer = StyledConvolution(30, 40, 5, 50, 60)
    names = dict(layer.named_parameters()).keys()
    assert names == {"style.weight", "style.bias", "weight", "bias", "strength"}
    assert not layer.doubling
    assert layer.noise_rate == 1
    assert layer.weight.std().item() == pytest.approx(1, rel=0.03)
    assert layer.noise.std().item() == pytest.approx(1, rel=0.05)
    assert layer.strength.item() == 0


def test_settling_divides_by_powers_of_two_what_has_grown_and_nothing_else():
    layer = StyledConvolution(2, 5, 4, 3, 3)
    sizes = torch.tensor([0.25, 1.0, 1.4, 3.0, 1000.0])  # log2: -2, 0, 0.49, 1.58, 9.97
    filters = torch.tensor([0.5, math.sqrt(1.75)])[:, None, None].expand(5, 2, 3, 3)  # of mean square 1
    layer.weight.data = sizes[:, None, None, None] * filters
    settle(nn.Sequential(nn.Sequential(layer), nn.Linear(2, 2)))
    after = torch.tensor([0.25, 1.0, 1.4, 0.75, 1000 / 1024])[:, None, None, None] * filters
    torch.testing.assert_close(layer.weight.detach(), after, rtol=1e-6, atol=0)


def test_an_image_layer_modulates_and_does_not_demodulate():
    torch.manual_seed(0)
    layer = ToImage(4, 3, 5, 0.25)
    assert (layer.style.weight.shape, layer.weight.shape, layer.bias.tolist()) == ((4, 5), (3, 4, 1, 1), [0, 0, 0])
    assert torch.equal(layer.style.bias, torch.ones(4))
    assert dict(layer.named_parameters()).keys() == {"style.weight", "style.bias", "weight", "bias"}
    nn.init.normal_(layer.bias)
    x, w = torch.randn(2, 4, 3, 3), torch.randn(2, 5)
    expected = torch.einsum("nihw,ni,ji->njhw", x, layer.style(w) / 2, layer.weight[:, :, 0, 0])
    torch.testing.assert_close(layer(x, w), expected + layer.bias[:, None, None], rtol=1e-5, atol=1e-5)
    assert ToImage(500, 40, 5, 0.25).weight.std().item() == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_modulated_convolution_of_one_channel_by_hand(kernel):
    """One input and one output channel: style and length of the weights drop out, but for the style's sign."""
    weight = torch.full((1, 1, kernel, kernel), 7.0)
    out = modulated_convolution(torch.full((1, 1, 5, 5), 5.0), weight, torch.tensor([[-2.0]]))
    assert out[0, 0, 2, 2].item() == pytest.approx(-5 * kernel, rel=1e-5)  # kernel² * 7 / (7 * kernel)
    assert out.shape == (1, 1, 5, 5)


@torch.no_grad()
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_length_of_a_style_drops_out(scale):
    torch.manual_seed(0)
    x, weight, style = torch.randn(2, 8, 3, 3), torch.randn(4, 8, 3, 3), torch.randn(2, 8)
    expected = modulated_convolution(x, weight, style / style.norm(dim=1, keepdim=True))
    torch.testing.assert_close(modulated_convolution(x, weight, scale * style), expected, rtol=1e-4, atol=1e-5)


def test_a_style_of_nothing_gives_nothing_and_finite_gradients():
    x, weight = torch.randn(1, 2, 3, 3, requires_grad=True), torch.randn(3, 2, 3, 3, requires_grad=True)
    style = torch.zeros(1, 2, requires_grad=True)
    out = modulated_convolution(x, weight, style)
    assert torch.equal(out, torch.zeros(1, 3, 3, 3))
    out.sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (x, weight, style))


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
