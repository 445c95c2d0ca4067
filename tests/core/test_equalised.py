"""Equalised learning rate and pixel norm against what they claim (Karras et al. 2018, sections 4.1 and 4.2)."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.networks.layers import EqualisedConv2d, EqualisedLinear, PixelNorm

GAIN = 2**0.5


@pytest.mark.parametrize("bias", [True, False])
def test_an_equalised_linear_layer_is_a_plain_one_with_scaled_weights(bias):
    layer = EqualisedLinear(12, 5, gain=GAIN, bias=bias)
    x = torch.randn(3, 12)
    expected = F.linear(x, layer.weight * (2 / 12) ** 0.5, layer.bias)
    torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kernel", [1, 3])
def test_an_equalised_convolution_is_a_plain_one_with_scaled_weights(kernel):
    layer = EqualisedConv2d(6, 4, kernel, gain=GAIN)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 6, 5, 7)
    scaled = layer.weight * (2 / (6 * kernel**2)) ** 0.5
    expected = F.conv2d(x, scaled, layer.bias, padding=kernel // 2)
    assert expected.shape == (2, 4, 5, 7)
    torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=0)


def test_he_s_constant_keeps_the_variance_through_a_rectifier():
    torch.manual_seed(0)
    x = torch.randn(4000, 256)
    for layer, given in ((EqualisedLinear(256, 256, gain=GAIN), x), (EqualisedConv2d(256, 256, 1, gain=GAIN), None)):
        given = x.reshape(40, 100, 256).permute(0, 2, 1)[..., None] if given is None else given
        assert F.relu(layer(given)).square().mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("build", [EqualisedLinear, lambda a, b: EqualisedConv2d(a, b, 3)], ids=["linear", "conv"])
def test_a_step_moves_the_same_share_of_the_weights_whatever_the_fan_in(build):
    """Adam moves every weight by its rate: of weights that start at N(0, 1), always that share."""
    shares = []
    for inputs in (4, 400):
        torch.manual_seed(0)
        layer = build(inputs, 8)
        used = layer.weight.detach() * layer.scale
        optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
        shape = (4, inputs) if layer.weight.ndim == 2 else (4, inputs, 4, 4)
        layer(torch.randn(shape)).square().sum().backward()
        optimiser.step()
        change = layer.weight.detach() * layer.scale - used
        shares.append((change.abs().mean() / used.std()).item())
    assert shares[0] == pytest.approx(0.01, rel=0.15)
    assert shares[1] == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("shape", [(5, 16), (5, 16, 3, 4)])
def test_pixel_norm_gives_every_position_a_mean_square_of_one(shape):
    x = torch.randn(shape) * torch.logspace(-1, 3, 5).reshape(-1, *[1] * (len(shape) - 1))
    normal = PixelNorm()(x)
    squares = normal.square().mean(dim=1)
    torch.testing.assert_close(squares, torch.ones_like(squares), atol=1e-4, rtol=0)
    torch.testing.assert_close(F.cosine_similarity(normal, x, dim=1), torch.ones_like(squares), atol=1e-5, rtol=0)


def test_pixel_norm_leaves_zeros_alone_and_has_a_finite_gradient_there():
    x = torch.zeros(2, 8, requires_grad=True)
    normal = PixelNorm()(x)
    normal.sum().backward()
    assert torch.equal(normal, torch.zeros(2, 8))
    assert x.grad.isfinite().all()
