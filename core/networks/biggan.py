"""A small BigGAN: Brock, Donahue and Simonyan 2019 (arXiv 1809.11096), for any size by doubling.

Residual blocks; batch norm whose gains and biases follow the class and a part of the latent each; spectral norm in both
networks; self-attention (Zhang et al. 2019, arXiv 1805.08318); a discriminator that judges by projection.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.dcgan import check_width
from core.networks.layers import ClassEmbedding, projection, split_by_widths
from core.networks.spectral import SpectralConv2d, SpectralEmbedding, SpectralLinear
from core.spec import GeneratorSpec

WIDEST = 4  # channels never exceed 4 times the width


class BigGANGenerator(Generator):
    """A part of the latent makes the base; each block is steered by another part, beside the class (figure 15).

    Options: ``width``, the channels at full size, doubled with every halving up to 4 times that; ``embedding``, how
    long a class's shared embedding is; ``attention``, the height of the maps that attend to themselves (0: none do).
    """

    learns_classes = True

    def __init__(self, spec: GeneratorSpec, width: int = 64, embedding: int = 64, attention: int = 16) -> None:
        super().__init__(spec)
        size, widths = spec.size, _widths(spec, width)[::-1]

        # The latent in parts
        part = spec.latent_dim // (size.doublings + 1)
        if not part:
            raise SpecError(f"latent_dim is {spec.latent_dim}: {size.doublings + 1} parts of it need at least as many")
        self.parts = [spec.latent_dim - part * size.doublings, *[part] * size.doublings]  # the base has the remainder
        self.embed = ClassEmbedding(len(spec.classes), embedding) if spec.classes else None
        condition = part + (embedding if spec.classes else 0)

        # The base, and a block for each doubling
        self.base = (widths[0], size.base_height, size.base_width)
        self.project = SpectralLinear(self.parts[0], widths[0] * size.base_height * size.base_width)
        self.blocks = nn.ModuleList(GeneratorBlock(a, b, condition) for a, b in pairwise(widths))

        heights = [size.base_height << step for step in range(1, size.doublings + 1)]
        self.attend = nn.ModuleList(
            Attention(channels) if height == attention else nn.Identity()
            for height, channels in zip(heights, widths[1:], strict=True)
        )
        self.last = nn.Sequential(
            nn.BatchNorm2d(widths[-1]), nn.ReLU(True), SpectralConv2d(widths[-1], spec.channels, 3)
        )

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)`` in [-1, 1]."""
        first, *parts = split_by_widths(style, self.parts)
        x = self.project(first).unflatten(1, self.base)  # (n, widest, base_height, base_width)
        for block, attend, part in zip(self.blocks, self.attend, parts, strict=True):
            x = attend(block(x, self._condition(part, label)))
        return torch.tanh(self.last(x))

    def _condition(self, part: Tensor, label: Tensor | None) -> Tensor:
        if self.embed is None:
            return part
        shown = part.new_zeros(part.shape[0], self.embed.embedding_dim) if label is None else self.embed(label)
        return torch.cat([part, shown], dim=1)


class BigGANDiscriminator(Discriminator):
    """Residual blocks that halve the image, features summed over positions, judged by projection (figure 15).

    Options: ``width`` and ``attention`` as the generator's.
    """

    def __init__(self, spec: GeneratorSpec, width: int = 64, attention: int = 16) -> None:
        size, widths = spec.size, _widths(spec, width)
        super().__init__(spec, widths[-1])
        heights = [spec.height >> step for step in range(1, size.doublings + 1)]
        blocks: list[nn.Module] = [DiscriminatorBlock(spec.channels, widths[0], halve=False, first=True)]
        for height, (a, b) in zip(heights, pairwise(widths), strict=True):
            blocks.append(DiscriminatorBlock(a, b))
            if height == attention:
                blocks.append(Attention(b))
        self.blocks = nn.Sequential(*blocks)
        self.last = SpectralLinear(widths[-1], 1)
        self.embed = SpectralEmbedding(len(spec.classes), widths[-1]) if spec.classes else None

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, height, width)`` to ``(n, widest)``."""
        x: Tensor = F.relu(self.blocks(images))  # (n, widest, base_height, base_width)
        return x.sum(dim=(2, 3))

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, widest)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features).flatten()
        return logits + projection(features, self.embed, label)


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias are linear functions of a condition (Dumoulin et al. 2017, section 2)."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = SpectralLinear(condition, channels, bias=False)
        self.bias = SpectralLinear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """``(n, channels, h, w)`` and ``(n, condition)`` to the former's shape."""
        gain, bias = (layer(condition)[:, :, None, None] for layer in (self.gain, self.bias))
        normed: Tensor = self.norm(x)
        steered: Tensor = normed * (1 + gain) + bias
        return steered


class GeneratorBlock(nn.Module):
    """norm, ReLU, double, convolve; norm, ReLU, convolve; beside a doubled 1x1 way (figure 15b)."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ConditionalNorm(inputs, condition), ConditionalNorm(outputs, condition)])
        self.first, self.second = SpectralConv2d(inputs, outputs, 3), SpectralConv2d(outputs, outputs, 3)
        self.skip = SpectralConv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, 2h, 2w)``."""
        y = F.relu(self.norms[0](x, condition))
        y = self.first(F.interpolate(y, scale_factor=2.0))
        y = self.second(F.relu(self.norms[1](y, condition)))
        shorter: Tensor = F.interpolate(self.skip(x), scale_factor=2.0)
        out: Tensor = y + shorter
        return out


class DiscriminatorBlock(nn.Module):
    """ReLU, convolve, ReLU, convolve, halve; beside a halved 1x1 way (figure 15c). The ``first`` sees plain pixels."""

    def __init__(self, inputs: int, outputs: int, halve: bool = True, first: bool = False) -> None:
        super().__init__()
        self.halve, self.is_first = halve, first
        self.first, self.second = SpectralConv2d(inputs, outputs, 3), SpectralConv2d(outputs, outputs, 3)
        self.skip = SpectralConv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, h / 2, w / 2)``, or the same size."""
        y = self.first(x if self.is_first else F.relu(x))
        y = self.second(F.relu(y)) + self.skip(x)
        return F.avg_pool2d(y, 2) if self.halve else y


class Attention(nn.Module):
    """Every position gathers from all others what it asks for (Zhang et al. 2019, section 3); starts as the identity.

    Keys and values are taken from every second position along each axis, as BigGAN does.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, middle = max(channels // 8, 1), max(channels // 2, 1)
        self.query = SpectralConv2d(channels, narrow, 1, bias=False)
        self.key = SpectralConv2d(channels, narrow, 1, bias=False)
        self.value = SpectralConv2d(channels, middle, 1, bias=False)
        self.out = SpectralConv2d(middle, channels, 1, bias=False)
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` to the same."""
        query = self.query(x).flatten(2)  # (n, narrow, hw)
        key = F.max_pool2d(self.key(x), 2).flatten(2)  # (n, narrow, hw / 4)
        value = F.max_pool2d(self.value(x), 2).flatten(2)  # (n, middle, hw / 4)
        share = torch.softmax(query.transpose(1, 2) @ key, dim=2)  # (n, hw, hw / 4)
        gathered = torch.unflatten(value @ share.transpose(1, 2), 2, x.shape[2:])  # (n, middle, h, w)
        out: Tensor = self.out(gathered)
        return x + self.strength * out


def _widths(spec: GeneratorSpec, width: int) -> list[int]:
    """Channels at each size, from the image down to the base."""
    check_width(width)
    return [width * min(1 << step, WIDEST) for step in range(spec.size.doublings + 1)]
