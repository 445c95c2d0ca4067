"""What translators share: how a source of any size comes in, how maps are normed and doubled, how values go out."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks import dcgan
from core.sizes import Size
from core.spec import GeneratorSpec

Norm = Literal["batch", "instance", "none"]
Up = Literal["resize", "transposed"]
NORMS: tuple[Norm, ...] = ("batch", "instance", "none")
UPS: tuple[Up, ...] = ("resize", "transposed")


def entry_step(spec: GeneratorSpec) -> int:
    """Where a source enters: at the target's size halved so many times, or doubled, where it is negative.

    That is the smallest size that holds the source. A source of exactly that size is taken as it is, so that
    16 → 32 pixels has one doubling more than halvings, and 32 → 16 one less. Any other is enlarged to it, by less than
    2 along one side at least: nothing is lost.
    """
    source, size = spec.source, spec.size
    if source is None:
        raise SpecError(f"{spec.family} translates images: its spec must say what its source is")
    times = max(source.height / size.height, source.width / size.width)
    return min(math.floor(-math.log2(times)), size.doublings - 1)


def sides_at(size: Size, step: int) -> tuple[int, int]:
    """Height and width of ``size`` halved ``step`` times, or doubled."""
    if step < 0:
        return size.height << -step, size.width << -step
    return size.height >> step, size.width >> step


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """``(n, c, h, w)`` to ``(n, c, height, width)``: bilinear, and as they are where nothing changes."""
    old_height, old_width = images.shape[2:]
    if (old_height, old_width) == (height, width):
        return images
    if height % old_height == width % old_width == 0:  # a constant in the graph, where a size is computed in it
        factors = float(height // old_height), float(width // old_width)
        return F.interpolate(images, scale_factor=factors, mode="bilinear")
    return F.interpolate(images, (height, width), mode="bilinear")


def ranged(values: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Any numbers into the value range, by tanh."""
    low, high = value_range
    unit = torch.tanh(values)
    return unit if (low, high) == (-1.0, 1.0) else (unit + 1) * ((high - low) / 2) + low


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1 (Ulyanov et al. 2016, arXiv 1607.08022), without weights.

    The same in training and evaluation, and whatever else is in the batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to the same."""
        return F.instance_norm(x)


def norm_layers(norm: Norm, channels: int, height: int, width: int) -> list[nn.Module]:
    """The norm of a map, in a list; none for a map of one pixel, of which instance norm would leave nothing but 0."""
    if norm == "none" or height * width == 1:
        return []
    return [nn.BatchNorm2d(channels) if norm == "batch" else InstanceNorm()]


class ResizedConv2d(nn.Conv2d):
    """A 3x3 convolution of the map that nearest neighbours double, in four ninths of the multiplications.

    Each tap meets the same old pixel as its neighbour in one of two places, so that the two layers are one transposed
    convolution of stride 2 by the kernel ``[1, 1] * weight`` along each axis: half the time on a CPU.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__(inputs, outputs, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, 2h, 2w)``."""
        kernel = F.pad(self.weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))  # (inputs, outputs, 5, 5)
        kernel = kernel[:, :, 1:] + kernel[:, :, :-1]
        kernel = kernel[:, :, :, 1:] + kernel[:, :, :, :-1]  # (inputs, outputs, 4, 4)
        return F.conv_transpose2d(x, kernel, self.bias, 2, 1)


def doubling_layers(up: Up, inputs: int, outputs: int, bias: bool) -> list[nn.Module]:
    """``(n, inputs, h, w)`` to ``(n, outputs, 2h, 2w)``: nearest neighbours and a 3x3 convolution, which makes no
    checkerboards (Odena et al. 2016), or a transposed convolution, as the papers have."""
    if up == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)]
    return [ResizedConv2d(inputs, outputs, bias)]


def initialise(network: nn.Module, norm: Norm) -> None:
    """Weights from N(0, 0.02) (Isola et al. 2017, section 6.2); He's where no norm makes up for their size."""
    network.apply(dcgan.initialise)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    if norm == "none":
        for layer in layers[:-1]:  # the last one begins with images near the middle
            inputs = (
                layer.in_channels
                * math.prod(layer.kernel_size)
                // math.prod(layer.stride if layer.transposed else (1,))
            )
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / inputs))


def check_choice(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raise SpecError unless ``value`` is one of those that the ``option`` has."""
    if value not in known:
        raise SpecError(f"{option} is '{value}': it must be one of {', '.join(known)}")


def check_between(option: str, value: float, least: float, most: float) -> None:
    """Raise SpecError unless ``value`` lies where that of the ``option`` must."""
    if not least <= value <= most:
        raise SpecError(f"{option} must be {least} to {most}, not {value}")
