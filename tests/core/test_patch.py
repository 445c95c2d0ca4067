"""PatchGAN: what each score sees, derived by gradient, and the whole computed again from its weights."""

import inspect

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator
from core.networks.patch import PLANS, Layer, PatchDiscriminator, field_of
from core.networks.translating import InstanceNorm
from core.spec import GeneratorSpec, SourceSpec
from tests.core.filled import filled

PLAIN = GeneratorSpec("dcgan", 32, 48, 3, 8)
GIVEN = GeneratorSpec("unet", 32, 48, 3, 0, kind="image", source=SourceSpec(16, 24, 4))
IMAGES = torch.randn(2, 3, 32, 48)


def seen(discriminator, images, source=None):
    """Height and width of what the middle score sees of ``images``: where its gradient is not 0."""
    images = images.requires_grad_()
    scores = discriminator(images, source=source)
    middle = scores[0, scores.shape[1] // 2, scores.shape[2] // 2]
    (gradient,) = torch.autograd.grad(middle, images)
    assert not gradient[1:].any()
    touched = gradient[0].abs().sum(dim=0) > 0
    rows, columns = touched.any(dim=1).nonzero().flatten(), touched.any(dim=0).nonzero().flatten()
    assert touched.sum() == len(rows) * len(columns)
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


@pytest.mark.parametrize("field", [field for field in PLANS if field < 500])
def test_the_receptive_field_by_gradient_is_the_number_in_the_config(field):
    side = 64 if field < 40 else 256 if field < 160 else 1024
    spec = GeneratorSpec("dcgan", side, side, 1, 8)
    with torch.no_grad():
        network = PatchDiscriminator(spec, width=1, field=field, norm="none")
        for parameter in network.parameters():
            parameter.abs_()  # so that no paths cancel each other, and no rectifier rests
    assert seen(network, torch.ones(1, 1, side, side)) == (field, field)


def test_the_largest_fields_by_formula():
    assert [field for field, layers in PLANS.items() if field_of(layers) != field] == []
    assert (min(PLANS), max(PLANS)) == (1, 766)


@pytest.mark.parametrize(
    ("field", "kernels"),
    [  # section 6.1.2 of Isola et al. 2017; the pixels' has 1x1 convolutions; 26 is what FACTS' probe had
        (1, [(1, 1)] * 3),
        (16, [(4, 2)] + [(4, 1)] * 2),
        (70, [(4, 2)] * 3 + [(4, 1)] * 2),
        (286, [(4, 2)] * 5 + [(4, 1)] * 2),
        (26, [(4, 2)] * 2 + [(3, 1)] * 2),
        (34, [(4, 2)] * 2 + [(4, 1)] * 2),
        (38, [(4, 2)] * 2 + [(3, 1), (3, 1), (4, 1)]),
    ],
)
def test_the_paper_s_discriminators_and_what_lies_between(field, kernels):
    assert PLANS[field] == tuple(Layer(*kernel) for kernel in kernels)


def test_a_field_is_counted_from_the_last_layer():
    assert field_of([]) == 1
    assert field_of([Layer(3, 1)] * 4) == 9
    assert field_of([Layer(4, 2), Layer(4, 2)]) == 10  # two of stride 2 side by side, and a pixel around each twice
    assert field_of([Layer(3, 1), Layer(4, 2)]) == 6
    assert field_of([Layer(4, 2), Layer(3, 1)]) == 8


def test_widths_double_up_to_eight_times():
    network = PatchDiscriminator(GeneratorSpec("dcgan", 256, 256, 3, 8), width=2, field=286)
    widths = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [2, 4, 8, 16, 16, 16, 1]
    assert network.feature_dim == 16


@torch.no_grad()
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_it_strides_norms_all_but_the_first_and_the_last_and_leaks(norm, given):
    options = {"width": 3, "field": 16, "norm": norm, "given": given}
    network = build_discriminator("unet", GIVEN if given else PLAIN, options)
    saved = filled(network)
    source = torch.randn(2, 4, 16, 24)
    x = IMAGES
    if given:
        x = torch.cat([x, F.interpolate(source, scale_factor=2, mode="bilinear")], dim=1)
    x = F.leaky_relu(F.conv2d(x, saved.pop("body.0.weight"), saved.pop("body.0.bias"), 2, 1), 0.2)
    assert x.shape == (2, 3, 16, 24)
    x = F.conv2d(x, saved.pop("body.2.weight"), saved.pop("body.2.bias") if norm == "none" else None, 1, 1)
    if norm == "batch":
        parts = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(saved.pop(f"body.3.{part}") for part in parts))
    elif norm == "instance":
        apart = x - x.mean(dim=(2, 3), keepdim=True)
        x = apart / (apart.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
    x = F.leaky_relu(x, 0.2)
    torch.testing.assert_close(network.features(IMAGES, source=source), x, rtol=1e-4, atol=1e-5)
    x = F.conv2d(x, saved.pop("last.weight"), saved.pop("last.bias"), 1, 1)[:, 0]
    assert x.shape == (2, 14, 22)
    torch.testing.assert_close(network(IMAGES, source=source), x, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.score(network.features(IMAGES, source=source)), x, rtol=1e-4, atol=1e-5)
    assert not saved


def test_spectral_norm_is_in_every_layer_and_keeps_what_it_measures():
    network = build_discriminator("unet", PLAIN, {"width": 4, "field": 34, "norm": "spectral"}).eval()
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 4
    for layer in layers:
        divided = layer.spectral(layer.weight).flatten(1)
        torch.testing.assert_close(torch.linalg.matrix_norm(divided, 2), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_options_have_the_defaults_that_runs_go_on_with():
    options = list(inspect.signature(PatchDiscriminator).parameters.values())[1:]  # after the spec
    assert {each.name: each.default for each in options} == {"width": 64, "field": 70, "norm": "batch", "given": False}


def test_activations_work_in_place():
    network = build_discriminator("unet", PLAIN, {"width": 2, "field": 34})
    assert [m.inplace for m in network.modules() if isinstance(m, nn.LeakyReLU)] == [True] * 3


def test_fresh_weights_have_a_deviation_of_a_fiftieth():
    network = build_discriminator("unet", PLAIN, {"width": 32, "field": 34})
    weights = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d)])
    assert float(weights.detach().std()) == pytest.approx(0.02, rel=0.02)


