"""The layers of a style-based generator against their equations, on numbers small enough to work out by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.networks.layers import doubled
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


def reference(x, weight, style):
    """Equations 1 and 3 of Karras et al. 2020 as written: weights of its own for each row."""
    rows = []
    for row, scales in zip(x, style, strict=True):
        own = weight * scales[None, :, None, None]
        own = own / own.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        rows.append(F.conv2d(row[None], own, padding=1))
    return torch.cat(rows)


def test_modulated_convolution_is_a_convolution_with_weights_for_each_row():
    torch.manual_seed(0)
    x, weight, style = torch.randn(5, 6, 7, 4), torch.randn(3, 6, 3, 3), torch.randn(5, 6) + 1
    torch.testing.assert_close(modulated_convolution(x, weight, style), reference(x, weight, style), rtol=0, atol=1e-5)


def test_modulated_convolution_is_one_grouped_convolution_and_so_are_its_gradients():
    torch.manual_seed(0)
    x, weight, style = torch.randn(4, 6, 5, 5), torch.randn(3, 6, 3, 3), torch.randn(4, 6) + 1
    ours = [tensor.clone().requires_grad_() for tensor in (x, weight, style)]
    theirs = [tensor.clone().requires_grad_() for tensor in (x, weight, style)]
    own = theirs[1] * theirs[2][:, None, :, None, None]  # (4, 3, 6, 3, 3)
    own = own / own.square().sum(dim=(2, 3, 4), keepdim=True).sqrt()
    grouped = F.conv2d(theirs[0].reshape(1, 24, 5, 5), own.reshape(12, 6, 3, 3), padding=1, groups=4)
    direction = torch.randn(4, 3, 5, 5)
    (modulated_convolution(*ours) * direction).sum().backward()
    (grouped.reshape(4, 3, 5, 5) * direction).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
def test_demodulation_gives_unit_variance_whatever_the_style(scale):
    torch.manual_seed(0)
    style = scale * (torch.randn(4, 64) + 1)
    out = modulated_convolution(torch.randn(4, 64, 40, 40), torch.randn(16, 64, 3, 3), style)
    inside = out[:, :, 1:-1, 1:-1]  # the padding at the border has no variance
    torch.testing.assert_close(inside.square().mean(dim=(2, 3)), torch.ones(4, 16), rtol=0, atol=0.15)
    assert inside.square().mean().item() == pytest.approx(1, abs=0.02)
    twice = modulated_convolution(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3), torch.ones(1, 2), gain=2.0)
    assert twice[0, 0, 1, 1].item() == pytest.approx(2 * 18 / math.sqrt(18), rel=1e-5)


def test_half_precision_holds_what_large_styles_and_weights_make():
    torch.manual_seed(0)
    x, weight, style = torch.randn(2, 512, 4, 4), 4 * torch.randn(8, 512, 3, 3), 100 * torch.randn(2, 512)
    style = style / style.norm(dim=1, keepdim=True)  # what the function does first, in whatever precision
    products = F.conv2d(x * style[:, :, None, None], weight, padding=1)
    assert products.abs().max() < 65504 / 100
    assert F.linear(style.square(), weight.square().sum(dim=(2, 3))).max() < 65504 / 100


def test_doubling_is_the_paper_s_filter_inside():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 5)
    spread = torch.zeros(2, 3, 12, 10)
    spread[:, :, ::2, ::2] = x
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = torch.outer(taps, taps).expand(3, 1, 4, 4)
    filtered = F.conv2d(F.pad(spread, (2, 1, 2, 1)), kernel, groups=3)
    torch.testing.assert_close(doubled(x)[:, :, 1:-1, 1:-1], filtered[:, :, 1:-1, 1:-1], rtol=0, atol=1e-6)


def test_the_mapping_sees_only_the_direction_of_z():
    mapping = Mapping(6, 8, 2, classes=0)
    z = torch.randn(4, 6)
    torch.testing.assert_close(mapping(z), mapping(37 * z), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(mapping(z), mapping(-z))


def test_a_fresh_mapping_keeps_the_variance():
    torch.manual_seed(0)
    w = Mapping(512, 512, 8, classes=0)(torch.randn(64, 512))
    assert w.square().mean().item() == pytest.approx(1, abs=0.3)


def test_mapping_weights_learn_a_hundredth_as_fast():
    torch.manual_seed(0)
    slow, fast = Mapping(6, 8, 1, classes=0), Mapping(6, 8, 1, classes=0, rate=1.0)
    with torch.no_grad():
        slow.layers[0].weight.copy_(fast.layers[0].weight * 100)
    z = torch.randn(64, 6)
    before = fast(z)
    torch.testing.assert_close(slow(z), before)
    for mapping in (slow, fast):
        with torch.no_grad():
            for parameter in mapping.parameters():
                parameter.add_(0.01)  # a step of Adam
    moved = (slow(z) - before).norm() / (fast(z) - before).norm()
    assert moved.item() == pytest.approx(0.01, rel=0.05)


def test_classes_change_the_style_and_no_label_is_none_of_them():
    mapping = Mapping(6, 8, 2, classes=3)
    z = torch.randn(1, 6).expand(4, -1)
    w = torch.cat([mapping(z[:3], torch.arange(3)), mapping(z[:1])])
    assert all(not torch.allclose(w[a], w[b]) for a in range(4) for b in range(a))


@pytest.mark.parametrize("rate", [1.0, 0.02])
def test_noise_is_scaled_by_a_strength_that_starts_at_zero(rate):
    layer = StyledConvolution(4, 4, 8, 5, 5, noise_rate=rate)
    x, w = torch.randn(2, 4, 5, 5), torch.randn(2, 8)
    with torch.no_grad():
        assert torch.equal(layer(x, w), layer.eval()(x, w))
        layer.strength.fill_(0.5)
        expected = modulated_convolution(x, layer.weight, layer.style(w), math.sqrt(2)) + rate * layer.noise / 2
        torch.testing.assert_close(layer(x, w), F.leaky_relu(expected, 0.2))
