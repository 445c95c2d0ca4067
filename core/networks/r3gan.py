"""R3GAN: Huang et al. 2024 (arXiv 2501.05441), for any size a small base can double to.

No normalisation, no mapping network, no noise, no tanh: residual blocks whose last layers start at zero, in the
generator and, mirrored, in the discriminator. The relativistic loss with R1 and R2 is what holds them.
"""

import math
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.layers import ClassEmbedding, conditioned, conditioned_dim, doubled, projection
from core.spec import GeneratorSpec

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance through a leaky ReLU (He et al. 2015)
IMAGE_GAIN = 0.5  # so that hardly a value of an untrained image leaves [-2, 2]


Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class R3GANGenerator(Generator):
    """A learned base times a projection of the latent, then blocks and doublings (section 4, config E).

    Options, the paper's 64x64 numbers by default: ``width``, the channels before the image; they double at every
    halving of the size up to ``widest`` times that; ``blocks`` a stage; ``expansion`` and ``group`` of the blocks.
    """

    learns_classes = True

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 384,
        widest: int = 2,
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
    ) -> None:
        super().__init__(spec)
        widths = _widths(spec, width, widest, blocks, expansion, group)[::-1]
        depth = blocks * len(widths)

        # The base, learned and projected from the latent
        self.embed = ClassEmbedding(len(spec.classes), spec.latent_dim) if spec.classes else None
        self.project = _scaled(nn.Linear(conditioned_dim(spec), widths[0], bias=False))
        self.base = nn.Parameter(torch.randn(widths[0], spec.size.base_height, spec.size.base_width))

        # Blocks, and doublings between them
        stages: list[nn.Module] = [Block(widths[0], expansion, group, depth) for _ in range(blocks)]
        for before, after in pairwise(widths):
            stages += [_resized(before, after), Upsample()]
            stages += [Block(after, expansion, group, depth) for _ in range(blocks)]
        self.stages = nn.Sequential(*stages)
        self.image = _convolution(widths[-1], spec.channels, 1, IMAGE_GAIN)

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)``, around [-1, 1]."""
        x = self.base * self.project(conditioned(style, self.spec, self.embed, label, codes))[:, :, None, None]
        images: Tensor = self.image(self.stages(x))  # from (n, widest, base_height, base_width)
        return images


class R3GANDiscriminator(Discriminator):
    """The generator backwards: blocks and halvings down to the base, then a learned base and one score.

    Classes are judged by projection. Options as the generator's.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 384,
        widest: int = 2,
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
    ) -> None:
        widths = _widths(spec, width, widest, blocks, expansion, group)
        super().__init__(spec, widths[-1])
        depth = blocks * len(widths)

        # Blocks, and halvings between them
        self.image = _convolution(spec.channels, widths[0], 1)
        stages: list[nn.Module] = [Block(widths[0], expansion, group, depth) for _ in range(blocks)]
        for before, after in pairwise(widths):
            stages += [Downsample(), _resized(before, after)]
            stages += [Block(after, expansion, group, depth) for _ in range(blocks)]
        self.stages = nn.Sequential(*stages)

        # The base and the score
        area = spec.size.base_height * spec.size.base_width
        self.base = nn.Parameter(torch.randn(widths[-1], spec.size.base_height, spec.size.base_width) / area**0.5)
        self.last = _scaled(nn.Linear(widths[-1], 1, bias=False))
        self.embed = nn.Embedding(len(spec.classes), widths[-1]) if spec.classes else None

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, height, width)`` to ``(n, widest)``."""
        x = self.stages(self.image(images))  # (n, widest, base_height, base_width)
        features: Tensor = (x * self.base).sum(dim=(2, 3))
        return features

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, widest)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features).flatten()
        return logits + projection(features, self.embed, label) / math.sqrt(features.shape[1])


class Block(nn.Module):
    """x + conv1x1 ∘ lrelu ∘ conv3x3 ∘ lrelu ∘ conv1x1 (section 4, figure 2).

    The 3x3 convolution has ``expansion`` times ``width`` channels, in groups of ``group`` (0: not grouped). The last
    layer starts at zero, so the block starts as the identity; the two before it start smaller the more blocks
    (``depth``) the network has (Zhang et al. 2019, "Fixup Initialization", section 3: depth^(-1/(2m - 2)), m = 3).
    """

    def __init__(self, width: int, expansion: int, group: int, depth: int) -> None:
        super().__init__()
        inner = width * expansion
        # A width that the group does not divide, as after scaling a preset, gets the largest group that fits both;
        # with a group of 0 that is the whole width.
        groups = inner // math.gcd(inner, group)
        gain = GAIN * depth**-0.25
        self.layers = nn.Sequential(
            _convolution(width, inner, 1, gain),
            nn.LeakyReLU(SLOPE, True),
            _convolution(inner, inner, 3, gain, groups),
            nn.LeakyReLU(SLOPE, True),
            _convolution(inner, width, 1, 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width, h, w)`` to the same."""
        out: Tensor = x + self.layers(x)
        return out


class Upsample(nn.Module):
    """Twice the size, bilinear: the filter [1, 3, 3, 1] / 4 along each axis, the border repeated.

    Not the paper's [1, 2, 1] / 2, which leaves old pixels where they were and puts means between them: short runs
    then show the small image's grid as lines.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c, 2h, 2w)``."""
        return doubled(x)


class Downsample(nn.Module):
    """Half the size: the filter [1, 3, 3, 1] / 8 along each axis, the border repeated."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([0.125, 0.375, 0.375, 0.125])
        self.register_buffer("kernel", line[:, None] * line, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` with even sides to ``(n, c, h / 2, w / 2)``."""
        c = x.shape[1]
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv2d(padded, self.kernel.expand(c, 1, 4, 4), stride=2, groups=c)


def _widths(spec: GeneratorSpec, width: int, widest: int, blocks: int, expansion: int, group: int) -> list[int]:
    """Channels at each size, from the image down to the base."""
    limits = {"width": (width, 1, 4096), "widest": (widest, 1, 64), "blocks": (blocks, 1, 16)}
    limits |= {"expansion": (expansion, 1, 8), "group": (group, 0, 4096)}
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            raise SpecError(f"{name} must be {least} to {most}, not {value}")
    return [width * min(1 << step, widest) for step in range(spec.size.doublings + 1)]


def _resized(before: int, after: int) -> nn.Module:
    """Where the width changes, a 1x1 convolution: on the small side of a resampling, where it costs a quarter."""
    return _convolution(before, after, 1, bias=False) if before != after else nn.Identity()


def _convolution(
    inputs: int, outputs: int, kernel: int, gain: float = 1.0, groups: int = 1, bias: bool = True
) -> nn.Conv2d:
    return _scaled(nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups, bias=bias), gain)


def _scaled(layer: Layer, gain: float = 1.0) -> Layer:
    """Weights from N(0, gain² / inputs of a unit), so that the gain is that of the deviation; biases 0."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
