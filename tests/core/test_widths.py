"""The widths of every stage of every family, as its paper or its docstring says: shapes of weights, in numbers."""

import pytest
import torch

from core.networks import build_discriminator, build_generator
from core.networks.layers import EqualisedConv2d, EqualisedLinear
from core.networks.progressive import LEVEL
from core.spec import GeneratorSpec
from tests.resting import resting


def shapes(network):
    """Of everything that multiplies, in the order it was built; biases are as long as their layer is wide."""
    return [tuple(p.shape) for p in network.parameters() if p.ndim >= 2]


def spec_of(family, size=16, channels=3, latent=6, classes=(), **options):
    return GeneratorSpec(family, size, size, channels, latent, classes=classes, options=options)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            GeneratorSpec("dcgan", 64, 64, 3, 100, options={"width": 128}),  # figure 1 of Radford et al. 2016
            [(100, 1024, 4, 4), (1024, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 3, 4, 4)],
            id="dcgan, figure 1",
        ),
        pytest.param(
            spec_of("dcgan", 32, upsample="nearest", width=4, extra=1),
            [(6, 32, 4, 4), (16, 32, 3, 3), (8, 16, 3, 3), (4, 8, 3, 3), (4, 4, 3, 3), (3, 4, 3, 3)],
            id="dcgan, resized",
        ),
        pytest.param(spec_of("mlp", 8), [(256, 6), (512, 256), (1024, 512), (192, 1024)], id="mlp"),
        pytest.param(spec_of("upconv", width=4), [(64, 6), (4, 4, 3, 3), (4, 4, 3, 3), (3, 4, 3, 3)], id="upconv"),
        pytest.param(
            spec_of("progressive", width=4, widest=8),
            [
                (128, 6),
                (8, 8, 3, 3),
                (8, 8, 3, 3),
                (8, 8, 3, 3),
                (4, 8, 3, 3),
                (4, 4, 3, 3),
                (3, 8, 1, 1),
                (3, 8, 1, 1),
                (3, 4, 1, 1),
            ],
            id="progressive",
        ),
        pytest.param(
            spec_of("r3gan", width=4, widest=2, blocks=1, expansion=2, group=4),
            [
                (8, 4, 4),
                (8, 6),
                (16, 8, 1, 1),
                (16, 4, 3, 3),
                (8, 16, 1, 1),
                (16, 8, 1, 1),
                (16, 4, 3, 3),
                (8, 16, 1, 1),
                (4, 8, 1, 1),
                (8, 4, 1, 1),
                (8, 4, 3, 3),
                (4, 8, 1, 1),
                (3, 4, 1, 1),
            ],
            id="r3gan",
        ),
        pytest.param(
            spec_of("biggan", width=4, embedding=5, attention=0, latent=7, classes=("a", "b", "c")),
            [(3, 5), (256, 3)]  # parts of 3, 2 and 2
            + 2 * [(16, 7)]
            + 2 * [(8, 7)]
            + [(8, 16, 3, 3), (8, 8, 3, 3), (8, 16, 1, 1)]
            + 2 * [(8, 7)]
            + 2 * [(4, 7)]
            + [(4, 8, 3, 3), (4, 4, 3, 3), (4, 8, 1, 1)]
            + [(3, 4, 3, 3)],
            id="biggan",
        ),
    ],
)
def test_a_generator_has_the_widths_it_says(spec, expected):
    with torch.device("meta"):
        network = build_generator(spec)
    assert shapes(network) == expected


