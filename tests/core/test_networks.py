"""Every family in the dicts, three sizes: a generator and a discriminator that can be trained, saved and loaded."""

import inspect

import pytest
import torch
from torch import nn

from core.checkpoint import load_generator, save_generator
from core.errors import SpecError
from core.networks import DISCRIMINATORS, GENERATORS, build_discriminator, build_generator
from core.networks.layers import MinibatchStandardDeviation, projection
from core.networks.patch import PatchDiscriminator
from core.spec import GeneratorSpec
from tests.resting import resting

SIZES = {"square RGBA": (32, 32, 4), "grey from 7": (28, 28, 1), "tall RGB": (48, 32, 3)}
# A family not named here is built with its own defaults.
TINY = {
    "dcgan": {"width": 4},
    "progressive": {"width": 8, "widest": 16},
    "r3gan": {"width": 8, "widest": 2, "group": 4},
    "style": {"width": 4, "style_dim": 8, "mapping_layers": 2},
}
TINY_DISCRIMINATOR = {"dcgan": {"width": 4}, "progressive": {"width": 8, "widest": 16}, "style": {"width": 4}}
TINY_DISCRIMINATOR["r3gan"] = TINY["r3gan"]
TINY_DISCRIMINATOR |= {"resnet": {"width": 4, "norm": "instance"}, "unet": {"width": 4, "field": 34}}
BATCH = 3
# What a spec that names no options was trained with: saved generators load with these, so they stay as they are.
DEFAULTS = {
    "biggan": {"width": 64, "embedding": 64, "attention": 16},
    "dcgan": {"width": 64, "upsample": "transposed", "slope": 0.0, "momentum": 0.1, "extra": 0},
    "mlp": {"width": 256, "blocks": 3},
    "progressive": {"width": 64, "widest": 512},
    "r3gan": {"width": 384, "widest": 2, "blocks": 2, "expansion": 2, "group": 16},
    "stacked": {"width": 32, "features": 128},
    "style": {"width": 64, "style_dim": 512, "mapping_layers": 8, "noise_rate": 1.0},
    "upconv": {"width": 64},
}
DISCRIMINATOR_DEFAULTS = {
    "biggan": {"width": 64, "attention": 16},
    "dcgan": {"width": 64, "norm": "batch", "minibatch_std": False, "momentum": 0.1},
    "mlp": {"width": 512, "blocks": 2},
    "progressive": {"width": 64, "widest": 512},
    "r3gan": DEFAULTS["r3gan"],
    "stacked": {"width": 32},
    "style": {"width": 64},
    "upconv": {"width": 64, "dense": 256},
}
LEARNS = {  # what changes the image besides the latent
    "biggan": (True, False),
    "dcgan": (True, True),
    "mlp": (True, True),
    "progressive": (True, False),
    "r3gan": (True, False),
    "stacked": (True, False),
    "style": (True, False),
    "upconv": (True, True),
}


def spec_of(family, size, **changes) -> GeneratorSpec:
    height, width, channels = SIZES[size]
    values = {"options": TINY.get(family, {}), **changes}
    return GeneratorSpec(family, height, width, channels, 8, **values)


def seeded(build, *args):
    torch.manual_seed(0)
    return build(*args)


@pytest.fixture(params=[(f, s) for f in GENERATORS for s in SIZES], ids=" ".join)
def generator(request):
    return seeded(build_generator, spec_of(*request.param))


@pytest.fixture(params=[(f, s) for f in DISCRIMINATORS for s in SIZES], ids=" ".join)
def discriminator(request):
    family, size = request.param
    return seeded(build_discriminator, family, spec_of("dcgan", size), TINY_DISCRIMINATOR.get(family, {}))


def images_for(discriminator):
    spec = discriminator.spec
    return torch.rand(BATCH, spec.channels, spec.height, spec.width) * 2 - 1


def test_images_have_the_spec_s_shape_and_range(generator):
    spec = generator.spec
    images = generator(torch.randn(BATCH, spec.latent_dim))
    assert images.shape == (BATCH, spec.channels, spec.height, spec.width)
    low, high = spec.value_range
    assert torch.isfinite(images).all()
    # Families without a tanh may overshoot; the exported graph clamps. Twice the range is no longer an image.
    assert images.min() >= 2 * low - high
    assert images.max() <= 2 * high - low


