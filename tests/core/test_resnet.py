"""The residual translator, computed again from its weights, and what its options make of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.networks import build_translator
from core.networks.resnet import Residual
from core.spec import GeneratorSpec, SourceSpec
from tests.core.test_unet import Reference


def build(source, target, **options):
    """A tiny one; source and target are height, width, channels."""
    height, width, channels = target
    options = {"width": 3, "blocks": 2} | options
    spec = GeneratorSpec(
        "resnet", height, width, channels, 0, kind="image", source=SourceSpec(*source), options=options
    )
    torch.manual_seed(0)
    return build_translator(spec)


def reflected(x, by):
    """The picture with what a mirror at the middle of its border pixels shows, as NumPy has it."""
    for axis in (2, 3):
        sides = x.shape[axis]
        rows = torch.tensor([abs(i) if i < sides else 2 * (sides - 1) - i for i in range(-by, sides + by)])
        x = x.index_select(axis, rows)
    return x


@torch.no_grad()
@pytest.mark.parametrize("up", ["resize", "transposed"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_c7_d_r_u_c7(norm, up):
    network = build((16, 24, 3), (16, 24, 4), norm=norm, up=up, downs=2)
    ref, x = Reference(network, norm, up), torch.randn(2, 3, 16, 24)
    source = x
    step = 1 if norm == "none" else 2  # layers of a convolution: with its norm or without
    place = 1

    def rectified(made):
        nonlocal place
        x = F.relu(ref.normed(made, f"layers.{place + 1}"))
        place += step + 1
        return x

    x = rectified(ref.convolution(reflected(x, 3), f"layers.{place}"))
    assert x.shape == (2, 3, 16, 24)
    for channels in (6, 12):
        x = rectified(ref.convolution(x, f"layers.{place}", 2, 1))
        assert x.shape[1] == channels
    assert x.shape[2:] == (4, 6)
    for _ in range(2):
        name = f"layers.{place}.layers"
        seen = F.relu(ref.normed(ref.convolution(reflected(x, 1), f"{name}.1"), f"{name}.2"))
        second = 2 + step
        x = x + ref.normed(ref.convolution(reflected(seen, 1), f"{name}.{second + 1}"), f"{name}.{second + 2}")
        place += 1
    for channels in (6, 3):
        x = rectified(ref.doubled(x, f"layers.{place}"))
        assert x.shape[1] == channels
    x = torch.tanh(ref.convolution(reflected(x, 3), f"layers.{place + 1}"))
    torch.testing.assert_close(network(source), x, rtol=1e-4, atol=1e-5)
    assert not ref.saved


def test_at_256_pixels_the_paper_s_widths():
    """Section 7.2 of Zhu et al. 2017, and the number of parameters that their code prints: 11.378 M."""
    with torch.device("meta"):
        network = build((256, 256, 3), (256, 256, 3), width=64, blocks=9, up="transposed")
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256] + 18 * [256] + [128, 64, 3]
    # Theirs has 3x3 where ours has 4x4 transposed convolutions, and biases before norms, which take them away.
    theirs = 11_378_179 + 7 * (256 * 128 + 128 * 64) - (64 + 128 + 18 * 256 + 256 + 128 + 64)
    assert sum(p.numel() for p in network.parameters()) == theirs


@pytest.mark.parametrize(
    ("source", "target", "halved", "doubled"),
    [(32, 32, 2, 2), (16, 32, 1, 2), (64, 32, 3, 2), (8, 32, 0, 2), (20, 32, 2, 2)],
)
def test_a_source_is_halved_as_often_as_it_takes_to_meet(source, target, halved, doubled):
    network = build((source, source, 1), (target, target, 1), up="transposed")
    strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    transposed = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert (len(strided), len(transposed)) == (halved, doubled)
    assert sum(isinstance(m, Residual) for m in network.modules()) == 2


def test_without_norm_blocks_begin_as_nothing():
    network = build((16, 16, 1), (16, 16, 1), norm="none")
    block = next(m for m in network.modules() if isinstance(m, Residual))
    x = torch.randn(1, 12, 4, 4)
    assert torch.equal(block(x), x)
    assert block.layers[1].weight.any()  # or its gradient would be 0 for ever
    normed = next(m for m in build((16, 16, 1), (16, 16, 1)).modules() if isinstance(m, Residual))
    assert not torch.equal(normed(x), x)
