"""What every generator and discriminator does, whatever its family, on families that only write down what they get."""

import pytest
import torch

from core.networks.base import Discriminator, Generator
from core.spec import GeneratorSpec

SPEC = GeneratorSpec("dcgan", 8, 8, 3, 2)
Z, LABEL, CODES = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]), torch.tensor([[5.0], [6.0]])


class Writing(Generator):
    """Styles are latents plus 10; an image is the list of what it is made of."""

    def mapping(self, z, label=None, codes=None):
        self.mapped = [z, label, codes]
        return z + 10

    def synthesis(self, style, label=None, codes=None, **noise):
        return [style, label, codes, noise]


class Judging(Discriminator):
    """Features and scores that are lists of what they rest on."""

    def features(self, images, label=None):
        return [images, label]

    def score(self, features, label=None):
        return [features, label]


def test_a_plain_generator_has_no_styles_no_noise_and_no_growth():
    plain = Generator(SPEC)
    assert (plain.spec, plain.style_layers, plain.noise_dim, plain.grown_to) == (SPEC, 0, 0, None)
    assert (Generator.learns_classes, Generator.learns_codes) == (False, False)
    assert plain.mapping(Z) is Z
    assert torch.equal(plain.state_dict()["latent_mean"], torch.zeros(2))
    assert torch.equal(Generator(SPEC, 5).latent_mean, torch.zeros(5))
    with pytest.raises(NotImplementedError):
        plain(Z)


def test_latent_class_and_codes_are_mapped_and_then_shown():
    network = Writing(SPEC)
    style, label, codes, noise = network(Z, LABEL, CODES)
    assert network.mapped == [Z, LABEL, CODES]
    assert torch.equal(style, Z + 10)
    assert (label is LABEL, codes is CODES, noise) == (True, True, {})
    assert network(Z, noise=CODES)[3] == {"noise": CODES}


def test_truncation_scales_the_distance_to_the_mean():
    network = Writing(SPEC)
    network.latent_mean.copy_(torch.tensor([10.0, 20.0]))
    style, *_ = network(Z, LABEL, truncation=torch.tensor([[0.5], [3.0]]))  # of 11, 12 and 13, 14
    assert style.tolist() == [[10.5, 16.0], [19.0, 2.0]]


def test_a_score_rests_on_features_and_both_know_the_class():
    network = Judging(SPEC, 7)
    assert (network.spec, network.feature_dim) == (SPEC, 7)
    assert network(Z, LABEL) == [[Z, LABEL], LABEL]
    for step in (Discriminator(SPEC, 7).features, Discriminator(SPEC, 7).score):
        with pytest.raises(NotImplementedError):
            step(Z)
