"""The widths of every stage of every family, as its paper or its docstring says: shapes of weights, in numbers."""

import pytest
import torch

from core.networks import build_discriminator, build_generator
from core.spec import GeneratorSpec


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
