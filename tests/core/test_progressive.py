"""Progressive networks: at each end of a fade they are their neighbours, and a level stands on its own."""

import copy
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from core.checkpoint import load_generator, save_generator
from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.progressive import LEVEL, at_age, at_level, enlarged, level_widths, reduced
from core.sizes import plan_size
from core.spec import GeneratorSpec
from tests.core.filled import filled

SPECS = {
    "square RGBA": GeneratorSpec("progressive", 32, 32, 4, 8, options={"width": 4, "widest": 16}),
    "grey from 7": GeneratorSpec("progressive", 28, 28, 1, 8, options={"width": 4, "widest": 16}),
    "tall RGB": GeneratorSpec("progressive", 48, 32, 3, 8, options={"width": 8, "widest": 16}, classes=("a", "b")),
}


@pytest.fixture(params=SPECS)
def spec(request):
    return SPECS[request.param]


@pytest.fixture
def generator(spec):
    torch.manual_seed(0)
    return build_generator(spec).eval().requires_grad_(False)


@pytest.fixture
def discriminator(spec):
    torch.manual_seed(1)
    return build_discriminator("progressive", spec, spec.options).requires_grad_(False)


def inputs_for(spec, count=5):
    torch.manual_seed(2)
    return torch.randn(count, spec.latent_dim), torch.arange(count) % 2 if spec.classes else None


def painted(generator, growth, z, label):
    generator.grow(growth)
    return generator.paint(generator.mapping(z), label)


def test_fresh_networks_are_full_grown(generator, discriminator):
    full = (generator.spec.size.doublings, 0.0)
    assert generator.stage() == discriminator.stage() == full


def test_every_level_has_its_size_and_is_enlarged_to_the_full_one(generator):
    z, label = inputs_for(generator.spec)
    size = generator.spec.size
    for level in range(size.doublings + 1):
        young = painted(generator, level * LEVEL, z, label)
        assert young.shape[2:] == (size.base_height << level, size.base_width << level)
        blocks = young.repeat_interleave(1 << (size.doublings - level), 2)
        blocks = blocks.repeat_interleave(1 << (size.doublings - level), 3)
        assert torch.equal(generator(z, label), blocks)


