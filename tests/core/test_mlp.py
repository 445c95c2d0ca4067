"""Two perceptrons, computed again from their weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.mlp import MLPDiscriminator, MLPGenerator
from core.spec import GeneratorSpec
from tests.core.filled import filled

SPEC = GeneratorSpec("mlp", 8, 16, 3, 5, classes=("a", "b", "c"), codes=2, options={"width": 4, "blocks": 2})
LABEL = torch.tensor([2, 0])


@torch.no_grad()
def test_a_generator_is_dense_layers_rectified_then_normed_and_a_tanh():
    network = build_generator(SPEC)
    saved = filled(network)
    z, codes = torch.randn(2, 5), torch.randn(2, 2)
    x = torch.cat([z, saved.pop("embed.weight")[LABEL], codes], dim=1)
    for place in (0, 3):
        x = F.leaky_relu(F.linear(x, saved.pop(f"layers.{place}.weight"), saved.pop(f"layers.{place}.bias")), 0.2)
        norm = (saved.pop(f"layers.{place + 2}.{name}") for name in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, *norm)
    x = torch.tanh(F.linear(x, saved.pop("image.weight"), saved.pop("image.bias")))
    torch.testing.assert_close(network(z, LABEL, codes), x.reshape(2, 3, 8, 16))
    assert not saved


@torch.no_grad()
@pytest.mark.parametrize("label", [LABEL, None])
def test_a_discriminator_sees_every_pixel_and_the_class_beside_them(label):
    network = build_discriminator("mlp", SPEC, {"width": 8, "blocks": 2})
    saved = filled(network)
    images = torch.randn(2, 3, 8, 16)
    embedding = saved.pop("embed.weight")
    assert embedding.shape == (3, 8)
    x = torch.cat([images.flatten(1), torch.zeros(2, 8) if label is None else embedding[label]], dim=1)
    for place in (0, 2):
        x = F.leaky_relu(F.linear(x, saved.pop(f"layers.{place}.weight"), saved.pop(f"layers.{place}.bias")), 0.2)
    torch.testing.assert_close(network.features(images, label), x)
    expected = F.linear(x, saved.pop("last.weight"), saved.pop("last.bias"))[:, 0]
    torch.testing.assert_close(network(images, label), expected)
    assert not saved
    assert network.feature_dim == 4


def test_without_classes_there_is_nothing_to_embed():
    plain = GeneratorSpec("mlp", 8, 8, 1, 5, options={"width": 4})
    assert build_generator(plain).embed is None
    discriminator = build_discriminator("mlp", plain, {})
    assert discriminator.embed is None
    assert discriminator(torch.zeros(2, 1, 8, 8)).shape == (2,)


def test_running_statistics_take_a_fifth_of_each_batch():
    generator = build_generator(SPEC)
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm1d)]
    assert [norm.momentum for norm in norms] == [0.2, 0.2]


@pytest.mark.parametrize("build", [MLPGenerator, MLPDiscriminator])
def test_width_and_blocks_have_limits(build):
    with torch.device("meta"):
        build(SPEC, width=1, blocks=1)
        build(SPEC, width=4096, blocks=1)
        build(SPEC, width=128, blocks=8)
    for options, reason in (
        ({"width": 0, "blocks": 1}, "width must be 1 to 4096, not 0"),
        ({"width": 4097, "blocks": 1}, "width must be 1 to 4096, not 4097"),
        ({"width": 256, "blocks": 9}, "blocks must be 1 to 8, not 9"),
    ):
        with pytest.raises(SpecError, match=reason):
            build(SPEC, **options)
