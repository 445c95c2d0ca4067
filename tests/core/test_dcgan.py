"""DCGAN, computed again from its weights, and what fresh weights are."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.dcgan import DCGANDiscriminator, DCGANGenerator, check_width, initialise
from core.networks.layers import MinibatchStandardDeviation
from core.spec import GeneratorSpec
from tests.core.filled import filled

SPEC = GeneratorSpec("dcgan", 16, 24, 3, 5, classes=("a", "b", "c"), codes=2)
LABEL = torch.tensor([2, 0])


def normed(x, saved, name):
    return F.batch_norm(x, *(saved.pop(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")))


@torch.no_grad()
@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_a_generator_projects_doubles_norms_and_rectifies(upsample, slope):
    options = {"width": 4, "upsample": upsample, "slope": slope, "extra": 2}
    network = build_generator(GeneratorSpec("dcgan", 16, 24, 3, 5, classes=SPEC.classes, codes=2, options=options))
    saved = filled(network)
    z, codes = torch.randn(2, 5), torch.randn(2, 2)
    x = torch.cat([z, saved.pop("embed.weight")[LABEL], codes], dim=1)

    def stage(x, name):
        return F.leaky_relu(normed(x, saved, name), slope)

    x = torch.einsum("ni,iohw->nohw", x, saved.pop("project.0.weight"))
    assert x.shape == (2, 8 if upsample == "transposed" else 16, 4, 6)
    x = stage(x, "project.1")
    if upsample == "transposed":
        x = stage(F.conv_transpose2d(x, saved.pop("stages.0.0.weight"), stride=2, padding=1), "stages.0.1")
    else:
        for place in (0, 1):
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = stage(F.conv2d(x, saved.pop(f"stages.{place}.0.1.weight"), padding=1), f"stages.{place}.1")
            assert x.shape == (2, 8 >> place, 8 << place, 12 << place)
    for place in (0, 1):
        x = stage(F.conv2d(x, saved.pop(f"polish.{place}.0.weight"), padding=1), f"polish.{place}.1")
    image = saved.pop("image.0.weight"), saved.pop("image.0.bias")
    x = F.conv_transpose2d(x, *image, 2, 1) if upsample == "transposed" else F.conv2d(x, *image, 1, 1)
    torch.testing.assert_close(network(z, LABEL, codes), torch.tanh(x), rtol=1e-4, atol=1e-5)
    assert x.shape == (2, 3, 16, 24)
    assert not saved


@torch.no_grad()
@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_discriminator_strides_norms_all_but_the_first_and_leaks(norm, compare):
    network = build_discriminator("dcgan", SPEC, {"width": 4, "norm": norm, "minibatch_std": compare})
    saved = filled(network)
    images = torch.randn(2, 3, 16, 24)
    x = torch.cat([images, saved.pop("label.maps.weight")[LABEL].reshape(2, 1, 16, 24)], dim=1)
    x = F.leaky_relu(F.conv2d(x, saved.pop("halve.0.0.weight"), saved.pop("halve.0.0.bias"), 2, 1), 0.2)
    x = F.conv2d(x, saved.pop("halve.1.0.weight"), saved.pop("halve.1.0.bias") if norm == "none" else None, 2, 1)
    if norm == "batch":
        x = normed(x, saved, "halve.1.1")
    elif norm == "layer":
        x = F.layer_norm(x, x.shape[1:])
        shape = (1, -1, 1, 1)
        x = x * saved.pop("halve.1.1.weight").reshape(shape) + saved.pop("halve.1.1.bias").reshape(shape)
    x = F.leaky_relu(x, 0.2)
    if compare:
        x = MinibatchStandardDeviation()(x)
    assert x.shape == (2, 9 if compare else 8, 4, 6)
    assert network.feature_dim == x[0].numel()
    torch.testing.assert_close(network.features(images, LABEL), x.flatten(1), rtol=1e-4, atol=1e-5)
    expected = F.linear(x.flatten(1), saved.pop("last.weight"), saved.pop("last.bias"))[:, 0]
    torch.testing.assert_close(network(images, LABEL), expected, rtol=1e-4, atol=1e-5)
    assert not saved


def test_without_classes_there_is_nothing_to_embed():
    plain = GeneratorSpec("dcgan", 8, 8, 1, 5, options={"width": 4})
    assert build_generator(plain).embed is None
    discriminator = build_discriminator("dcgan", plain, {"width": 4})
    assert discriminator.label is None
    assert discriminator.halve[0][0].in_channels == 1


def test_widths_never_exceed_eight_times_the_width():
    with torch.device("meta"):
        spec = GeneratorSpec("dcgan", 128, 128, 3, 5, options={"width": 2})
        generator, discriminator = build_generator(spec), build_discriminator("dcgan", spec, {"width": 2})
    assert [stage[0].in_channels for stage in generator.stages] == [16, 16, 8, 4]
    assert [stage[0].out_channels for stage in discriminator.halve] == [2, 4, 8, 16, 16]


def test_running_statistics_take_the_share_asked_for():
    spec = GeneratorSpec("dcgan", 16, 16, 3, 5, options={"width": 4, "momentum": 0.3, "extra": 1})
    for network in (build_generator(spec), build_discriminator("dcgan", spec, {"width": 4, "momentum": 0.3})):
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms
        assert all(norm.momentum == 0.3 for norm in norms)


@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_fresh_weights_vary_by_a_fiftieth(upsample):
    """Radford et al. 2016, section 4."""
    torch.manual_seed(0)
    spec = GeneratorSpec("dcgan", 16, 16, 3, 60, options={"width": 32, "upsample": upsample, "extra": 1})
    for network in (build_generator(spec), build_discriminator("dcgan", spec, {"width": 32})):
        for name, weight in network.named_parameters():
            if name.endswith("bias"):
                assert torch.equal(weight, torch.zeros_like(weight)), name
            else:
                mean, count = float(weight.ndim == 1), weight.numel()
                assert weight.mean().item() == pytest.approx(mean, abs=5 * 0.02 / math.sqrt(count)), name
                assert weight.std().item() == pytest.approx(0.02, rel=3.5 / math.sqrt(2 * count)), name


@pytest.mark.parametrize(
    "layer", [nn.Linear(50, 400), nn.Conv2d(10, 20, 10), nn.ConvTranspose2d(10, 20, 10), nn.BatchNorm2d(20_000)]
)
def test_every_kind_of_layer_is_initialised(layer):
    torch.manual_seed(0)
    nn.init.ones_(layer.bias)
    initialise(layer)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert layer.weight.mean().item() == pytest.approx(float(isinstance(layer, nn.BatchNorm2d)), abs=6e-4)
    assert not layer.bias.any()


def test_a_width_has_limits():
    check_width(1)
    check_width(1024)
    for width in (0, 1025):
        with pytest.raises(SpecError, match=f"width must be 1 to 1024, not {width}"):
            check_width(width)
        for build in (DCGANGenerator, DCGANDiscriminator):
            with pytest.raises(SpecError, match="width must be"):
                build(SPEC, width)


def test_an_option_that_is_no_choice_is_refused():
    with pytest.raises(SpecError, match="norm is 'group': it must be batch, layer or none"):
        build_discriminator("dcgan", SPEC, {"norm": "group"})