def test_every_parameter_of_a_generator_gets_a_gradient(generator):
    images = generator(torch.randn(BATCH, generator.spec.latent_dim))
    (images * torch.randn_like(images)).sum().backward()
    assert without_gradient(generator) == []


def test_every_parameter_of_a_discriminator_gets_a_gradient(discriminator):
    discriminator(images_for(discriminator)).square().sum().backward()
    assert without_gradient(discriminator) == []


def without_gradient(network):
    return [
        name
        for name, p in network.named_parameters()
        if p not in resting(network)
        if p.grad is None or not torch.isfinite(p.grad).all() or p.numel() == 0
    ]


def test_a_discriminator_gives_finite_scores_for_every_image(discriminator):
    scores = discriminator(images_for(discriminator))
    assert scores.shape[0] == BATCH
    assert scores.ndim == (3 if isinstance(discriminator, PatchDiscriminator) else 1)
    assert torch.isfinite(scores).all()


def test_gradients_of_gradients_are_finite(discriminator):
    """What R1 and R2 need, next to where images are flat."""
    images = torch.zeros_like(images_for(discriminator)).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    gradient.square().sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in discriminator.parameters())


def test_truncation_0_gives_every_row_the_mean_image(generator):
    z = torch.randn(BATCH, generator.spec.latent_dim)
    with torch.no_grad():
        images = generator.eval()(z, truncation=torch.zeros(BATCH, 1))
        mean = generator.synthesis(generator.latent_mean.expand(BATCH, -1))
    torch.testing.assert_close(images, images[:1].expand_as(images))
    torch.testing.assert_close(images, mean)


def test_truncation_1_changes_nothing(generator):
    z = torch.randn(BATCH, generator.spec.latent_dim)
    with torch.no_grad():
        generator.eval()
        torch.testing.assert_close(generator(z, truncation=torch.ones(BATCH, 1)), generator(z))


def test_a_row_does_not_depend_on_its_batch(generator):
    z = torch.randn(BATCH, generator.spec.latent_dim)
    with torch.no_grad():
        generator.eval()
        torch.testing.assert_close(generator(z)[1:2], generator(z[1:2]))


def test_a_saved_generator_is_the_same_when_loaded(generator, tmp_path):
    with torch.no_grad():
        generator(torch.randn(16, generator.spec.latent_dim))  # so that running statistics are not the defaults
    save_generator(tmp_path / "g.safetensors", generator)
    loaded = load_generator(tmp_path / "g.safetensors")
    assert loaded.spec == generator.spec
    assert not loaded.training
    z = torch.randn(BATCH, generator.spec.latent_dim)
    with torch.no_grad():
        assert torch.equal(loaded(z), generator.eval()(z))


def test_the_same_random_state_builds_the_same_network(generator):
    again = seeded(build_generator, generator.spec)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), generator.parameters(), strict=True))


@pytest.fixture(scope="module", params=GENERATORS)
def by_default(request):
    """A generator and a discriminator without options, and without memory."""
    with torch.device("meta"):
        spec = spec_of(request.param, "square RGBA", options={})
        return build_generator(spec), build_discriminator(request.param, spec, {})


def test_options_have_the_defaults_that_saved_networks_were_trained_with(by_default):
    for network, defaults in zip(by_default, (DEFAULTS, DISCRIMINATOR_DEFAULTS), strict=True):
        options = list(inspect.signature(type(network)).parameters.values())[1:]  # after the spec
        assert {each.name: each.default for each in options} == defaults[by_default[0].spec.family]


def test_a_family_says_what_its_images_follow(by_default):
    generator, _ = by_default
    assert (generator.learns_classes, generator.learns_codes) == LEARNS[generator.spec.family]


def test_activations_work_in_place(by_default):
    """A map kept twice is half the memory of a network."""
    rectifiers = [m for network in by_default for m in network.modules() if isinstance(m, nn.ReLU | nn.LeakyReLU)]
    assert all(each.inplace for each in rectifiers) or by_default[0].spec.family == "progressive"


