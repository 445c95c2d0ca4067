"""BigGAN's parts against their equations."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import build_discriminator, build_generator
from core.networks.biggan import Attention, ConditionalNorm, DiscriminatorBlock, GeneratorBlock
from core.spec import GeneratorSpec


def used(layer):
    """A layer of norm 1 as a plain convolution. Its fresh weight is orthogonal, so nothing is divided."""
    return lambda x: F.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def with_biases(module):
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return module.eval()


@torch.no_grad()
def test_a_conditional_norm_s_gain_and_bias_are_linear_in_the_condition():
    torch.manual_seed(0)
    norm, x, condition = ConditionalNorm(3, 2), 5 * torch.randn(8, 3, 4, 4) + 2, torch.randn(8, 2)
    normed = (x - x.mean(dim=(0, 2, 3), keepdim=True)) / (
        x.var(dim=(0, 2, 3), keepdim=True, correction=0) + 1e-5
    ).sqrt()
    gain, bias = (condition @ layer.weight.T for layer in (norm.gain, norm.bias))
    expected = normed * (1 + gain)[:, :, None, None] + bias[:, :, None, None]
    torch.testing.assert_close(norm(x, condition), expected, rtol=1e-4, atol=1e-5)
    assert norm.gain.bias is None
    assert norm.bias.bias is None
    assert norm.norm.weight is None


@torch.no_grad()
def test_a_generator_block_doubles_on_both_ways():
    torch.manual_seed(0)
    block, x, condition = with_biases(GeneratorBlock(4, 3, 2)), torch.randn(2, 4, 3, 5), torch.randn(2, 2)
    y = F.relu(block.norms[0](x, condition)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    y = used(block.second)(F.relu(block.norms[1](used(block.first)(y), condition)))
    shorter = used(block.skip)(x).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(block(x, condition), y + shorter, rtol=1e-4, atol=1e-5)
    assert len(list(block.parameters())) == 4 + 6  # of the norms and of the convolutions
    assert [layer.kernel_size for layer in (block.first, block.second, block.skip)] == [(3, 3), (3, 3), (1, 1)]


@torch.no_grad()
@pytest.mark.parametrize(("halve", "first"), [(True, False), (False, True), (True, True)])
def test_a_discriminator_block_halves_their_sum(halve, first):
    torch.manual_seed(0)
    block, x = with_biases(DiscriminatorBlock(2, 3, halve=halve, first=first)), torch.randn(2, 2, 4, 6)
    y = used(block.second)(F.relu(used(block.first)(x if first else F.relu(x)))) + used(block.skip)(x)
    expected = y.reshape(2, 3, 2, 2, 3, 2).mean(dim=(3, 5)) if halve else y
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_a_discriminator_block_halves_and_rectifies_unless_told_otherwise():
    block = DiscriminatorBlock(2, 3)
    assert (block.halve, block.is_first) == (True, False)


@torch.no_grad()
def test_attention_gathers_by_a_softmax_over_every_second_position():
    """Zhang et al. 2019, equations 1 to 3, position by position."""
    torch.manual_seed(0)
    attention, x = Attention(16).eval(), 2 * torch.randn(2, 16, 4, 6)
    assert torch.equal(attention(x), x)  # it starts as the identity
    attention.strength.fill_(0.7)
    layers = (attention.query, attention.key, attention.value, attention.out)
    assert [tuple(layer.weight.shape[:2]) for layer in layers] == [(2, 16), (2, 16), (8, 16), (16, 8)]
    assert all(layer.bias is None for layer in layers)
    assert "strength" in dict(attention.named_parameters())

    query, key, value, out = (layer.weight[:, :, 0, 0] for layer in layers)
    expected = x.clone()
    for n in range(2):
        keys = torch.einsum("oi,ihw->ohw", key, x[n]).reshape(2, 2, 2, 3, 2).amax(dim=(2, 4)).flatten(1)
        values = torch.einsum("oi,ihw->ohw", value, x[n]).reshape(8, 2, 2, 3, 2).amax(dim=(2, 4)).flatten(1)
        for row in range(4):
            for column in range(6):
                share = torch.softmax((query @ x[n, :, row, column]) @ keys, dim=0)
                expected[n, :, row, column] += 0.7 * (out @ (values @ share))
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_few_channels_still_attend():
    layers = Attention(1)
    assert [layer.weight.shape[0] for layer in (layers.query, layers.key, layers.value, layers.out)] == [1, 1, 1, 1]


@torch.no_grad()
def test_each_block_is_steered_by_its_own_part_beside_the_class():
    torch.manual_seed(0)
    spec = GeneratorSpec("biggan", 16, 16, 3, 8, classes=("a", "b"), options={"width": 2, "embedding": 3})
    generator = with_biases(build_generator(spec))
    assert generator.parts == [4, 2, 2]  # 8 over a base and two blocks; the base has the remainder
    for attention in generator.attend:
        if isinstance(attention, Attention):
            attention.strength.fill_(1.0)
    z, label = torch.randn(3, 8), torch.tensor([1, 0, 1])
    for given in (label, None):
        kind = torch.zeros(3, 3) if given is None else generator.embed.weight[given]
        x = (z[:, :4] @ generator.project.weight.T + generator.project.bias).reshape(3, 8, 4, 4)
        x = generator.attend[0](generator.blocks[0](x, torch.cat([z[:, 4:6], kind], dim=1)))
        x = generator.attend[1](generator.blocks[1](x, torch.cat([z[:, 6:], kind], dim=1)))
        norm, last = generator.last[0], generator.last[2]
        x = F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))
        torch.testing.assert_close(generator(z, given), torch.tanh(used(last)(x)), rtol=1e-4, atol=1e-5)


def test_parts_have_the_widths_of_the_options():
    with torch.device("meta"):
        spec = GeneratorSpec("biggan", 96, 64, 3, 11, options={"width": 2, "embedding": 7, "attention": 0})
        plain = build_generator(spec)
        classy = build_generator(replace(spec, classes=("a", "b", "c")))
        discriminator = build_discriminator("biggan", spec, {"width": 2, "attention": 0})
        judge = build_discriminator("biggan", classy.spec, {"width": 2, "attention": 0})
    assert plain.parts == classy.parts == [3, 2, 2, 2, 2]
    assert plain.base == (8, 6, 4)
    assert plain.project.weight.shape == (8 * 6 * 4, 3)
    for generator, condition in ((plain, 2), (classy, 2 + 7)):
        assert [shape_of(block.first) for block in generator.blocks] == [(8, 8, 3), (8, 8, 3), (4, 8, 3), (2, 4, 3)]
        assert {norm.gain.in_features for block in generator.blocks for norm in block.norms} == {condition}
        assert {norm.bias.in_features for block in generator.blocks for norm in block.norms} == {condition}
        assert generator.last[0].num_features == 2
        assert shape_of(generator.last[2]) == (3, 2, 3)
    assert (plain.embed, discriminator.embed) == (None, None)
    assert (classy.embed.weight.shape, judge.embed.weight.shape) == ((3, 7), (3, 8))
    widths = [(2, 3, 3), (4, 2, 3), (8, 4, 3), (8, 8, 3), (8, 8, 3)]
    assert [shape_of(block.first) for block in discriminator.blocks] == widths
    assert (discriminator.feature_dim, discriminator.last.weight.shape) == (8, (1, 8))


def shape_of(convolution):
    return convolution.out_channels, convolution.in_channels, *{*convolution.kernel_size}


@pytest.mark.parametrize(("attention", "places"), [(0, []), (8, [0]), (16, [1]), (32, [2])])
def test_maps_of_the_height_asked_for_attend(attention, places):
    options = {"width": 2, "attention": attention}
    with torch.device("meta"):
        generator = build_generator(GeneratorSpec("biggan", 32, 32, 3, 8, options=options))
        discriminator = build_discriminator("biggan", generator.spec, options)
    assert [step for step, module in enumerate(generator.attend) if isinstance(module, Attention)] == places
    attended = [module.out.weight.shape[0] for module in discriminator.modules() if isinstance(module, Attention)]
    assert attended == {0: [], 8: [8], 16: [4], 32: []}[attention]  # no maps of 32 once the first block has halved


@torch.no_grad()
def test_a_discriminator_s_features_are_summed_and_its_score_is_projected():
    torch.manual_seed(0)
    spec = GeneratorSpec("biggan", 8, 8, 3, 8, classes=("a", "b"))
    discriminator = build_discriminator("biggan", spec, {"width": 2}).eval()
    blocks = list(discriminator.blocks)
    assert [(block.halve, block.is_first) for block in blocks] == [(False, True), (True, False)]
    images, label = torch.randn(3, 3, 8, 8), torch.tensor([1, 0, 1])
    features = F.relu(blocks[1](blocks[0](images))).sum(dim=(2, 3))
    torch.testing.assert_close(discriminator.features(images), features)
    assert discriminator.feature_dim == features.shape[1] == 4
    plain = features @ discriminator.last.weight[0] + discriminator.last.bias
    shown = (features * discriminator.embed.weight[label]).sum(dim=1)
    torch.testing.assert_close(discriminator(images, label), plain + shown, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(discriminator(images), plain, rtol=1e-4, atol=1e-4)


def test_a_latent_of_fewer_values_than_parts_is_refused():
    build_generator(GeneratorSpec("biggan", 16, 16, 3, 3, options={"width": 2}))
    with pytest.raises(SpecError, match="latent_dim is 2: 3 parts of it"):
        build_generator(GeneratorSpec("biggan", 16, 16, 3, 2, options={"width": 2}))


def test_a_width_has_limits():
    spec = GeneratorSpec("biggan", 8, 8, 3, 3)
    for build in (lambda options: build_generator(replace(spec, options=options)),
                  lambda options: build_discriminator("biggan", spec, options)):  # fmt: skip
        with pytest.raises(SpecError, match="width must be 1 to 1024, not 0"):
            build({"width": 0})
