"""Resize, then convolve: computed again from the weights, and what fresh weights are."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.upconv import initialise
from core.spec import GeneratorSpec
from tests.core.filled import filled

SPEC = GeneratorSpec("upconv", 16, 24, 3, 5, classes=("a", "b", "c"), codes=2, options={"width": 4})
LABEL = torch.tensor([2, 0])


@torch.no_grad()
def test_a_generator_doubles_by_repeating_pixels_then_convolves():
    network = build_generator(SPEC)
    saved = filled(network)
    z, codes = torch.randn(2, 5), torch.randn(2, 2)
    x = torch.cat([z, saved.pop("embed.weight")[LABEL], codes], dim=1)
    x = F.relu(F.linear(x, saved.pop("project.0.weight"), saved.pop("project.0.bias"))).reshape(2, 4, 4, 6)
    for place in (1, 4):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = F.relu(F.conv2d(x, saved.pop(f"layers.{place}.weight"), saved.pop(f"layers.{place}.bias"), padding=1))
    expected = F.conv2d(x, saved.pop("layers.6.weight"), saved.pop("layers.6.bias"), padding=1)
    torch.testing.assert_close(network(z, LABEL, codes), expected, rtol=1e-4, atol=1e-5)
    assert expected.shape == (2, 3, 16, 24)
    assert not saved


@torch.no_grad()
@pytest.mark.parametrize("classes", [(), ("a", "b", "c")])
def test_a_discriminator_convolves_and_takes_means_of_four_pixels(classes):
    spec = GeneratorSpec("upconv", 16, 24, 3, 5, classes=classes)
    network = build_discriminator("upconv", spec, {"width": 4, "dense": 7})
    saved = filled(network)
    images = x = torch.randn(2, 3, 16, 24)
    if classes:
        x = torch.cat([x, saved.pop("label.maps.weight")[LABEL].reshape(2, 1, 16, 24)], dim=1)
    for place in (0, 3):
        x = F.conv2d(x, saved.pop(f"layers.{place}.weight"), saved.pop(f"layers.{place}.bias"), padding=1)
        x = F.avg_pool2d(F.leaky_relu(x, 0.2), 2)
    x = F.leaky_relu(F.linear(x.flatten(1), saved.pop("layers.7.weight"), saved.pop("layers.7.bias")), 0.2)
    torch.testing.assert_close(network.features(images, LABEL), x, rtol=1e-4, atol=1e-5)
    expected = F.linear(x, saved.pop("last.weight"), saved.pop("last.bias"))[:, 0]
    torch.testing.assert_close(network(images, LABEL), expected, rtol=1e-4, atol=1e-5)
    assert not saved
    assert network.feature_dim == 7


def test_fresh_weights_are_he_s_but_for_the_last_of_each_network():
    torch.manual_seed(0)
    spec = GeneratorSpec("upconv", 16, 16, 3, 60, options={"width": 64})
    generator, discriminator = build_generator(spec), build_discriminator("upconv", spec, {"width": 64, "dense": 1024})
    *inner, image = [m for m in generator.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    *others, last = [m for m in discriminator.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert (len(inner), len(others)) == (3, 3)
    for layer in inner + others:
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / layer.weight[0].numel()), rel=0.05)
    assert image.weight.std().item() == pytest.approx(0.25 * math.sqrt(2 / (64 * 9)), rel=0.05)
    assert last.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for layer in (*inner, image, *others, last):
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
        assert abs(layer.weight.mean()) < 5 * layer.weight.std() / math.sqrt(layer.weight.numel())


def test_a_layer_without_a_bias_starts_as_one_with():
    layer = nn.Linear(50, 1000, bias=False)
    initialise(layer)
    assert layer.weight.std().item() == pytest.approx(0.2, rel=0.03)


def test_without_classes_there_is_nothing_to_embed():
    plain = GeneratorSpec("upconv", 8, 8, 1, 5, options={"width": 4})
    assert build_generator(plain).embed is None
    assert build_discriminator("upconv", plain, {"width": 4}).label is None


def test_both_widths_have_limits():
    for options in ({"width": 1, "dense": 1}, {"width": 1, "dense": 1024}):
        build_discriminator("upconv", SPEC, options)
    for options in ({"width": 0}, {"width": 1025}, {"dense": 0}, {"dense": 1025}):
        ((name, value),) = options.items()
        with pytest.raises(SpecError, match=f"^{name} must be 1 to 1024, not {value}"):
            build_discriminator("upconv", SPEC, options)
    with pytest.raises(SpecError, match="width must be 1 to 1024"):
        build_generator(GeneratorSpec("upconv", 8, 8, 1, 5, options={"width": 1025}))
