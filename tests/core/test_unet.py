"""U-Net, computed again from its weights, and what its options make of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_translator
from core.spec import GeneratorSpec, SourceSpec
from tests.core.filled import filled


def build(source, target, **options):
    """A tiny U-Net; source and target are height, width, channels."""
    height, width, channels = target
    spec = GeneratorSpec(
        *("unet", height, width, channels, 0),
        kind="image",
        source=SourceSpec(*source),
        options={"width": 3, "widest": 4} | options,
    )
    torch.manual_seed(0)
    return build_translator(spec)


class Reference:
    """The network of the papers, from what is saved of ours."""

    def __init__(self, network, norm, up):
        self.saved, self.norm, self.up = filled(network), norm, up

    def convolution(self, x, name, *how):
        return F.conv2d(x, self.saved.pop(f"{name}.weight"), self.saved.pop(f"{name}.bias", None), *how)

    def normed(self, x, name):
        if self.norm == "none":
            return x
        if self.norm == "instance":
            apart = x - x.mean(dim=(2, 3), keepdim=True)
            return apart / (apart.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.saved.pop(f"{name}.{part}") for part in parts))

    def doubled(self, x, name):
        if self.up == "transposed":
            return F.conv_transpose2d(
                x, self.saved.pop(f"{name}.weight"), self.saved.pop(f"{name}.bias", None), stride=2, padding=1
            )
        return self.convolution(x.repeat_interleave(2, 2).repeat_interleave(2, 3), name, 1, 1)


@torch.no_grad()
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("up", ["resize", "transposed"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_maps_go_down_and_up_and_are_shown_on_the_way(norm, up, residual):
    network = build((16, 24, 3), (16, 24, 3), norm=norm, up=up, residual=residual, levels=2)
    ref, source = Reference(network, norm, up), torch.randn(2, 3, 16, 24)
    stem = F.leaky_relu(ref.convolution(source, "stem.0", 1, 1), 0.2)
    first = F.leaky_relu(ref.normed(ref.convolution(stem, "down.0.0", 2, 1), "down.0.1"), 0.2)
    innermost = F.relu(ref.convolution(first, "down.1.0", 2, 1))
    assert (stem.shape[1:], first.shape[1:], innermost.shape[1:]) == ((3, 16, 24), (6, 8, 12), (12, 4, 6))
    x = F.relu(ref.normed(ref.doubled(innermost, "up.0.0"), "up.0.1"))
    assert x.shape[1:] == (6, 8, 12)
    x = F.relu(ref.normed(ref.doubled(torch.cat([x, first], 1), "up.1.0"), "up.1.1"))
    x = ref.convolution(torch.cat([x, stem, source], 1), "image", 1, 1)
    torch.testing.assert_close(network(source), source + x if residual else torch.tanh(x), rtol=1e-4, atol=1e-5)
    assert not ref.saved


@torch.no_grad()
@pytest.mark.parametrize("up", ["resize", "transposed"])
def test_without_a_stem_it_is_the_paper_s(up):
    network = build((16, 16, 1), (16, 16, 4), up=up, stem=False, levels=4)
    ref, source = Reference(network, "batch", up), torch.randn(2, 1, 16, 16)
    kept = [F.leaky_relu(ref.convolution(source, "down.0.0", 2, 1), 0.2)]  # no norm in the first
    for name in ("down.1", "down.2"):
        kept.append(F.leaky_relu(ref.normed(ref.convolution(kept[-1], f"{name}.0", 2, 1), f"{name}.1"), 0.2))
    x = F.relu(ref.convolution(kept[-1], "down.3.0", 2, 1))  # nor in the innermost
    assert [each.shape[1:] for each in (*kept, x)] == [(3, 8, 8), (6, 4, 4), (12, 2, 2), (12, 1, 1)]
    for name in ("up.0", "up.1", "up.2"):
        x = F.relu(ref.normed(ref.doubled(x, f"{name}.0"), f"{name}.1"))
        x = torch.cat([x, kept.pop()], 1)
    x = torch.tanh(ref.doubled(x, "image.0"))
    torch.testing.assert_close(network(source), x, rtol=1e-4, atol=1e-5)
    assert x.shape == (2, 4, 16, 16)
    assert not ref.saved


@torch.no_grad()
def test_a_smaller_source_is_doubled_once_more_and_shown_at_the_end():
    network = build((8, 8, 3), (16, 16, 3), levels=1)
    ref, source = Reference(network, "batch", "resize"), torch.randn(2, 3, 8, 8)
    stem = F.leaky_relu(ref.convolution(source, "stem.0", 1, 1), 0.2)
    innermost = F.relu(ref.convolution(stem, "down.0.0", 2, 1))
    assert (stem.shape[1:], innermost.shape[1:]) == ((6, 8, 8), (12, 4, 4))  # as wide as others of their size
    x = F.relu(ref.normed(ref.doubled(innermost, "up.0.0"), "up.0.1"))
    x = F.relu(ref.normed(ref.doubled(torch.cat([x, stem], 1), "up.1.0"), "up.1.1"))
    enlarged = F.interpolate(source, (16, 16), mode="bilinear")
    x = torch.tanh(ref.convolution(torch.cat([x, enlarged], 1), "image", 1, 1))
    torch.testing.assert_close(network(source), x, rtol=1e-4, atol=1e-5)
    assert not ref.saved


@torch.no_grad()
def test_a_larger_source_is_halved_once_more():
    network = build((16, 16, 3), (8, 8, 3), levels=2)
    ref, source = Reference(network, "batch", "resize"), torch.randn(2, 3, 16, 16)
    stem = F.leaky_relu(ref.convolution(source, "stem.0", 1, 1), 0.2)
    first = F.leaky_relu(ref.normed(ref.convolution(stem, "down.0.0", 2, 1), "down.0.1"), 0.2)
    innermost = F.relu(ref.convolution(first, "down.1.0", 2, 1))
    assert (stem.shape[1:], first.shape[1:], innermost.shape[1:]) == ((3, 16, 16), (3, 8, 8), (6, 4, 4))
    x = F.relu(ref.normed(ref.doubled(innermost, "up.0.0"), "up.0.1"))
    reduced = F.avg_pool2d(source, 2)
    x = torch.tanh(ref.convolution(torch.cat([x, first, reduced], 1), "image", 1, 1))
    torch.testing.assert_close(network(source), x, rtol=1e-4, atol=1e-5)
    assert not ref.saved


def test_at_256_pixels_the_paper_s_widths():
    """Section 6.1.1: C64-C128-C256-C512-C512-C512-C512-C512, and CD512-CD512-CD512-C512-C256-C128-C64."""
    options = {"width": 64, "widest": 8, "levels": 8, "stem": False, "up": "transposed", "dropout": 0.5}
    with torch.device("meta"):
        network = build((256, 256, 3), (256, 256, 3), **options)
    down = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    up = [(m.in_channels, m.out_channels) for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert down == [64, 128, 256, 512, 512, 512, 512, 512]
    assert up == [(512, 512)] + 3 * [(1024, 512)] + [(1024, 256), (512, 128), (256, 64), (128, 3)]
    assert [any(isinstance(m, nn.Dropout) for m in each) for each in network.up] == 3 * [True] + 4 * [False]
    parameters = sum(p.numel() for p in network.parameters())
    # 54.414 M, as the authors' code prints; it has no biases in the two of these layers that have no norm.
    assert parameters == 54_413_955 + 64 + 512


def test_dropout_is_of_training_alone():
    network, plain = build((16, 16, 1), (16, 16, 1), dropout=0.5), build((16, 16, 1), (16, 16, 1))
    x = torch.randn(2, 1, 16, 16)
    assert not torch.equal(network(x), network(x))
    assert torch.equal(plain.eval()(x), build((16, 16, 1), (16, 16, 1), dropout=0.5).eval()(x))
    assert torch.equal(network.eval()(x), network(x))


def test_a_stem_lets_the_last_layer_see_every_line():
    """Through skips alone: what the innermost map is made of is put to 0."""
    x = torch.zeros(1, 1, 32, 32)
    line = x.clone()
    line[..., 5, 7] = 1
    crisp, blurred = (build((32, 32, 1), (32, 32, 1), stem=stem, norm="none").eval() for stem in (True, False))
    for network in (crisp, blurred):
        network.up.apply(lambda m: isinstance(m, nn.Conv2d) and nn.init.zeros_(m.weight))
    changed = (crisp(line) != crisp(x))[0, 0].nonzero()
    assert changed.amin(dim=0).tolist() == [3, 5]
    assert changed.amax(dim=0).tolist() == [7, 9]  # 5x5 pixels: two 3x3 convolutions
    wide = (blurred(line) != blurred(x))[0, 0].nonzero()
    assert (wide.amax(dim=0) - wide.amin(dim=0) + 1).tolist() == [6, 6]  # two of half the size, and one around them


@pytest.mark.parametrize(
    ("source", "target", "levels", "possible"),
    [
        ((16, 16, 1), (16, 16, 1), 5, "1 to 4"),  # down to one pixel
        ((28, 28, 1), (28, 28, 1), 3, "1 to 2"),  # 7 is odd
        ((16, 24, 1), (16, 24, 1), 4, "1 to 3"),  # 4x6
        ((12, 8, 1), (24, 16, 1), 3, "1 to 2"),  # 6x4 is the base, and 3 is odd
        ((32, 32, 1), (8, 8, 1), 2, "3 to 5"),  # or it would stay larger than the target
        ((1, 1, 1), (16, 16, 1), 4, "1 to 3"),
    ],
)
def test_a_source_is_halved_while_it_can_be(source, target, levels, possible):
    with pytest.raises(SpecError, match=rf"^levels must be 0 \(all\), or {possible} at this size, not {levels}$"):
        build(source, target, levels=levels)
    least, most = (int(end) for end in possible.split(" to "))
    for able in (least, most):
        assert len(build(source, target, levels=able).down) == able


@pytest.mark.parametrize(
    ("source", "target", "halved"), [(16, 16, 4), (28, 28, 2), (8, 16, 3), (32, 16, 5), (1, 16, 3)]
)
def test_by_itself_it_goes_down_as_far_as_it_can(source, target, halved):
    assert len(build((source, source, 1), (target, target, 1)).down) == halved


def test_a_residual_wants_the_channels_of_the_source():
    with pytest.raises(SpecError, match=r"^residual adds to the source: 3 channels cannot become 4$"):
        build((16, 16, 3), (16, 16, 4), residual=True)


@pytest.mark.parametrize("up", ["resize", "transposed"])
def test_without_norm_weights_have_the_gain_of_their_rectifier(up):
    """He et al. 2015: N(0, 2 / inputs), of which a transposed convolution's pixels each see a quarter."""
    network = build((16, 16, 1), (16, 16, 1), width=64, norm="none", up=up, levels=2)
    weights = [m.weight.detach() for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    inputs = [9, 64 * 16, 128 * 16, 256 * (9 if up == "resize" else 4), 256 * (9 if up == "resize" else 4)]
    for weight, count in zip(weights, inputs, strict=False):
        assert float(weight.std()) == pytest.approx((2 / count) ** 0.5, rel=0.06)
        assert abs(float(weight.mean())) < 0.1 * float(weight.std())
    assert float(weights[-1].std()) == pytest.approx(0.02, rel=0.06)