def test_a_fade_starts_as_the_smaller_level_enlarged_and_ends_as_the_larger(generator):
    z, label = inputs_for(generator.spec)
    for level in range(generator.spec.size.doublings):
        smaller, larger = (painted(generator, (level + k) * LEVEL, z, label) for k in (0, 1))
        moments = (1, LEVEL // 4, LEVEL // 2, LEVEL - 1)
        for part, images in ((part, painted(generator, level * LEVEL + part, z, label)) for part in moments):
            expected = enlarged(smaller, 2) * (1 - part / LEVEL) + larger * (part / LEVEL)
            torch.testing.assert_close(images, expected, atol=2e-6, rtol=0)


def test_a_discriminator_at_each_end_of_a_fade_is_its_neighbour(discriminator):
    size, spec = discriminator.spec.size, discriminator.spec
    label = inputs_for(spec)[1]

    def scores(growth, images):
        discriminator.grow(growth)
        return discriminator(images, label)

    for level in range(size.doublings):
        torch.manual_seed(level)
        images = torch.randn(5, spec.channels, size.base_height << (level + 1), size.base_width << (level + 1))
        start = scores(level * LEVEL, reduced(images, 2))
        end = scores((level + 1) * LEVEL, images)
        torch.testing.assert_close(scores(level * LEVEL + 1, images), start, atol=2e-4, rtol=0)
        torch.testing.assert_close(scores((level + 1) * LEVEL - 1, images), end, atol=2e-4, rtol=0)
        assert (start - end).abs().max() > 0.01  # or the two lines above say nothing


def test_only_the_levels_in_use_get_gradients(spec):
    generator = build_generator(spec)
    generator.grow(LEVEL + LEVEL // 2)
    generator(*inputs_for(spec)).square().sum().backward()
    moved = {name.rpartition(".")[0] for name, p in generator.named_parameters() if p.grad is not None}
    assert {name for name in moved if name.startswith("to_image")} == {"to_image.1", "to_image.2"}
    assert {name.split(".")[1] for name in moved if name.startswith("blocks")} == {"0", "1"}


def test_growth_is_saved_and_loaded_and_copied(generator, tmp_path):
    growth = LEVEL + 12_345
    generator.grow(growth)
    save_generator(tmp_path / "g.safetensors", generator)
    loaded = load_generator(tmp_path / "g.safetensors")
    assert loaded.stage() == copy.deepcopy(generator).stage() == (1, 12_345 / LEVEL)
    z, label = inputs_for(generator.spec)
    assert torch.equal(loaded(z, label), generator(z, label))


def test_growth_stays_whole_and_on_the_cpu_whatever_the_network_becomes(generator):
    generator.grow(LEVEL + 1)
    moved = generator.to(torch.bfloat16).to(memory_format=torch.channels_last).to("meta")
    assert next(moved.parameters()).is_meta
    assert (moved.growth.device.type, moved.growth.dtype) == ("cpu", torch.int64)
    assert moved.stage() == (1, 1 / LEVEL)


def test_a_finished_level_is_a_generator_of_its_own(generator):
    z, label = inputs_for(generator.spec)
    for level in range(1, generator.spec.size.doublings + 1):
        images = painted(generator, level * LEVEL, z, label)
        spec, weights = at_level(generator.spec, generator.state_dict(), level)
        smaller = build_generator(spec)
        smaller.load_state_dict(weights)  # strict: nothing is missing and nothing too much
        assert (spec.height, spec.width) == images.shape[2:]
        assert torch.equal(smaller.eval()(z, label), images)


def test_the_level_it_stands_at_is_a_generator_of_its_own(generator):
    z, label = inputs_for(generator.spec)
    size = generator.spec.size
    for level in range(1, size.doublings + 1):
        images = painted(generator, level * LEVEL, z, label)
        smaller = generator.standing()
        assert generator.grown_to == smaller.grown_to == images.shape[2:]
        assert torch.equal(smaller(z, label), images)
        assert not smaller.training
    generator.grow(LEVEL // 2)
    assert generator.grown_to == (size.base_height, size.base_width)
    with pytest.raises(SpecError):
        generator.standing()


@pytest.mark.parametrize("level", [0, 2, 9])
def test_a_level_that_is_not_finished_or_has_no_size_is_refused(generator, level):
    generator.grow(2 * LEVEL - 1)
    with pytest.raises(SpecError, match="levels 1 to 1"):
        at_level(generator.spec, generator.state_dict(), level)


def test_labels_and_codes_change_the_image_and_are_optional():
    spec = replace(SPECS["tall RGB"], codes=2)
    generator = build_generator(spec).eval().requires_grad_(False)
    z = torch.randn(1, 8)
    images = [
        generator(z, torch.tensor([label]), codes)
        for label, codes in ((0, torch.zeros(1, 2)), (1, torch.zeros(1, 2)), (0, torch.ones(1, 2)))
    ]
    assert min((a - b).abs().max() for a, b in ((images[0], images[1]), (images[0], images[2]))) > 0.05
    assert torch.equal(generator(z, torch.tensor([0])), images[0])
    assert generator(z).shape == images[0].shape


def test_widths_double_downwards_and_have_limits():
    size = plan_size(32, 32)
    assert level_widths(size, 4, 16) == [16, 16, 8, 4]
    assert level_widths(size, 1, 1024) == [8, 4, 2, 1]
    assert level_widths(size, 1024, 1) == [1, 1, 1, 1]
    for name, value in product(("width", "widest"), (0, 1025)):
        with pytest.raises(SpecError, match=f"^{name} must be 1 to 1024, not {value}"):
            build_generator(replace(SPECS["square RGBA"], options={name: value}))


def test_a_base_is_as_wide_as_its_level():
    spec = GeneratorSpec("progressive", 16, 16, 3, 8, classes=("a", "b"))
    network = build_discriminator("progressive", spec, {"width": 4})
    assert (network.feature_dim, network.last.weight.shape, network.embed.weight.shape) == (16, (1, 16), (2, 16))
    assert build_generator(SPECS["square RGBA"]).embed is None


def test_growth_counts_in_65_536ths_of_a_level_and_an_exporter_sees_what_was_noted(generator, monkeypatch):
    generator.grow(65_536 + 16_384)
    assert generator.stage() == (1, 0.25)
    assert generator.train().training
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    generator.grow(0)  # there it is a symbol, and cannot be read
    assert generator.stage() == (1, 0.25)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_reduction_is_numpy_s_block_mean(n, h, w, halvings, seed):
    factor = 1 << halvings
    images = np.random.RandomState(seed).uniform(-1, 1, (n, 3, h * factor, w * factor)).astype(np.float32)
    blocks = images.astype(np.float64).reshape(n, 3, h, factor, w, factor).mean(axis=(3, 5))
    given = torch.from_numpy(images)
    np.testing.assert_allclose(reduced(given, factor).numpy(), blocks, atol=1e-6, rtol=0)
    assert (reduced(given, factor) is given) == (factor == 1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_real_images_fade_like_the_networks(discriminator, layout):
    spec, size = discriminator.spec, discriminator.spec.size
    images = torch.randn(2, spec.channels, spec.height, spec.width).to(memory_format=layout)
    for growth in (0, LEVEL // 4, LEVEL, 2 * LEVEL - LEVEL // 4, size.doublings * LEVEL):
        discriminator.grow(growth)
        level, alpha = divmod(growth / LEVEL, 1)
        side = size.base_height << int(level + (alpha > 0))
        sharp = reduced(images, spec.height // side)
        soft = enlarged(reduced(sharp, 2), 2) if alpha else sharp
        seen = at_age(images, discriminator, size)
        torch.testing.assert_close(seen, (1 - alpha) * soft + alpha * sharp, atol=1e-6, rtol=0)
        assert discriminator(seen).shape == (2,)


def test_transparent_pixels_bring_no_colour_into_a_smaller_image():
    from core.pixels import to_pixels, to_values

    straight = torch.tensor([[[[255, 0, 0, 255], [9, 250, 9, 0]], [[255, 0, 0, 255], [0, 0, 0, 0]]]], dtype=torch.uint8)
    mean = to_pixels(reduced(to_values(straight, (-1.0, 1.0)), 2), (-1.0, 1.0))
    assert mean.flatten().tolist() == [255, 0, 0, 128]


class Saved(dict):
    """Weights by name, each to be used once, as Karras et al. 2018 scale them (section 4.1)."""

    def weight(self, name, gain=2**0.5):
        value = self.pop(f"{name}.weight")
        return value * gain / value[0].numel() ** 0.5

    def convolved(self, x, name, gain=2**0.5):
        weight = self.weight(name, gain)
        return F.conv2d(x, weight, self.pop(f"{name}.bias"), padding=weight.shape[-1] // 2)


def even(x):
    """Features of each position, of mean square 1 (section 4.2)."""
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def leaky(x):
    return F.leaky_relu(x, 0.2)


@torch.no_grad()
def test_a_generator_in_a_fade_is_its_layers_one_after_the_other():
    spec = replace(SPECS["tall RGB"], codes=2)
    network = build_generator(spec)
    saved = Saved(filled(network))
    network.grow(LEVEL + LEVEL // 4)
    z, label, codes = torch.randn(3, 8), torch.tensor([1, 0, 1]), torch.randn(3, 2)
    x = torch.cat([even(z), even(saved.pop("embed.weight")[label]), codes], dim=1)
    x = leaky(F.linear(x, saved.weight("project"), saved.pop("project.bias"))).reshape(3, 16, 6, 4)
    x = even(leaky(saved.convolved(even(x), "base_block.2")))
    images = []
    for level, width in ((0, 16), (1, 16)):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = even(leaky(saved.convolved(x, f"blocks.{level}.1")))
        x = even(leaky(saved.convolved(x, f"blocks.{level}.4")))
        assert x.shape == (3, width, 12 << level, 8 << level)
        images.append(saved.convolved(x, f"to_image.{level + 1}", 0.5))
    older, newer = images
    expected = 0.75 * older.repeat_interleave(2, 2).repeat_interleave(2, 3) + 0.25 * newer
    torch.testing.assert_close(network.paint(network.mapping(z), label, codes), expected, rtol=1e-4, atol=1e-5)
    assert {name.rpartition(".")[0] for name in saved} == {"to_image.0", "to_image.3", "blocks.2.1", "blocks.2.4"}


@torch.no_grad()
def test_a_discriminator_in_a_fade_is_its_layers_one_after_the_other():
    spec = SPECS["tall RGB"]
    network = build_discriminator("progressive", spec, spec.options)
    saved = Saved(filled(network))
    network.grow(LEVEL + LEVEL // 4)
    images, label = torch.randn(3, 3, 24, 16), torch.tensor([1, 0, 1])
    x = leaky(saved.convolved(images, "from_image.2.0"))
    x = leaky(saved.convolved(leaky(saved.convolved(x, "blocks.1.0")), "blocks.1.2"))
    x = 0.25 * F.avg_pool2d(x, 2) + 0.75 * leaky(saved.convolved(F.avg_pool2d(images, 2), "from_image.1.0"))
    x = leaky(saved.convolved(leaky(saved.convolved(x, "blocks.0.0")), "blocks.0.2"))
    x = F.avg_pool2d(x, 2)
    x = torch.cat([x, x.std(dim=0, correction=0).mean().expand(3, 1, 6, 4)], dim=1)
    x = leaky(saved.convolved(x, "base_block.1"))
    x = leaky(F.linear(x.flatten(1), saved.weight("base_block.4"), saved.pop("base_block.4.bias")))
    torch.testing.assert_close(network.features(images), x, rtol=1e-4, atol=1e-5)
    assert network.feature_dim == 16
    plain = F.linear(x, saved.weight("last", 1.0), saved.pop("last.bias"))[:, 0]
    torch.testing.assert_close(network(images), plain, rtol=1e-4, atol=1e-5)
    shown = (x * saved.pop("embed.weight")[label]).sum(dim=1) / 4  # the root of 16 features
    torch.testing.assert_close(network(images, label), plain + shown, rtol=1e-4, atol=1e-5)
    unused = {"from_image.0.0", "from_image.3.0", "blocks.2.0", "blocks.2.2"}
    assert {name.rpartition(".")[0] for name in saved} == unused
