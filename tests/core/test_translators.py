"""Every translator in the dict, sources of other sizes and channels: it can be trained, saved and loaded."""

import inspect
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.checkpoint import load_generator, save_generator
from core.errors import SpecError
from core.networks import DISCRIMINATORS, TRANSLATORS, build_discriminator, build_maker, build_translator
from core.networks.patch import PatchDiscriminator
from core.networks.translating import InstanceNorm
from core.spec import GeneratorSpec, SourceSpec

# Height, width and channels of the source, and of the target.
SIZES = {
    "same": ((32, 32, 4), (32, 32, 4)),
    "twice as large": ((14, 14, 1), (28, 28, 3)),
    "four times as large": ((8, 12, 3), (32, 48, 4)),
    "half as large": ((48, 32, 3), (24, 16, 1)),
    "of another shape": ((33, 70, 4), (48, 32, 3)),
    "a dot": ((1, 1, 1), (16, 16, 1)),
}
TINY = {"resnet": {"width": 4, "blocks": 1}, "unet": {"width": 4}}
NORMS = ("batch", "instance", "none")
UPS = ("resize", "transposed")
BATCH = 3
# What a spec that names no options was trained with: saved translators load with these, so they stay as they are.
DEFAULTS = {
    "resnet": {"width": 64, "downs": 2, "blocks": 9, "norm": "instance", "up": "resize"},
    "unet": {
        "width": 16,
        "widest": 8,
        "levels": 0,
        "norm": "batch",
        "up": "resize",
        "stem": True,
        "residual": False,
        "dropout": 0.0,
    },
}


def spec_of(family, size="same", **options) -> GeneratorSpec:
    source, (height, width, channels) = SIZES[size]
    source = SourceSpec(*source)
    return GeneratorSpec(
        family, height, width, channels, 0, kind="image", source=source, options=TINY[family] | options
    )


def build(family, size="same", **options):
    torch.manual_seed(0)
    return build_translator(spec_of(family, size, **options))


def sources(network, count=BATCH):
    source = network.spec.source
    return torch.rand(count, source.channels, source.height, source.width) * 2 - 1


@pytest.fixture(params=[(f, s) for f in TRANSLATORS for s in SIZES], ids=" ".join)
def translator(request):
    return build(*request.param)


@pytest.fixture(params=[(f, n, u) for f in TRANSLATORS for n in NORMS for u in UPS], ids=" ".join)
def optional(request):
    family, norm, up = request.param
    return build(family, norm=norm, up=up)


def test_images_have_the_spec_s_shape_and_range(translator):
    spec = translator.spec
    images = translator(sources(translator))
    assert images.shape == (BATCH, spec.channels, spec.height, spec.width)
    assert images.abs().max() <= 1
    assert images.std() > 0.01


@pytest.mark.parametrize("family", TRANSLATORS)
def test_another_value_range_is_the_same_image(family):
    network = build(family).eval()
    shifted = build(family).eval()
    shifted.spec = replace(network.spec, value_range=(0.0, 4.0))
    x = sources(network)
    with torch.no_grad():
        torch.testing.assert_close(shifted(x), 2 * network(x) + 2)


def test_every_parameter_gets_a_gradient(translator):
    images = translator(sources(translator))
    (images * torch.randn_like(images)).sum().backward()
    assert [name for name, p in translator.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_every_norm_and_every_way_up_is_trained(optional):
    images = optional(sources(optional))
    (images * torch.randn_like(images)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in optional.parameters())
    assert 0.01 < images.std() < 0.9


def test_a_picture_alone_is_translated_as_in_a_batch(optional):
    with torch.no_grad():
        optional(sources(optional, 16))  # so that running statistics are not the defaults
        optional.eval()
        x = sources(optional, 5)
        together, alone = optional(x), torch.cat([optional(row[None]) for row in x])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_what_is_normed_has_no_bias(optional):
    """A norm takes it away, and its gradient is 0."""
    convolutions = [m for m in optional.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [m for m in optional.modules() if isinstance(m, nn.BatchNorm2d | InstanceNorm)]
    assert sum(m.bias is None for m in convolutions) == len(norms)


@pytest.mark.parametrize("family", TRANSLATORS)
def test_fresh_weights_have_a_deviation_of_a_fiftieth(family):
    """Section 6.2 of Isola et al. 2017, and of Zhu et al."""
    for norm in ("batch", "instance"):
        network = build(family, norm=norm, width=16)
        weights = [m.weight.detach() for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert float(torch.cat([each.flatten() for each in weights]).std()) == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("family", TRANSLATORS)
def test_instance_norm_knows_no_batch_in_training_either(family):
    network = build(family, norm="instance").train()
    x = sources(network)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(network(x), network.eval()(x), atol=0, rtol=0)


def test_one_picture_is_enough_of_a_batch(optional):
    """CycleGAN's batch: the innermost map may be one pixel, of which no norm makes anything."""
    assert torch.isfinite(optional.train()(sources(optional, 1))).all()


def test_a_saved_translator_is_the_same_when_loaded(translator, tmp_path):
    with torch.no_grad():
        translator(sources(translator, 16))
    save_generator(tmp_path / "t.safetensors", translator)
    loaded = load_generator(tmp_path / "t.safetensors")
    assert (loaded.spec, loaded.training) == (translator.spec, False)
    x = sources(translator)
    with torch.no_grad():
        assert torch.equal(loaded(x), translator.eval()(x))


def test_the_same_random_state_builds_the_same_network(optional):
    torch.manual_seed(0)
    again = build_maker(optional.spec)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), optional.parameters(), strict=True))


