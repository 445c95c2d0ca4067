"""Layers that several families share. Each names the equation or section it follows."""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.spec import GeneratorSpec

Embed = Callable[[Tensor], Tensor]  # classes int64 (n,) to what they are to the network (n, d)


class MinibatchStandardDeviation(nn.Module):
    """Append one channel that tells how much the images of a group differ (Karras et al. 2018, section 3).

    The batch is cut into groups of ``group`` neighbours; every image of a group gets the mean, over features and
    positions, of the standard deviation over the group. A batch that ``group`` does not divide is one group.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c + 1, h, w)``."""
        n, c, h, w = x.shape
        size = self.group if n % self.group == 0 else n
        groups = x.reshape(n // size, size, c, h, w)
        apart = groups - groups.mean(dim=1, keepdim=True)
        deviation = (apart.square().mean(dim=1) + 1e-8).sqrt()  # (n / size, c, h, w); var() is many times slower
        statistic = deviation.mean(dim=(1, 2, 3)).repeat_interleave(size)  # (n,)
        return torch.cat([x, statistic.reshape(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)


class EqualisedLinear(nn.Module):
    """A linear layer with an equalised learning rate: weights from N(0, 1), scaled by He's constant at every use.

    Adam then moves every layer by the same share of its weights (Karras et al. 2018, section 4.1). ``gain``
    multiplies the output's weights; ``rate`` makes the layer learn that many times as fast, from the same start.
    """

    def __init__(
        self, inputs: int, outputs: int, gain: float = 1.0, rate: float = 1.0, start: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), start / rate)) if bias else None
        self.scale, self.rate = gain * rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs)`` to ``(n, outputs)``. The scale goes to the input, so that the weight stays a constant."""
        bias = self.bias if self.bias is None or self.rate == 1 else self.bias * self.rate
        return F.linear(x * self.scale, self.weight, bias)


class EqualisedConv2d(nn.Module):
    """A convolution with an equalised learning rate and "same" padding (Karras et al. 2018, section 4.1).

    ``gain`` multiplies the weights: √2 before a leaky ReLU keeps the variance.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.padding = gain / math.sqrt(inputs * kernel**2), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, h, w)``."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class PixelNorm(nn.Module):
    """Every position's features to a mean square of one: x / √(mean x² + 1e-8) (Karras et al. 2018, section 4.2)."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, …)`` in, the same out; the mean is over ``c``."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class ClassEmbedding(nn.Embedding):
    """A vector for each class, to be set beside a latent. It starts with length 1, as a one-hot vector has.

    A latent is √latent_dim long. Where the class starts as long as that, it decides so much of the image that the
    generator settles on one picture a class and forgets the latent (measured: benchmarks/RESULTS.md).
    """

    def reset_parameters(self) -> None:
        """Rows of random directions."""
        with torch.no_grad():
            self.weight.copy_(F.normalize(torch.randn_like(self.weight), dim=1))


class LabelMap(nn.Module):
    """A picture of its own for each class, to be set beside an image's channels: labels for a convolutional network."""

    def __init__(self, classes: int, height: int, width: int) -> None:
        super().__init__()
        self.maps = nn.Embedding(classes, height * width)

    def append_map(self, images: Tensor, label: Tensor | None) -> Tensor:
        """``(n, c, height, width)`` and int64 ``(n,)`` to ``(n, c + 1, height, width)``; no label is a picture of 0."""
        shape = (len(images), 1, *images.shape[2:])
        shown = images.new_zeros(shape) if label is None else self.maps(label).view(shape)
        return torch.cat([images, shown], dim=1)


def rectifier(slope: float) -> nn.Module:
    """ReLU, or leaky ReLU where there is a ``slope``."""
    return nn.LeakyReLU(slope, True) if slope else nn.ReLU(True)


def doubled(x: Tensor) -> Tensor:
    """``(n, c, h, w)`` to ``(n, c, 2h, 2w)``: bilinear, StyleGAN2's [1, 3, 3, 1] filter but at the border."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def split_by_widths(x: Tensor, widths: Sequence[int]) -> list[Tensor]:
    """``(n, sum of widths)`` cut into ``(n, width)`` each.

    By slices: ONNX changed its Split in opset 18, and no converter leads back to the 15 that older runtimes need.
    """
    return [x[:, end - width : end] for width, end in zip(widths, accumulate(widths), strict=True)]


def conditioned(
    style: Tensor, spec: GeneratorSpec, embed: Embed | None, label: Tensor | None, codes: Tensor | None
) -> Tensor:
    """Latents ``(n, latent_dim)`` with what else decides the image beside them, ``(n, conditioned_dim(spec))``.

    ``embed`` makes labels int64 ``(n,)`` into ``(n, latent_dim)``; zeros take the place of an embedding or codes
    ``(n, K)`` that the spec has and that are None.
    """
    parts = [style]
    if spec.classes:
        parts.append(torch.zeros_like(style) if embed is None or label is None else embed(label))
    if spec.codes:
        parts.append(style.new_zeros(style.shape[0], spec.codes) if codes is None else codes)
    return torch.cat(parts, dim=1) if len(parts) > 1 else style


def conditioned_dim(spec: GeneratorSpec) -> int:
    """How wide ``conditioned`` makes the latents."""
    return spec.latent_dim * (2 if spec.classes else 1) + spec.codes


def projection(features: Tensor, embed: Embed | None, label: Tensor | None) -> Tensor:
    """What a class adds to the score of features ``(n, d)``: their product with its embedding, ``(n,)``.

    Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 3. ``embed`` makes labels int64 ``(n,)`` into
    ``(n, d)``; without classes or labels nothing is added.
    """
    if embed is None or label is None:
        return features.new_zeros(features.shape[0])
    return (features * embed(label)).sum(dim=1)
