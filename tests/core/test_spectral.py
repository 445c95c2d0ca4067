"""Spectral norm against singular values that NumPy finds."""

import numpy as np
import pytest
import torch
from torch import nn

from core.networks.spectral import SpectralConv2d, SpectralEmbedding, SpectralLinear


def largest(weight: torch.Tensor) -> float:
    return float(np.linalg.svd(weight.detach().flatten(1).double().numpy(), compute_uv=False)[0])


LAYERS = {
    "linear": lambda: (SpectralLinear(7, 5), torch.randn(3, 7)),
    "convolution": lambda: (SpectralConv2d(3, 6, 3), torch.randn(2, 3, 5, 5)),
    "embedding": lambda: (SpectralEmbedding(4, 9), torch.arange(4)),
}


def moved(layer: nn.Module) -> None:
    """Weights as training leaves them: no longer what they were when the norm was first taken."""
    with torch.no_grad():
        layer.weight.add_(torch.randn_like(layer.weight) * 2)


@pytest.mark.parametrize("name", LAYERS)
def test_a_fresh_layer_has_norm_1(name: str) -> None:
    layer, x = LAYERS[name]()
    layer.eval()(x)
    assert largest(layer.spectral(layer.weight)) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_used_in_training_it_finds_the_norm_again(name: str) -> None:
    torch.manual_seed(0)
    layer, x = LAYERS[name]()
    moved(layer)
    with torch.no_grad():
        for _ in range(200):
            layer.train()(x)
    assert layer.spectral.norm.item() == pytest.approx(largest(layer.weight), rel=1e-4)
    assert largest(layer.eval().spectral(layer.weight)) == pytest.approx(1, rel=1e-4)


def test_in_evaluation_nothing_moves() -> None:
    layer, x = LAYERS["linear"]()
    layer.eval()
    before = layer.spectral.direction.clone()
    moved(layer)
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(layer.spectral.direction, before)


def test_the_gradient_is_that_of_the_quotient() -> None:
    """Miyato et al. 2018, equation 12: of W / σ(W), where σ's gradient is u vᵀ of the directions found."""
    torch.manual_seed(0)
    layer = SpectralLinear(4, 3, bias=False)
    layer.train()
    chosen = torch.randn(3, 4)
    (layer.spectral(layer.weight) * chosen).sum().backward()
    left, values, right = torch.linalg.svd(layer.weight.detach())
    normed = layer.weight.detach() / values[0]
    outer = left[:, :1] @ right[:1]
    expected = (chosen - (chosen * normed).sum() * outer) / values[0]
    assert torch.allclose(layer.weight.grad, expected, atol=1e-5)