@pytest.mark.parametrize("family", TRANSLATORS)
def test_options_have_the_defaults_that_saved_networks_were_trained_with(family):
    options = list(inspect.signature(TRANSLATORS[family]).parameters.values())[1:]  # after the spec
    assert {each.name: each.default for each in options} == DEFAULTS[family]


def test_activations_work_in_place(optional):
    assert all(m.inplace for m in optional.modules() if isinstance(m, nn.ReLU | nn.LeakyReLU))


@pytest.mark.parametrize(
    ("family", "side", "millions", "gflop"),
    [("unet", 64, 1.89, 0.20), ("unet", 128, 2.45, 0.80), ("resnet", 64, 11.38, 6.48), ("resnet", 128, 11.38, 25.92)],
)
def test_a_network_costs_what_its_docstring_says(family, side, millions, gflop):
    spec = replace(spec_of(family), height=side, width=side, source=SourceSpec(side, side, 4), options={})
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = build_translator(spec)
        network(torch.empty(1, 4, side, side))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, abs=0.005)


def test_patches_cost_what_their_docstring_says():
    for side, gflop in ((64, 0.36), (128, 1.55)):
        spec = replace(spec_of("unet"), height=side, width=side, source=SourceSpec(side, side, 4))
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            network = build_discriminator("unet", spec, {"given": True})
            network(torch.empty(1, 4, side, side), source=torch.empty(1, 4, side, side))
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(2.77, abs=0.005)
        assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, abs=0.005)


@pytest.mark.parametrize("family", TRANSLATORS)
def test_patches_judge_what_a_translator_makes(family):
    assert DISCRIMINATORS[family] is PatchDiscriminator
    network = build(family, "four times as large")
    discriminator = build_discriminator(family, network.spec, {"width": 4, "given": True, "field": 16})
    x = sources(network)
    scores = discriminator(network(x), source=x)
    assert (scores.shape[0], scores.ndim) == (BATCH, 3)


@pytest.mark.parametrize(
    ("family", "options", "reason"),
    [
        (
            "unet",
            {"depth": 3},
            "^unet has no option 'depth': it has width, widest, levels, norm, up, stem, residual, dr",
        ),
        ("unet", {"width": 0}, "^width must be 1 to 1024, not 0$"),
        ("unet", {"widest": 65}, "^widest must be 1 to 64, not 65$"),
        ("unet", {"norm": "layer"}, "^norm is 'layer': it must be one of batch, instance, none$"),
        ("unet", {"up": "nearest"}, "^up is 'nearest': it must be one of resize, transposed$"),
        ("unet", {"dropout": 1.0}, r"^dropout must be 0\.0 to 0\.9, not 1\.0$"),
        ("unet", {"levels": 6}, r"^levels must be 0 \(all\), or 1 to 5 at this size, not 6$"),
        ("unet", {"levels": -1}, r"^levels must be 0 \(all\), or 1 to 5 at this size, not -1$"),
        ("resnet", {"blocks": 65}, "^blocks must be 0 to 64, not 65$"),
        ("resnet", {"downs": 4}, "^downs must be 1 to 3, not 4$"),
        ("resnet", {"norm": "layer"}, "^norm is 'layer'"),
        ("resnet", {"up": "nearest"}, "^up is 'nearest'"),
        ("resnet", {"width": 2048}, "^width must be 1 to 1024, not 2048$"),
    ],
)
def test_what_cannot_be_built_says_why(family, options, reason):
    with pytest.raises(SpecError, match=reason):
        build_translator(spec_of(family, **options))


def test_a_family_that_is_not_there_is_named():
    with pytest.raises(SpecError, match=r"^there is no network family 'dcgan': choose from resnet, unet$"):
        build_translator(replace(spec_of("unet"), family="dcgan"))
