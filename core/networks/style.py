"""A small StyleGAN: Karras et al. 2019 (arXiv 1812.04948) and 2020 (arXiv 1912.04958), for any size by doubling."""

import math
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.layers import (
    EqualisedConv2d,
    EqualisedLinear,
    MinibatchStandardDeviation,
    doubled,
    projection,
    split_by_widths,
)
from core.networks.style_layers import GAIN, SLOPE, Mapping, StyledConvolution, ToImage
from core.spec import GeneratorSpec

WIDEST = 8  # channels never exceed 8 times the width
CONTRAST = 0.5  # the standard deviation of a fresh generator's values
MEMORY = 0.995  # of w's moving average, each time the mapping is used in training (2019, appendix B)


class StyleGenerator(Generator):
    """A mapping network steers every layer of a synthesis network that starts from a constant (2020, figure 2).

    Two styled layers and one image a size; the images are summed, each doubled to the next size (figure 7b).
    Options: ``width``, the channels at full size (twice as many at each size before, to 8 times that);
    ``style_dim``; ``mapping_layers``; ``noise_rate``, how fast the strength of the noise learns (1 as published; less
    for short runs, which otherwise put noise where detail is still to come).
    """

    learns_classes = True

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 64,
        style_dim: int = 512,
        mapping_layers: int = 8,
        noise_rate: float = 1.0,
    ) -> None:
        super().__init__(spec, style_dim)
        _check("width", width)
        _check("style_dim", style_dim)
        _check("mapping_layers", mapping_layers)
        if not 0 <= noise_rate <= 1:
            raise SpecError(f"noise_rate must be 0 to 1, not {noise_rate}")

        size = spec.size
        widths = [_widened(width, size.doublings - step) for step in range(size.doublings + 1)]
        self.map = Mapping(spec.latent_dim, style_dim, mapping_layers, len(spec.classes))
        self.constant = nn.Parameter(torch.randn(1, widths[0], size.base_height, size.base_width))

        # Styled layers: one at the base, two for each doubling
        layer = partial(StyledConvolution, style_dim=style_dim, noise_rate=noise_rate)
        self.layers = nn.ModuleList([layer(widths[0], widths[0], height=size.base_height, width=size.base_width)])
        for step, (inputs, outputs) in enumerate(pairwise(widths), 1):
            height, wide = size.base_height << step, size.base_width << step
            self.layers.append(layer(inputs, outputs, height=height, width=wide, doubling=True))
            self.layers.append(layer(outputs, outputs, height=height, width=wide))

        # An image of each size, added up
        scale = CONTRAST / math.sqrt(len(widths))
        self.images = nn.ModuleList(ToImage(inputs, spec.channels, style_dim, scale) for inputs in widths)

    @property
    def style_layers(self) -> int:
        """One style for each styled layer, and one for the last image; the others share that of the layer after."""
        return len(self.layers) + 1

    @property
    def noise_dim(self) -> int:
        """A value for every pixel of every styled layer, coarse first, each layer's row by row."""
        return sum(self._noise_dims)

    @property
    def _noise_dims(self) -> list[int]:
        size = self.spec.size
        areas = [(size.base_height * size.base_width) << 2 * step for step in range(size.doublings + 1)]
        return [areas[0], *(area for area in areas[1:] for _ in range(2))]

    def mapping(self, z: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to w, ``(n, style_dim)``; in training also moves the mean of w."""
        w: Tensor = self.map(z, label)
        if self.training:
            with torch.no_grad():
                self.latent_mean.lerp_(w.float().mean(dim=0), 1 - MEMORY)
        return w

    def synthesis(
        self,
        style: Tensor,
        label: Tensor | None = None,
        codes: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """w ``(n, style_dim)``, or one for each layer ``(n, style_layers, style_dim)``, to ``(n, c, height, width)``.

        ``noise`` ``(n, noise_dim)`` takes the place of the layers' own. Values are not limited: pixels are clamped
        to the spec's value range.
        """
        ws = [style] * self.style_layers if style.ndim == 2 else style.unbind(1)
        noises = [None] * len(self.layers) if noise is None else split_by_widths(noise, self._noise_dims)
        x = self.constant.expand(style.shape[0], -1, -1, -1)  # (n, widest, base_height, base_width)
        x = self.layers[0](x, ws[0], noises[0])
        image: Tensor = self.images[0](x, ws[1])
        for step in range(1, len(self.images)):
            x = self.layers[2 * step - 1](x, ws[2 * step - 1], noises[2 * step - 1])
            x = self.layers[2 * step](x, ws[2 * step], noises[2 * step])
            image = doubled(image) + self.images[step](x, ws[2 * step + 1])
        return image


class StyleDiscriminator(Discriminator):
    """Residual blocks that halve the image down to its base, then one score (2020, figure 7c).

    Option: ``width``, the channels at full size. Classes are judged by projection.
    """

    def __init__(self, spec: GeneratorSpec, width: int = 64) -> None:
        _check("width", width)
        size = spec.size
        widths = [_widened(width, step) for step in range(size.doublings + 1)]
        last = widths[-1]
        super().__init__(spec, last)

        self.see = EqualisedConv2d(spec.channels, widths[0], 1, GAIN)
        self.halve = nn.Sequential(*(HalvingBlock(a, b) for a, b in pairwise(widths)))

        # At the base
        self.compare = MinibatchStandardDeviation()
        self.convolve = EqualisedConv2d(last + 1, last, 3, GAIN)
        self.connect = EqualisedLinear(last * size.base_height * size.base_width, last, GAIN)
        self.last = EqualisedLinear(last, 1)
        self.classes = nn.Embedding(len(spec.classes), last) if spec.classes else None

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, height, width)`` to ``(n, widest)``."""
        x = F.leaky_relu(self.see(images), SLOPE)
        x = self.halve(x)  # (n, widest, base_height, base_width)
        x = F.leaky_relu(self.convolve(self.compare(x)), SLOPE)
        return F.leaky_relu(self.connect(x.flatten(1)), SLOPE)

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, widest)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features).flatten()
        return logits + projection(features, self.classes, label) / math.sqrt(features.shape[1])


class HalvingBlock(nn.Module):
    """Two convolutions beside a shorter way, halving the sides; their sum divided by √2 keeps the variance.

    Halves by the mean of four pixels, before the second convolution: a quarter of the paper's work.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConv2d(inputs, inputs, 3, GAIN)
        self.second = EqualisedConv2d(inputs, outputs, 3, GAIN / math.sqrt(2))
        self.skip = EqualisedConv2d(inputs, outputs, 1, 1 / math.sqrt(2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, h / 2, w / 2)``."""
        y = F.leaky_relu(self.first(x), SLOPE)
        y = F.leaky_relu(self.second(F.avg_pool2d(y, 2)), SLOPE)
        shorter: Tensor = self.skip(F.avg_pool2d(x, 2))
        return y + shorter


def _widened(width: int, doublings: int) -> int:
    return width * min(1 << doublings, WIDEST)


def _check(name: str, value: int) -> None:
    if not 1 <= value <= 1024:
        raise SpecError(f"{name} must be 1 to 1024, not {value}")
