"""Spectral norm against singular values that NumPy finds."""

import numpy as np
import pytest
import torch
from torch import nn

from core.networks.spectral import Spectral, SpectralConv2d, SpectralEmbedding, SpectralLinear


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


def test_layers_have_the_shapes_of_torch_s() -> None:
    shapes = {name: tuple(build()[0].weight.shape) for name, build in LAYERS.items()}
    assert shapes == {"linear": (5, 7), "convolution": (6, 3, 3, 3), "embedding": (4, 9)}


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
    assert not layer.spectral.norm.requires_grad
    assert not layer.spectral.direction.requires_grad


def test_each_use_in_training_is_one_step_of_power_iteration() -> None:
    """Algorithm 1 of Miyato et al. 2018, one step from the direction last found."""
    torch.manual_seed(0)
    layer = SpectralLinear(4, 3)
    moved(layer)
    weight, left = layer.weight.detach().numpy(), layer.spectral.direction.clone().numpy()

    right = weight.T @ left
    right /= np.linalg.norm(right)
    left = weight @ right
    left /= np.linalg.norm(left)
    norm = float(left @ weight @ right)

    x = torch.randn(2, 4)
    expected = x.numpy() @ (weight / norm).T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer.train()(x).detach().numpy(), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.spectral.direction.numpy(), left, rtol=0, atol=1e-6)
    assert layer.spectral.norm.item() == pytest.approx(norm, rel=1e-6)
    np.testing.assert_allclose(layer.eval()(x).detach().numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_a_fresh_weight_is_orthogonal_and_its_direction_is_a_singular_vector(name: str) -> None:
    layer, _ = LAYERS[name]()
    rows = layer.weight.detach().flatten(1)
    short = rows if rows.shape[0] <= rows.shape[1] else rows.T
    torch.testing.assert_close(short @ short.T, torch.eye(len(short)), rtol=0, atol=1e-5)
    assert layer.spectral.norm.item() == pytest.approx(1, rel=1e-5)
    assert (layer.spectral.direction @ rows).norm().item() == pytest.approx(1, rel=1e-5)
    assert getattr(layer, "bias", None) is None or torch.equal(layer.bias, torch.zeros_like(layer.bias))
    assert set(layer.spectral.state_dict()) == {"direction", "norm"}
    assert layer.spectral.direction.untyped_storage().nbytes() == 4 * len(rows)  # not a view that keeps all of U


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_keeps_the_size_and_may_have_no_bias(kernel: int) -> None:
    layer = SpectralConv2d(2, 3, kernel).eval()
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 2, 5, 4)
    normed = layer.weight / largest(layer.weight)
    expected = nn.functional.conv2d(x, normed, layer.bias, padding=kernel // 2)
    assert expected.shape == (2, 3, 5, 4)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-5)
    assert SpectralConv2d(2, 3, kernel, bias=False).bias is None
    assert SpectralLinear(2, 3, bias=False).bias is None


def test_the_norm_of_a_weight_that_is_not_orthogonal_is_exact_at_once() -> None:
    weight = torch.tensor([[0.0, 3.0], [4.0, 0.0]])
    spectral = Spectral(weight)
    assert spectral.norm.item() == pytest.approx(4)
    assert spectral.direction.abs().tolist() == pytest.approx([0, 1])
    assert spectral.norm.untyped_storage().nbytes() == 4
    torch.testing.assert_close(spectral.eval()(weight), weight / 4)


@torch.no_grad()
def test_half_precision_takes_the_same_steps() -> None:
    """A norm of bfloat16 is off by up to 0.4 %, and its direction stops where a step is smaller than its last bit."""
    torch.manual_seed(0)
    weight = torch.randn(20, 30)
    whole, half = Spectral(weight), Spectral(weight)
    weight += torch.randn(20, 30)
    for _ in range(3):
        expected = whole(weight)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(half(weight), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(half.direction, whole.direction, rtol=1e-6, atol=0)
