"""PatchGAN: Isola et al. 2017 (arXiv 1611.07004), sections 3.2.2 and 6.1.2. Each score sees a patch of the image."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from core.errors import SpecError
from core.networks.base import Discriminator
from core.networks.dcgan import check_width, initialise
from core.networks.spectral import SpectralConv2d
from core.networks.translating import check_choice, norm_layers, resized
from core.spec import GeneratorSpec

SLOPE = 0.2
WIDEST = 8  # times the width: C64-C128-C256-C512
MOST_STRIDED = 6
NORMS = ("batch", "instance", "spectral", "none")


class Layer(NamedTuple):
    """A convolution padded by one pixel."""

    kernel: int
    stride: int


# The kernels after the strided layers: the paper's two of 4x4, and others for the fields between those.
ENDINGS = ((3, 3), (3, 4), (4, 4), (3, 3, 4), (3, 4, 4), (4, 4, 4))


def field_of(layers: Sequence[Layer]) -> int:
    """The receptive field of one score, in pixels along a side: ``r → (r - 1) · stride + kernel``, from the last."""
    field = 1
    for layer in reversed(layers):
        field = (field - 1) * layer.stride + layer.kernel
    return field


def _plans() -> dict[int, tuple[Layer, ...]]:
    """The layers for every field that there are some for; where there is a choice, the fewer at full size."""
    plans: dict[int, tuple[Layer, ...]] = {1: (Layer(1, 1), Layer(1, 1), Layer(1, 1))}
    for strided in reversed(range(MOST_STRIDED + 1)):
        for kernels in ENDINGS:
            layers = (Layer(4, 2),) * strided + tuple(Layer(kernel, 1) for kernel in kernels)
            plans.setdefault(field_of(layers), layers)
    return dict(sorted(plans.items()))


PLANS = _plans()


class PatchDiscriminator(Discriminator):
    """Convolutions alone, so that each score rests on ``field`` pixels along a side of the image.

    4x4 convolutions of stride 2, each twice as wide as the one before up to 8 times the width, then two or three of
    stride 1, 3x3 or 4x4 as the field wants. Options: ``width`` after the first convolution; ``field``: 70, 34 and 16
    are the paper's, 1 judges pixels; ``norm``, "batch" (the paper), "instance" (CycleGAN), "spectral" or "none", and
    never in the first and last layer; ``given``, whether it sees the source beside the image (section 3.1).

    By default, of RGBA images with RGBA sources: 2.77 M parameters, 0.36 GFLOP at 64x64 and 1.55 at 128x128.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 64,
        field: int = 70,
        norm: Literal["batch", "instance", "spectral", "none"] = "batch",
        given: bool = False,
    ) -> None:
        check_width(width)
        check_choice("norm", norm, NORMS)
        layers = layers_for(field, spec.height, spec.width)
        widths = [width * min(1 << step, WIDEST) for step in range(len(layers) - 1)]
        super().__init__(spec, widths[-1])

        # What it sees
        if given and spec.source is None:
            raise SpecError("given shows the source to the discriminator: there is none, set given to false")
        self.given, self.layers = given, layers
        self.source = spec.source if given else None
        inputs = spec.channels + (spec.source.channels if given and spec.source else 0)

        # Convolutions, down to a map of scores
        sides = spec.height, spec.width
        body: list[nn.Module] = []
        for index, (layer, outputs) in enumerate(zip(layers[:-1], widths, strict=True)):
            sides = _sides_after(layer, *sides)
            normed = norm_layers(norm, outputs, *sides) if index and norm in ("batch", "instance") else []
            body += [_convolution(inputs, outputs, layer, norm, bias=not normed), *normed, nn.LeakyReLU(SLOPE, True)]
            inputs = outputs

        self.body = nn.Sequential(*body)
        self.last = _convolution(inputs, 1, layers[-1], norm)
        if norm != "spectral":
            self.apply(initialise)

    def features(self, images: Tensor, label: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """``(n, c, height, width)``, with sources ``(n, c', h', w')`` where given, to ``(n, feature_dim, h, w)``."""
        if self.given:
            if source is None:
                raise SpecError("this discriminator judges an image with its source: it must be given")
            images = torch.cat([images, resized(source, *images.shape[2:])], dim=1)
        maps: Tensor = self.body(images)
        return maps

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, feature_dim, h, w)`` to a logit for each patch, ``(n, h, w)``."""
        scores: Tensor = self.last(features)  # (n, 1, h, w)
        return scores[:, 0]

    def forward(self, images: Tensor, label: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """Unbounded scores ``(n, h, w)``, higher for real."""
        return self.score(self.features(images, label, source), label)

    def example(self) -> tuple[Tensor, ...]:
        """What ``forward`` takes for one image, all zeros."""
        image = torch.zeros(1, self.spec.channels, self.spec.height, self.spec.width)
        if self.source is None:
            return (image,)
        label = torch.zeros(1, dtype=torch.int64)  # which it does not look at
        return image, label, torch.zeros(1, self.source.channels, self.source.height, self.source.width)


def layers_for(field: int, height: int, width: int) -> tuple[Layer, ...]:
    """The layers whose scores see ``field`` pixels. Raises SpecError, naming the possible fields, if there are none."""
    able = [each for each, layers in PLANS.items() if _fits(layers, height, width)]
    if field not in able:
        raise SpecError(f"field is {field}: at {width}x{height} it must be one of {', '.join(map(str, able))}")
    return PLANS[field]


def _fits(layers: Sequence[Layer], height: int, width: int) -> bool:
    """Whether a score is left of an image."""
    for layer in layers:
        height, width = _sides_after(layer, height, width)
    return min(height, width) >= 1


def _sides_after(layer: Layer, height: int, width: int) -> tuple[int, int]:
    """Of a map that had these before the layer."""
    grown = 2 * _padding(layer) - layer.kernel
    return (height + grown) // layer.stride + 1, (width + grown) // layer.stride + 1


def _padding(layer: Layer) -> int:
    return int(layer.kernel > 1)


def _convolution(inputs: int, outputs: int, layer: Layer, norm: str, bias: bool = True) -> nn.Conv2d:
    """With spectral norm where that is asked for."""
    shape = (inputs, outputs, layer.kernel, layer.stride, _padding(layer))
    return SpectralConv2d(*shape) if norm == "spectral" else nn.Conv2d(*shape, bias=bias)
