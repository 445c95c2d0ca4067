"""What every generator and discriminator does, whatever its family, on families that only write down what they get."""

import numpy as np
import pytest
import torch

from core.errors import SpecError
from core.networks.base import EXAMPLES, Discriminator, Generator, Maker, Translator
from core.pixels import to_pixels, to_values
from core.spec import GeneratorSpec, SourceSpec

SPEC = GeneratorSpec("dcgan", 8, 8, 3, 2)
TRANSLATION = GeneratorSpec("unet", 8, 8, 1, 0, kind="image", source=SourceSpec(2, 3, 4))
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


class Swapping(Translator):
    """The first channel of the source, doubled and turned about."""

    def forward(self, source):
        return -source[:, :1].repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_a_translator_takes_pictures_and_gives_pictures():
    network = Swapping(TRANSLATION)
    assert isinstance(network, Maker)
    assert (network.source, network.style_layers, network.noise_dim, network.grown_to) == (
        TRANSLATION.source,
        0,
        0,
        None,
    )
    source = torch.randint(0, 256, (5, 2, 3, 4), dtype=torch.uint8)
    expected = to_pixels(network(to_values(source, (-1.0, 1.0))), (-1.0, 1.0))
    made = network.pixels({"source": source})
    assert torch.equal(made, expected)
    red, alpha = source[..., 0].double(), source[..., 3].double()
    premultiplied = (255 - red * alpha / 255).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert (made[..., 0].double() - premultiplied).abs().max() <= 0.51
    with pytest.raises(SpecError, match=r"^dcgan translates images: its spec must say what its source is$"):
        Translator(SPEC)
    with pytest.raises(NotImplementedError):
        Translator(TRANSLATION)(source)


def test_sources_travel_with_a_translator():
    network, other = Translator(TRANSLATION), Translator(TRANSLATION)
    assert network.examples is None
    sources = np.arange(20 * 24, dtype=np.uint8).reshape(20, 2, 3, 4)
    network.show(sources)
    assert np.array_equal(network.examples, sources[:EXAMPLES])
    other.load_state_dict(network.state_dict())
    assert np.array_equal(other.examples, sources[:EXAMPLES])
    network.show(sources[:3])  # they take turns
    assert np.array_equal(network.examples, sources[np.arange(EXAMPLES) % 3])
    assert (network.examples.dtype, Generator(SPEC).examples) == (np.uint8, None)
