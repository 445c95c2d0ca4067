"""What translators share, piece by piece."""

import pytest
import torch
from torch.nn import functional as F

from core.errors import SpecError
from core.networks.translating import (
    InstanceNorm,
    ResizedConv2d,
    check_between,
    check_choice,
    entry_step,
    norm_layers,
    ranged,
    resized,
    sides_at,
)
from core.sizes import plan_size
from core.spec import GeneratorSpec, SourceSpec


def spec_of(source, target):
    return GeneratorSpec("unet", *target, 3, 0, kind="image", source=SourceSpec(*source, 3))


@pytest.mark.parametrize(
    ("source", "target", "entry"),
    [
        ((64, 64), (64, 64), (64, 64)),
        ((16, 16), (32, 32), (16, 16)),
        ((32, 32), (16, 16), (32, 32)),
        ((17, 16), (32, 32), (32, 32)),
        ((33, 70), (48, 32), (192, 128)),  # the smallest that holds it
        ((96, 64), (48, 32), (96, 64)),
        ((97, 64), (48, 32), (192, 128)),
        ((7, 7), (28, 28), (14, 14)),  # the base itself would leave nothing to halve
        ((1, 1), (64, 64), (8, 8)),
        ((2048, 3), (8, 8), (2048, 2048)),
    ],
)
def test_a_source_enters_at_the_smallest_size_that_holds_it(source, target, entry):
    spec = spec_of(source, target)
    assert sides_at(spec.size, entry_step(spec)) == entry


def test_there_is_no_entry_without_a_source():
    with pytest.raises(SpecError, match=r"^unet translates images: its spec must say what its source is$"):
        entry_step(GeneratorSpec("unet", 16, 16, 3, 8))


def test_sides_are_halved_and_doubled():
    size = plan_size(24, 16)
    assert [sides_at(size, step) for step in (-2, -1, 0, 1, 2, 3)] == [
        *[(96, 64), (48, 32), (24, 16), (12, 8), (6, 4), (3, 2)]
    ]


def test_pictures_are_resized_by_interpolation_and_left_alone_at_their_size():
    x = torch.rand(2, 3, 8, 12)
    assert resized(x, 8, 12) is x
    for sides in ((16, 24), (16, 12), (24, 12), (11, 13), (4, 6)):
        expected = F.interpolate(x, sides, mode="bilinear")
        torch.testing.assert_close(resized(x, *sides), expected, atol=1e-6, rtol=0)


def test_a_whole_factor_is_a_constant_of_the_graph(monkeypatch):
    """Where the graph would compute a size from its input's."""
    asked = []
    monkeypatch.setattr(
        F, "interpolate", lambda x, size=None, scale_factor=None, mode=None: asked.append((size, scale_factor))
    )
    for sides in ((16, 36), (16, 12), (8, 24), (12, 12), (8, 18), (4, 6)):
        resized(torch.zeros(1, 1, 8, 12), *sides)
    assert asked == [
        *[(None, (2.0, 3.0)), (None, (2.0, 1.0)), (None, (1.0, 2.0))],
        *[((12, 12), None), ((8, 18), None), ((4, 6), None)],
    ]


def test_any_number_is_in_the_range():
    x = torch.tensor([-1e9, 0.0, 1e9])
    assert ranged(x, (-1.0, 1.0)).tolist() == [-1, 0, 1]
    assert ranged(x, (0.0, 1.0)).tolist() == [0, 0.5, 1]
    assert ranged(x, (-2.0, 4.0)).tolist() == [-2, 1, 4]
    x = torch.randn(100)
    assert torch.equal(ranged(x, (-1.0, 1.0)), torch.tanh(x))
    torch.testing.assert_close(ranged(x, (-1.0, 2.0)), 1.5 * torch.tanh(x) + 0.5)
    torch.testing.assert_close(ranged(x, (-2.0, 1.0)), 1.5 * torch.tanh(x) - 0.5)
    torch.testing.assert_close(ranged(x, (2.0, 3.0)), torch.tanh(x) / 2 + 2.5)


def test_instance_norm_is_per_image_and_channel():
    x = 5 + 3 * torch.randn(2, 3, 4, 6)
    apart = x - x.mean(dim=(2, 3), keepdim=True)
    expected = apart / (apart.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(InstanceNorm()(x), expected, atol=1e-5, rtol=1e-5)
    two = torch.tensor([1.0, 1.0, 3.0, 3.0]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(InstanceNorm()(two).flatten(), torch.tensor([-1.0, -1, 1, 1]), atol=1e-4, rtol=0)
    assert not list(InstanceNorm().parameters())


def test_a_map_of_one_pixel_has_no_norm():
    for norm in ("batch", "instance", "none"):
        assert norm_layers(norm, 3, 1, 1) == []
        assert len(norm_layers(norm, 3, 1, 2)) == len(norm_layers(norm, 3, 2, 1)) == (norm != "none")


@pytest.mark.parametrize("bias", [True, False])
def test_a_resized_convolution_is_nearest_neighbours_and_a_convolution(bias):
    layer = ResizedConv2d(3, 5, bias).double()
    assert (layer.bias is not None) == bias
    x = torch.randn(2, 3, 4, 7, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, atol=1e-12, rtol=0)
    wanted = (x, *layer.parameters())
    seen = torch.randn_like(expected)
    for got, right in zip(
        *(torch.autograd.grad((made * seen).sum(), wanted) for made in (layer(x), expected)), strict=True
    ):
        torch.testing.assert_close(got, right, atol=1e-11, rtol=0)


def test_options_are_checked_to_their_ends():
    check_choice("up", "b", ("a", "b"))
    for value in (1, 3):
        check_between("blocks", value, 1, 3)
    for value in (0, 4):
        with pytest.raises(SpecError, match=f"^blocks must be 1 to 3, not {value}$"):
            check_between("blocks", value, 1, 3)
    with pytest.raises(SpecError, match=r"^up is 'c': it must be one of a, b$"):
        check_choice("up", "c", ("a", "b"))