def test_a_source_is_seen_where_it_is_given_and_nowhere_else():
    sighted = build_discriminator("unet", GIVEN, {"width": 4, "field": 16, "given": True}).eval()
    blind = build_discriminator("unet", GIVEN, {"width": 4, "field": 16}).eval()
    one, other = torch.zeros(2, 4, 16, 24), torch.ones(2, 4, 16, 24)
    assert not torch.equal(sighted(IMAGES, source=one), sighted(IMAGES, source=other))
    assert torch.equal(blind(IMAGES, source=one), blind(IMAGES))
    with pytest.raises(SpecError, match=r"^this discriminator judges an image with its source: it must be given$"):
        sighted(IMAGES)


def test_maps_of_one_pixel_are_not_normed():
    """Instance norm would leave 0 of them, and batch norm refuses one image."""
    spec = GeneratorSpec("dcgan", 8, 8, 1, 8)
    for norm, kind in (("instance", InstanceNorm), ("batch", nn.BatchNorm2d)):
        network = build_discriminator("unet", spec, {"width": 2, "field": 54, "norm": norm})  # maps of 4, 2, 1 and 1
        assert sum(isinstance(m, kind) for m in network.modules()) == 1
        assert torch.isfinite(network(torch.randn(1, 1, 8, 8))).all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"field": 71}, r"^field is 71: at 48x32 it must be one of 1, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 22, 26, "),
        ({"field": 286}, r"^field is 286: at 48x32 it must be one of 1, .*, 126, 158, 222$"),
        ({"norm": "layer"}, r"^norm is 'layer': it must be one of batch, instance, spectral, none$"),
        ({"width": 0}, r"^width must be 1 to 1024, not 0$"),
        ({"given": True}, r"^given shows the source to the discriminator: there is none, set given to false$"),
    ],
)
def test_what_cannot_be_built_says_why(options, reason):
    with pytest.raises(SpecError, match=reason):
        build_discriminator("unet", PLAIN, options)


def test_the_shorter_side_decides_what_fits():
    for height, width in ((16, 64), (64, 16)):
        spec = GeneratorSpec("dcgan", height, width, 3, 8)
        with pytest.raises(
            SpecError, match=r"^field is 70: .* 14, 16, 18, 20, 22, 26, 30, 34, 38, 42, 46, 54, 62, 78, 110$"
        ):
            build_discriminator("unet", spec, {"field": 70})
        assert build_discriminator("unet", spec, {"field": 34, "width": 1})(torch.zeros(1, 3, height, width)).numel()


def test_pixels_are_judged_one_by_one():
    network = build_discriminator("unet", PLAIN, {"field": 1, "width": 2, "norm": "none"})
    assert network(IMAGES).shape == (2, 32, 48)


def test_an_example_is_what_it_takes():
    options = {"field": 16, "width": 2, "norm": "none"}
    alone, given = (build_discriminator("unet", GIVEN, {"given": given, **options}) for given in (False, True))
    shapes = [[tuple(each.shape) for each in network.example()] for network in (alone, given)]
    assert shapes == [[(1, 3, 32, 48)], [(1, 3, 32, 48), (1,), (1, 4, 16, 24)]]
    assert given.example()[1].dtype == torch.int64
    assert all(network(*network.example()).shape == (1, 14, 22) for network in (alone, given))