@pytest.mark.parametrize(
    ("family", "options", "expected"),
    [
        ("dcgan", {"width": 4}, [(4, 3, 4, 4), (8, 4, 4, 4), (1, 128)]),
        ("mlp", {"width": 8, "blocks": 3}, [(8, 768), (4, 8), (2, 4), (1, 2)]),
        ("upconv", {"width": 4, "dense": 7}, [(4, 3, 3, 3), (4, 4, 3, 3), (7, 64), (1, 7)]),
        (
            "progressive",
            {"width": 4, "widest": 8},
            [
                (8, 3, 1, 1),
                (8, 3, 1, 1),
                (4, 3, 1, 1),
                (8, 8, 3, 3),
                (8, 8, 3, 3),
                (4, 4, 3, 3),
                (8, 4, 3, 3),
                (8, 9, 3, 3),
                (8, 128),
                (1, 8),
            ],
        ),
        (
            "style",
            {"width": 4},
            [
                (4, 3, 1, 1),
                (4, 4, 3, 3),
                (8, 4, 3, 3),
                (8, 4, 1, 1),
                (8, 8, 3, 3),
                (16, 8, 3, 3),
                (16, 8, 1, 1),
                (16, 17, 3, 3),
                (16, 256),
                (1, 16),
            ],
        ),
    ],
)
def test_a_discriminator_has_the_widths_it_says(family, options, expected):
    with torch.device("meta"):
        network = build_discriminator(family, spec_of("dcgan"), options)
    assert shapes(network) == expected


# Table 2 of Karras et al. 2018, for 1024x1024: the channels and the side of each layer's output, and its parameters.
PROGRESSIVE_GENERATOR = [
    *[(512, 4, "4.2M"), (512, 4, "2.4M")],
    *[(512, 8, "2.4M"), (512, 8, "2.4M"), (512, 16, "2.4M"), (512, 16, "2.4M"), (512, 32, "2.4M"), (512, 32, "2.4M")],
    *[(256, 64, "1.2M"), (256, 64, "590k"), (128, 128, "295k"), (128, 128, "148k"), (64, 256, "74k"), (64, 256, "37k")],
    *[(32, 512, "18k"), (32, 512, "9.2k"), (16, 1024, "4.6k"), (16, 1024, "2.3k"), (3, 1024, "51")],
]
PROGRESSIVE_DISCRIMINATOR = [
    *[(16, 1024, "64"), (16, 1024, "2.3k"), (32, 1024, "4.6k"), (32, 512, "9.2k"), (64, 512, "18k")],
    *[(64, 256, "37k"), (128, 256, "74k"), (128, 128, "148k"), (256, 128, "295k"), (256, 64, "590k")],
    *[(512, 64, "1.2M"), (512, 32, "2.4M"), (512, 32, "2.4M"), (512, 16, "2.4M"), (512, 16, "2.4M")],
    *[(512, 8, "2.4M"), (512, 8, "2.4M"), (512, 4, "2.4M"), (512, 1, "4.2M"), (1, 1, "513")],
]


@pytest.mark.parametrize(
    ("build", "table"), [("generator", PROGRESSIVE_GENERATOR), ("discriminator", PROGRESSIVE_DISCRIMINATOR)]
)
def test_progressive_networks_are_the_paper_s(build, table):
    spec = GeneratorSpec("progressive", 1024, 1024, 3, 512, options={"width": 16, "widest": 512})
    with torch.device("meta"):
        network = (
            build_generator(spec) if build == "generator" else build_discriminator(spec.family, spec, spec.options)
        )
        network.growth = torch.tensor(8 * LEVEL, device="cpu")
    seen = []

    def note(layer, _inputs, output):
        made = output.unflatten(1, (512, 4, 4)) if output.shape[1:] == (512 * 16,) else output
        side = made.shape[-1] if made.ndim == 4 else 1
        seen.append((made.shape[1], side, short(sum(p.numel() for p in layer.parameters()))))

    for layer in network.modules():
        if isinstance(layer, EqualisedLinear | EqualisedConv2d):
            layer.register_forward_hook(note)
    with torch.device("meta"):
        network(torch.empty(4, 512) if build == "generator" else torch.empty(4, 3, 1024, 1024))
    assert seen == table
    used = sum(p.numel() for p in set(network.parameters()) - resting(network))
    assert short(used) == "23.1M"


def short(count: int) -> str:
    """As the table writes it."""
    if count < 1000:
        return str(count)
    return f"{count / 1e3:.{int(count < 10_000)}f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
