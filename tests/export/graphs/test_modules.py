"""What is traced, on a network of one line: every input reaches its place, whole and in two parts."""

from dataclasses import replace

import numpy as np
import torch

from core.contract import input_ports, mapping_ports, output_port, sample_inputs, style_port, synthesis_ports
from core.networks.base import Generator
from core.spec import GeneratorSpec
from export.graphs.modules import ExportGraph, MappingGraph, SynthesisGraph

SPEC = GeneratorSpec("line", 2, 3, 1, latent_dim=3, classes=("a", "b"), codes=2, noise=2)
MEAN = torch.tensor([1.0, -1.0, 0.5, 0.0])


class Line(Generator):
    """A level that is a sum of everything it is given, in the range 0 to 255; four styles, for five layers."""

    style_layers = 5
    noise_dim = 2

    def __init__(self, spec=SPEC):
        super().__init__(replace(spec, value_range=(0.0, 255.0)), 4)
        self.latent_mean.copy_(MEAN)

    def mapping(self, z, label=None, codes=None):
        last = torch.zeros(len(z), 1) if label is None else 20.0 * label[:, None].float()
        if codes is not None:
            last = last + codes.sum(dim=1, keepdim=True)
        return torch.cat([z, last], dim=1)

    def synthesis(self, style, label=None, codes=None, noise=None):
        style = style if style.ndim == 2 else style[:, 2]  # any layer's
        level = 100 + 10 * style.sum(dim=1) + (0 if noise is None else noise @ torch.tensor([1.0, 3.0]))
        return level[:, None, None, None].expand(-1, 1, 2, 3)


def by_hand(inputs):
    """What ``Line`` makes of the contract's inputs, in numpy."""
    last = 20.0 * inputs["label"] + inputs["codes"].sum(axis=1, keepdims=True)
    style = np.concatenate([inputs["z"], last], axis=1)
    mean = MEAN.numpy()
    style = mean + inputs["truncation"] * (style - mean)
    level = 100 + 10 * style.sum(axis=1) + inputs["noise"] @ np.float32([1, 3])
    pixels = np.round(np.clip(level, 0, 255)).astype(np.uint8)
    return style, np.broadcast_to(pixels[:, None, None, None], (len(level), 2, 3, 1))


def test_every_input_reaches_its_place():
    inputs = sample_inputs(SPEC, range(6), truncation=0.5)
    found, (_, expected) = ExportGraph(Line()).images(inputs), by_hand(inputs)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)
    assert len({image.tobytes() for image in found}) == 6


def test_the_two_parts_are_the_whole():
    inputs = sample_inputs(SPEC, range(6), truncation=0.5)
    style, expected = by_hand(inputs)
    given = {name: torch.from_numpy(value) for name, value in inputs.items()}
    noise = given.pop("noise")
    w = MappingGraph(Line())(**given)
    assert np.allclose(w.numpy(), np.repeat(style[:, None], 5, axis=1), atol=1e-5)
    assert np.array_equal(SynthesisGraph(Line())(w, noise).numpy(), expected)


def test_what_is_not_an_input_is_left_out():
    plain = GeneratorSpec("line", 2, 3, 1, latent_dim=3)
    z = torch.tensor([[1.0, 2.0, 3.0]])
    half = torch.tensor([[0.5]])
    # mean + (style - mean) / 2 sums to 0.25 + 3
    assert ExportGraph(Line(plain))(z, half).unique().tolist() == [round(100 + 10 * (0.25 + 3))]
    w = MappingGraph(Line(plain))(z, half)
    assert SynthesisGraph(Line(plain))(w).unique().tolist() == [round(100 + 10 * (0.25 + 3))]


def test_a_family_that_knows_of_no_noise_is_not_told_of_any():
    class Quiet(Line):
        def synthesis(self, style, label=None, codes=None):
            return super().synthesis(style)

    quiet, w = Quiet(GeneratorSpec("line", 2, 3, 1, latent_dim=3)), torch.zeros(1, 5, 4)
    assert SynthesisGraph(quiet)(w).unique().tolist() == [100]


def test_what_each_takes_and_gives_is_the_contracts():
    whole, mapping, synthesis = (kind(Line()) for kind in (ExportGraph, MappingGraph, SynthesisGraph))
    spec, styles = whole.generator.spec, style_port(5, 4)
    assert (whole.takes, whole.gives) == (input_ports(spec), output_port(spec))
    assert (mapping.takes, mapping.gives) == (mapping_ports(spec), styles)
    assert (synthesis.takes, synthesis.gives) == (synthesis_ports(spec, styles), output_port(spec))
    assert whole.styles == styles


def test_samples_to_trace_with():
    whole = ExportGraph(Line()).samples(3)
    wanted = sample_inputs(SPEC, range(3))
    assert list(whole) == ["z", "truncation", "label", "codes", "noise"]
    assert all(np.array_equal(whole[name], wanted[name]) for name in wanted)
    parts = SynthesisGraph(Line()).samples(3)
    assert list(parts) == ["w", "noise"]
    assert parts["w"].dtype == np.float32
    assert np.array_equal(parts["w"], np.ones((3, 5, 4)))


def test_a_network_is_at_rest_when_it_is_traced():
    generator = Line().train()
    assert not ExportGraph(generator).training
    assert not generator.training


def test_images_are_made_without_gradients():
    seen = []

    class Watching(Line):
        def synthesis(self, *args, **kwargs):
            seen.append(torch.is_inference_mode_enabled())
            return super().synthesis(*args, **kwargs)

    ExportGraph(Watching()).images(sample_inputs(SPEC, range(1)))
    assert seen == [True]