@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_dcgan_upsamples_both_ways(upsample):
    spec = spec_of("dcgan", "tall RGB", options={"width": 4, "upsample": upsample})
    assert build_generator(spec)(torch.randn(2, 8)).shape == (2, 3, 48, 32)


def test_dcgan_discriminator_options():
    spec = spec_of("dcgan", "grey from 7")
    options = {"width": 4, "norm": "none", "minibatch_std": True}
    discriminator = build_discriminator("dcgan", spec, options)
    assert discriminator(torch.zeros(8, 1, 28, 28)).shape == (8,)
    assert not any("BatchNorm" in type(module).__name__ for module in discriminator.modules())


@pytest.mark.parametrize(
    ("family", "options", "reason"),
    [
        ("nothing", {}, "choose from"),
        ("dcgan", {"depth": 3}, "no option 'depth': it has width, upsample"),
        ("dcgan", {"width": 0}, "width"),
        ("dcgan", {"width": "wide"}, "width is 'wide': it must look like 64"),
        ("dcgan", {"width": True}, "width is True"),
        ("dcgan", {"width": 4.5}, "width is 4.5"),
        ("dcgan", {"upsample": "bicubic"}, "transposed or nearest"),
    ],
)
def test_what_cannot_be_built_says_why(family, options, reason):
    with pytest.raises(SpecError, match=reason):
        build_generator(GeneratorSpec(family, 32, 32, 4, 8, options=options))


def test_an_option_looks_like_its_default():
    spec = GeneratorSpec("dcgan", 16, 16, 1, 8)
    for options in ({"momentum": 1}, {"momentum": 0.5}, {"minibatch_std": True}, {"norm": "layer"}):
        build_discriminator("dcgan", spec, {"width": 4, **options})
    wrong = {"momentum": ("0.1", True, None), "minibatch_std": (1, 0.0, "yes"), "norm": (1, True), "width": (4.0, True)}
    for name, value in ((name, value) for name, values in wrong.items() for value in values):
        with pytest.raises(SpecError, match=f"^dcgan's option {name} is {value!r}: it must look like "):
            build_discriminator("dcgan", spec, {name: value})
    with pytest.raises(SpecError, match=r"^dcgan has no option 'spec': it has width, norm, minibatch_std, momentum$"):
        build_discriminator("dcgan", spec, {"spec": 1})
    with pytest.raises(SpecError, match=r"^there is no network family 'none': choose from biggan, dcgan, mlp, prog"):
        build_discriminator("none", spec, {})


def test_minibatch_standard_deviation_by_hand():
    x = torch.tensor([0.0, 2.0, 4.0, 4.0]).reshape(4, 1, 1, 1).expand(4, 2, 3, 3)
    out = MinibatchStandardDeviation(2)(x)
    assert torch.equal(out[:, :2], x)
    expected = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(4, 1, 1).expand(4, 3, 3)
    torch.testing.assert_close(out[:, 2], expected, atol=2e-4, rtol=0)


def test_a_projection_is_the_one_hot_class_times_its_matrix_times_the_features():
    embed, features, label = torch.nn.Embedding(3, 5), torch.randn(4, 5), torch.tensor([2, 0, 2, 1])
    one_hot = torch.eye(3)[label]  # y of Miyato and Koyama 2018: f(x, y) = yᵀ V φ(x) + ψ(φ(x))
    expected = torch.einsum("nk,kd,nd->n", one_hot, embed.weight, features)
    torch.testing.assert_close(projection(features, embed, label), expected, atol=1e-6, rtol=0)


def test_resized_maps_make_no_checkerboard_where_transposed_convolutions_do():
    """The power at a period of two pixels beside that of the next two periods, in images of fresh networks."""

    def checkerboard(family):
        network = seeded(build_generator, GeneratorSpec(family, 32, 32, 1, 64))
        images = network(torch.randn(64, 64)).detach()[:, 0]
        power = torch.fft.fft2(images).abs().square().mean(dim=0)  # (32, 32)
        along = power.sum(dim=0) + power.sum(dim=1)
        return float(along[16] / along[14:16].mean())

    assert checkerboard("upconv") < 1  # falling towards high frequencies, as in photographs
    assert checkerboard("dcgan") > 2
