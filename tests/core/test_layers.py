"""The layers that families share, each against its equation on numbers small enough to work out by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.networks.layers import (
    ClassEmbedding,
    EqualisedConv2d,
    EqualisedLinear,
    LabelMap,
    MinibatchStandardDeviation,
    PixelNorm,
    conditioned,
    conditioned_dim,
    doubled,
    projection,
    rectifier,
    split_by_widths,
)
from core.spec import GeneratorSpec


def spread_of(images: torch.Tensor) -> float:
    """Karras et al. 2018, section 3: the deviation of each feature over the group, averaged."""
    return images.var(dim=0, correction=0).sqrt().mean().item()


@pytest.mark.parametrize(("batch", "group", "sizes"), [(8, 4, [4, 4]), (6, 4, [6]), (3, 4, [3]), (6, 2, [2, 2, 2])])
def test_every_group_of_neighbours_gets_its_own_deviation(batch, group, sizes):
    torch.manual_seed(0)
    x = torch.randn(batch, 3, 2, 5) * torch.arange(1, batch + 1).reshape(-1, 1, 1, 1)
    out = MinibatchStandardDeviation(group)(x)
    assert out.shape == (batch, 4, 2, 5)
    assert torch.equal(out[:, :3], x)
    expected = torch.cat([torch.full((len(part), 2, 5), spread_of(part)) for part in x.split(sizes)])
    torch.testing.assert_close(out[:, 3], expected, rtol=1e-5, atol=0)


def test_groups_are_of_four_and_a_batch_of_equals_has_the_root_of_the_epsilon():
    assert MinibatchStandardDeviation().group == 4
    images = torch.full((4, 2, 3, 3), 0.7, requires_grad=True)
    out = MinibatchStandardDeviation()(images)
    torch.testing.assert_close(out[:, 2], torch.full((4, 3, 3), 1e-4), rtol=1e-3, atol=0)
    out.sum().backward()
    assert images.grad.isfinite().all()


def test_a_linear_layer_s_rate_changes_its_parameters_and_not_its_start():
    torch.manual_seed(0)
    plain = EqualisedLinear(9, 40_000, gain=3.0, start=0.5)
    torch.manual_seed(0)
    slow = EqualisedLinear(9, 40_000, gain=3.0, rate=0.01, start=0.5)
    assert plain.weight.std().item() == pytest.approx(1, rel=0.01)
    assert slow.weight.std().item() == pytest.approx(100, rel=0.01)
    assert plain.scale == pytest.approx(3 / 3)
    assert slow.scale == pytest.approx(3 * 0.01 / 3)
    assert torch.equal(plain.bias, torch.full((40_000,), 0.5))
    assert torch.equal(slow.bias, torch.full((40_000,), 50.0))
    x = torch.randn(2, 9)
    torch.testing.assert_close(plain(x), F.linear(x, plain.weight, plain.bias))
    torch.testing.assert_close(slow(x), plain(x), rtol=1e-4, atol=1e-5)


def test_equalised_layers_start_at_their_defaults():
    torch.manual_seed(0)
    linear, convolution = EqualisedLinear(16, 3), EqualisedConv2d(4, 1000, 3)
    assert (linear.scale, linear.rate) == (1 / 4, 1)
    assert convolution.scale == pytest.approx(1 / 6)
    assert torch.equal(linear.bias, torch.zeros(3))
    assert torch.equal(convolution.bias, torch.zeros(1000))
    assert convolution.weight.shape == (1000, 4, 3, 3)
    assert convolution.weight.std().item() == pytest.approx(1, rel=0.02)
    for layer in (linear, convolution):
        assert dict(layer.named_parameters()).keys() == {"weight", "bias"}
    assert EqualisedLinear(16, 3, bias=False).bias is None
    assert EqualisedConv2d(4, 2, 3, bias=False).bias is None


def test_a_rate_of_2_and_none_for_a_bias_that_is_not_there():
    torch.manual_seed(0)
    fast, bare = EqualisedLinear(4, 3, rate=2.0, start=0.5), EqualisedLinear(4, 3, rate=0.01, bias=False)
    x = torch.randn(2, 4)
    torch.testing.assert_close(fast(x), x @ (fast.weight * 2 / 2).T + 0.5)
    torch.testing.assert_close(bare(x), x @ (bare.weight * 0.01 / 2).T)


def test_padding_keeps_the_size_whatever_the_kernel():
    for kernel in (1, 3, 5, 7):
        assert EqualisedConv2d(2, 3, kernel)(torch.zeros(1, 2, 8, 9)).shape == (1, 3, 8, 9)


def test_pixel_norm_by_hand():
    x = torch.tensor([[[3.0, 0.0]], [[4.0, 1e-4]]]).permute(1, 0, 2)  # one image, two features, two positions
    expected = torch.tensor([[[3 / math.sqrt(12.5), 0.0], [4 / math.sqrt(12.5), 1e-4 / math.sqrt(1.5e-8)]]])
    torch.testing.assert_close(PixelNorm()(x), expected, rtol=1e-5, atol=0)


def test_a_class_starts_as_a_direction_of_length_1():
    torch.manual_seed(0)
    rows = ClassEmbedding(200, 50).weight.detach()
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(200))
    assert rows.mean().abs() < 0.01
    assert (rows @ rows.T).fill_diagonal_(0).abs().max() < 0.7  # no two alike: 1 / sqrt(50) is their deviation


def test_a_label_is_shown_as_a_picture_after_the_image_s_channels():
    labels = LabelMap(3, 2, 4)
    assert labels.maps.weight.shape == (3, 8)
    images = torch.randn(2, 5, 2, 4)
    shown = labels.append_map(images, torch.tensor([2, 0]))
    assert torch.equal(shown[:, :5], images)
    assert torch.equal(shown[:, 5], labels.maps.weight[[2, 0]].reshape(2, 2, 4))
    without = labels.append_map(images, None)
    assert torch.equal(without, torch.cat([images, torch.zeros(2, 1, 2, 4)], dim=1))


@pytest.mark.parametrize(("slope", "negative"), [(0.0, 0.0), (0.2, -0.6), (0.01, -0.03)])
def test_a_rectifier_with_a_slope_leaks(slope, negative):
    assert rectifier(slope)(torch.tensor([-3.0, 2.0])).tolist() == pytest.approx([negative, 2.0])
    assert type(rectifier(slope)) is (nn.LeakyReLU if slope else nn.ReLU)
    assert rectifier(slope).inplace  # a map kept twice is half the memory of a network


def test_doubling_by_hand_borders_included():
    row = torch.tensor([0.0, 4.0]).reshape(1, 1, 1, 2)
    expected = torch.tensor([[0.0, 1.0, 3.0, 4.0]] * 2)
    torch.testing.assert_close(doubled(row)[0, 0], expected)
    torch.testing.assert_close(doubled(row.transpose(2, 3))[0, 0], expected.T)


def test_parts_lie_one_after_the_other():
    x = torch.arange(12).reshape(2, 6)
    assert [part.tolist() for part in split_by_widths(x, [1, 3, 2])] == [
        [[0], [6]],
        [[1, 2, 3], [7, 8, 9]],
        [[4, 5], [10, 11]],
    ]


@pytest.mark.parametrize(
    ("classes", "codes", "width"), [((), 0, 2), (("a", "b"), 0, 4), ((), 3, 5), (("a", "b"), 3, 7)]
)
def test_latent_class_and_codes_lie_beside_each_other(classes, codes, width):
    spec = GeneratorSpec("dcgan", 16, 16, 3, 2, classes=classes, codes=codes)
    assert conditioned_dim(spec) == width
    z, label, given = torch.tensor([[1.0, 2.0]]), torch.tensor([1]), torch.tensor([[7.0, 8.0, 9.0]])
    embed = nn.Embedding.from_pretrained(torch.tensor([[3.0, 4.0], [5.0, 6.0]])) if classes else None

    kind, more = [5.0, 6.0] if classes else [], [7.0, 8.0, 9.0] if codes else []
    none, nothing = [0.0] * len(kind), [0.0] * len(more)
    assert conditioned(z, spec, embed, label, given).tolist() == [[1.0, 2.0, *kind, *more]]
    assert conditioned(z, spec, embed, None, given).tolist() == [[1.0, 2.0, *none, *more]]
    assert conditioned(z, spec, None, label, given).tolist() == [[1.0, 2.0, *none, *more]]
    assert conditioned(z, spec, embed, label, None).tolist() == [[1.0, 2.0, *kind, *nothing]]
    assert (conditioned(z, spec, embed, label, given) is z) == (width == 2)  # or a graph has a join of one


def test_a_projection_by_hand_and_nothing_without_a_class():
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.5, 1.0]])
    embed, label = nn.Embedding.from_pretrained(torch.tensor([[5.0, -6.0]])), torch.tensor([0, 0, 0])
    assert projection(features, embed, label).tolist() == [5 - 12, 15 - 24, 2.5 - 6]
    assert projection(features, embed, None).tolist() == [0, 0, 0]
    assert projection(features, None, label).tolist() == [0, 0, 0]
