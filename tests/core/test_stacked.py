"""A stack of two generators: what each part is given, and what a fresh one starts from."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.stacked import Encoder, FeatureDiscriminator, FeatureGenerator
from core.spec import GeneratorSpec


def spec_of(latent=5, **options):
    return GeneratorSpec("stacked", 16, 16, 3, latent, classes=("a", "b", "c"), options={"width": 2, **options})


@torch.no_grad()
def test_the_upper_half_of_the_latent_makes_features_and_the_rest_the_image():
    torch.manual_seed(0)
    generator = build_generator(spec_of(features=9)).eval()
    assert generator.parts == [2, 3]
    assert generator.lower.spec.latent_dim == 12
    z, label = torch.randn(2, 5), torch.tensor([2, 0])
    features = generator.upper(z[:, :2], label)
    assert features.shape == (2, 9)
    expected = generator.lower(
        torch.cat([features / 3, z[:, 2:]], dim=1)
    )  # the root of 9: a mean square of 1, length 1
    torch.testing.assert_close(generator(z, label), expected)


@torch.no_grad()
@pytest.mark.parametrize("classes", [0, 3])
def test_the_upper_generator_has_two_hidden_layers_twice_as_wide(classes):
    torch.manual_seed(0)
    network = FeatureGenerator(4, classes, 5).eval()
    shapes = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
    assert shapes == [*([(3, 4)] if classes else []), (10, 8 if classes else 4), (10, 10), (5, 10)]
    noise = torch.randn(2, 4)
    for label in (torch.tensor([2, 1]), None):
        shown = torch.zeros(2, 4) if label is None or not classes else network.embed(label)
        x = torch.cat([noise, shown], dim=1) if classes else noise
        for dense in (network.layers[0], network.layers[3]):
            x = F.relu(F.linear(x, dense.weight, dense.bias) / math.sqrt(1 + 1e-5))  # fresh statistics: 0 and 1
        torch.testing.assert_close(network(noise, label), F.linear(x, network.last.weight, network.last.bias))


@torch.no_grad()
def test_features_are_scored_by_projection_that_starts_at_nothing():
    torch.manual_seed(0)
    network = FeatureDiscriminator(4, 6, 3).eval()
    x, label = torch.randn(2, 4), torch.tensor([2, 0])
    first, second = network.layers[0], network.layers[2]
    hidden = F.leaky_relu(F.linear(x, first.weight, first.bias), 0.2)
    hidden = F.leaky_relu(F.linear(hidden, second.weight, second.bias) / math.sqrt(1 + 1e-5), 0.2)
    torch.testing.assert_close(network.features(x), hidden)
    assert (first.weight.shape, second.weight.shape, network.feature_dim) == ((6, 4), (6, 6), 6)
    plain = hidden @ network.last.weight[0] + network.last.bias
    torch.testing.assert_close(network.score(hidden, label), plain)
    nn.init.normal_(network.embed.weight)
    shown = (hidden * network.embed.weight[label]).sum(dim=1)
    torch.testing.assert_close(network.score(hidden, label), plain + shown)
    assert FeatureDiscriminator(4, 6, 0).embed is None
    assert [each.inplace for each in network.layers if isinstance(each, nn.LeakyReLU)] == [True, True]


@torch.no_grad()
def test_an_encoder_s_features_have_mean_0_and_mean_square_1_and_tell_the_class():
    torch.manual_seed(0)
    encoder = Encoder(spec_of(), 2, 7).eval()
    features = encoder(torch.randn(4, 3, 16, 16))
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(4), rtol=0, atol=1e-5)
    assert features.square().mean(dim=1).max() <= 1
    expected = F.linear(F.leaky_relu(features, 0.2), encoder.last.weight, encoder.last.bias)
    assert expected.shape == (4, 3)
    torch.testing.assert_close(encoder.classify(features), expected)
    assert not any(name.startswith(("trunk.last", "trunk.label", "norm")) for name in encoder.state_dict())
    assert Encoder(GeneratorSpec("stacked", 16, 16, 3, 5), 2, 7).last.out_features == 1


def test_a_stack_needs_two_values_and_some_features():
    build_generator(spec_of(latent=2, features=1))
    build_generator(spec_of(latent=2, features=4096))
    for latent, features in ((1, 4), (2, 0), (2, 4097)):
        with pytest.raises(SpecError, match="a latent_dim of at least 2, and 1 to 4096 features"):
            build_generator(spec_of(latent=latent, features=features))


def shapes(network):
    return [tuple(p.shape) for p in network.parameters() if p.ndim > 1]


def test_the_networks_of_images_are_dcgan_s_and_are_told_no_class():
    spec = replace(spec_of(latent=7, features=9), codes=2)
    lower, judge = build_generator(spec).lower, build_discriminator("stacked", spec, {"width": 2})
    encoder = Encoder(spec, 2, 7)
    plain = GeneratorSpec("dcgan", 16, 16, 3, 9 + 4, options={"width": 2})  # the base has the remainder of the latent
    assert shapes(lower) == shapes(build_generator(plain))
    assert (lower.spec.latent_dim, lower.spec.classes, lower.spec.codes, lower.spec.options) == (13, (), 0, {})
    assert shapes(judge) == shapes(build_discriminator("dcgan", plain, {"width": 2}))
    assert shapes(encoder) == [*shapes(judge)[:-1], (7, 64), (3, 7)]  # its score makes way for features and classes
    for network in (judge, encoder.trunk):
        assert network.label is None
        assert isinstance(network.halve[1][1], nn.BatchNorm2d)
