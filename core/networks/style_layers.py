"""The layers of a style-based generator: Karras et al. 2019 (arXiv 1812.04948) and 2020 (arXiv 1912.04958)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.networks.layers import EqualisedLinear, doubled

SLOPE = 0.2  # of every leaky ReLU
GAIN = math.sqrt(2)  # keeps the variance through a leaky ReLU


class Mapping(nn.Module):
    """The mapping network f: Z → W (2019, section 2): a normalised latent through slowly learning layers.

    ``classes`` above 0 embeds the class and sets it beside the latent.
    """

    def __init__(self, latent_dim: int, style_dim: int, depth: int, classes: int, rate: float = 0.01) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, latent_dim) if classes else None
        inputs = [2 * latent_dim if classes else latent_dim] + [style_dim] * (depth - 1)
        self.layers = nn.ModuleList(EqualisedLinear(size, style_dim, gain=GAIN, rate=rate) for size in inputs)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` and int64 ``(n,)`` to ``(n, style_dim)``; no label is an embedding of zeros."""
        x = normalised(z)
        if self.embedding is not None:
            kind = torch.zeros_like(x) if label is None else normalised(self.embedding(label))
            x = torch.cat([x, kind], dim=1)  # (n, 2 latent_dim)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return x


class StyledConvolution(nn.Module):
    """Modulate, convolve 3x3, demodulate, perhaps double the size; then noise, bias, leaky ReLU (2020, figure 2d).

    ``height`` and ``width`` are the output's. Where no noise is given, it is drawn afresh in training; in evaluation
    it is a fixed picture, the same for every row, so that an image is a function of its style. ``noise_rate`` is how
    fast the noise's strength learns, next to everything else.
    """

    noise: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        style_dim: int,
        height: int,
        width: int,
        doubling: bool = False,
        noise_rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.doubling = doubling
        self.style = EqualisedLinear(style_dim, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.strength = nn.Parameter(torch.zeros(()))
        self.noise_rate = noise_rate
        self.register_buffer("noise", torch.randn(1, 1, height, width))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """``(n, inputs, h, w)``, styles ``(n, style_dim)`` and noise ``(n, height * width)`` to
        ``(n, outputs, height, width)``."""
        x = modulated_convolution(x, self.weight, self.style(w), GAIN)
        if self.doubling:
            x = doubled(x)
        if noise is not None:
            noise = noise.reshape(-1, *self.noise.shape[1:])
        else:
            noise = torch.randn_like(x[:, :1]) if self.training else self.noise  # (n or 1, 1, height, width)
        return F.leaky_relu(x + self.bias + noise * (self.strength * self.noise_rate), SLOPE)

    @torch.no_grad()
    def settle(self) -> None:
        """Scale every filter that has grown back to a mean square of about 1, which the demodulation undoes.

        Equalised weights may grow without end, and the convolution comes before the demodulation: in half precision
        it would overflow. By powers of two, so that no bit of the result changes, but for the 1e-8 under the root.
        """
        size = self.weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        self.weight.mul_(torch.exp2(-torch.log2(size).round().clamp(min=0)))


class ToImage(nn.Module):
    """A modulated 1x1 convolution to the image's channels, without demodulation (2020, section 4.1).

    Starts at ``scale``, so that the sum over all sizes starts within the value range.
    """

    def __init__(self, inputs: int, channels: int, style_dim: int, scale: float) -> None:
        super().__init__()
        self.style = EqualisedLinear(style_dim, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1) * scale)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` and styles ``(n, style_dim)`` to ``(n, channels, h, w)``."""
        style = self.style(w) * self.scale  # (n, inputs)
        return F.conv2d(x * style[:, :, None, None], self.weight, self.bias)


def settle(generator: nn.Module) -> None:
    """Make the weights of every styled convolution in ``generator`` fit for half precision, its images the same."""
    for layer in generator.modules():
        if isinstance(layer, StyledConvolution):
            layer.settle()


def modulated_convolution(x: Tensor, weight: Tensor, style: Tensor, gain: float = 1.0) -> Tensor:
    """Convolve each row with weights of its own: w'ᵢⱼₖ = sᵢ wᵢⱼₖ, then wʺᵢⱼₖ = w'ᵢⱼₖ / ‖w'ⱼ‖ (2020, equations 1 and 3).

    Scales the activations instead of the weights, which are then one constant for the whole batch, so an exported
    graph stays dynamic. ``x`` is ``(n, i, h, w)``, ``weight`` ``(j, i, k, k)``, ``style`` ``(n, i)``; gives
    ``(n, j, h, w)``, whose variance is ``gain``² times that of ``x`` where x is white.
    """
    # The length of a style drops out in the demodulation; of length 1, half precision can hold every product.
    style = style * torch.rsqrt(style.square().sum(dim=1, keepdim=True) + 1e-8)
    x = F.conv2d(x * style[:, :, None, None], weight, padding=weight.shape[-1] // 2)
    energy = weight.square().sum(dim=(2, 3))  # (j, i)
    demodulation = torch.rsqrt(F.linear(style.square(), energy) + 1e-8)  # (n, j)
    return x * (demodulation * gain)[:, :, None, None]


def normalised(x: Tensor) -> Tensor:
    """Rows ``(n, d)`` scaled to a mean square of 1 (2019, appendix C)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)
