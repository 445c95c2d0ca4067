"""Progressive growing: Karras et al. 2018 (arXiv 1710.10196), for any size a small base can double to.

A network of ``n`` doublings has the levels 0 (the base) to ``n`` (the spec's size). How far it has grown is part of
its state: an integer in 65,536ths of a level. Between two levels the larger one fades in (figure 2).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.layers import (
    ClassEmbedding,
    EqualisedConv2d,
    EqualisedLinear,
    MinibatchStandardDeviation,
    PixelNorm,
    conditioned,
    conditioned_dim,
    projection,
)
from core.sizes import Size
from core.spec import GeneratorSpec

LEVEL = 1 << 16  # growth counts in 65,536ths of a level: whole numbers are saved and averaged without rounding
_GAIN = 2**0.5  # He's constant for rectifiers (section 4.1)
_GAIN_IMAGE = 0.5  # fresh images vary by half of the values' range [-1, 1], as pictures do


class Growing(nn.Module):
    """A network that knows how far it has grown. Fresh ones are full-grown; the trainer makes them young.

    ``growth`` is an int64 buffer, 0 … doublings * ``LEVEL``, that stays on the CPU: Python branches on it, and
    reading it must not wait for a device.
    """

    growth: Tensor
    _known: int  # the growth when the network last could read it

    def grow(self, growth: int) -> None:
        """Set the growth, in ``LEVEL``-ths of a level."""
        self.growth.fill_(growth)

    def stage(self) -> tuple[int, float]:
        """The finished level, and how far the next one has faded in, 0 ≤ α < 1."""
        if not torch.compiler.is_exporting():  # there buffers are symbols, nothing to branch on
            self._known = int(self.growth)
        level, part = divmod(self._known, LEVEL)
        return level, part / LEVEL

    def train(self, mode: bool = True) -> Self:
        """As every module; and note the growth, for an exporter that follows."""
        self._known = int(self.growth)
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        growth = self.growth
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.growth = growth
        return self

    def _be_grown(self, size: Size) -> None:
        self._known = size.doublings * LEVEL
        self.register_buffer("growth", torch.tensor(self._known))


class ProgressiveGenerator(Growing, Generator):
    """A latent on the hypersphere, a base of feature maps, doubled level by level until it is the image (table 2).

    Options: ``width``, the channels at the full size, doubling with every halving up to ``widest``. Classes are
    embedded beside the latent. Images are linear, without a tanh.
    """

    learns_classes = True

    def __init__(self, spec: GeneratorSpec, width: int = 64, widest: int = 512) -> None:
        super().__init__(spec)
        widths, size = level_widths(spec.size, width, widest), spec.size
        self.base = (widths[0], size.base_height, size.base_width)
        self.embed = ClassEmbedding(len(spec.classes), spec.latent_dim) if spec.classes else None
        self.normalise = PixelNorm()
        self.project = EqualisedLinear(
            conditioned_dim(spec), widths[0] * size.base_height * size.base_width, gain=_GAIN
        )
        self.base_block = nn.Sequential(nn.LeakyReLU(0.2), PixelNorm(), *_convolved(widths[0], widths[0]), PixelNorm())
        self.blocks = nn.ModuleList(_doubling(a, b) for a, b in pairwise(widths))
        self.to_image = nn.ModuleList(EqualisedConv2d(width, spec.channels, 1, gain=_GAIN_IMAGE) for width in widths)
        self._be_grown(size)

    @property
    def grown_to(self) -> tuple[int, int]:
        """The height and width of the level it has finished."""
        size, (level, _) = self.spec.size, self.stage()
        return size.base_height << level, size.base_width << level

    def standing(self) -> "ProgressiveGenerator":
        """The level it stands at, as a full-grown generator of its own. Raises SpecError for the base."""
        spec, weights = at_level(self.spec, self.state_dict(), self.stage()[0])
        smaller = ProgressiveGenerator(spec, **spec.options)
        smaller.load_state_dict(weights)
        return smaller.eval()

    def mapping(self, z: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)``, put on the hypersphere (section 4.2 and appendix A.1)."""
        style: Tensor = self.normalise(z)
        return style

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)``; a younger level's pixels are enlarged."""
        images = self.paint(style, label, codes)
        factor = self.spec.height // images.shape[2]
        return images if factor == 1 else enlarged(images, factor)

    def _embedded(self, label: Tensor) -> Tensor:
        assert self.embed is not None, "only asked for where the spec has classes"
        embedded: Tensor = self.normalise(self.embed(label))
        return embedded

    def paint(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to images ``(n, channels, h, w)`` of the size it has grown to."""
        level, alpha = self.stage()
        x = self.project(
            conditioned(style, self.spec, self._embedded, label, codes)
        )  # (n, c * base_height * base_width)
        x = self.base_block(x.unflatten(1, self.base))  # (n, c, base_height, base_width)
        for block in self.blocks[:level]:
            x = block(x)  # doubled
        images: Tensor = self.to_image[level](x)
        if alpha > 0:
            newer = self.to_image[level + 1](self.blocks[level](x))
            images = torch.lerp(enlarged(images, 2), newer, alpha)
        return images


class ProgressiveDiscriminator(Growing, Discriminator):
    """The generator's mirror image (table 2): halved level by level down to the base, then one score.

    Options as the generator's. Images are of the size it has grown to, the next one's while that fades in. Classes
    are judged by projection.
    """

    def __init__(self, spec: GeneratorSpec, width: int = 64, widest: int = 512) -> None:
        widths, size = level_widths(spec.size, width, widest), spec.size
        super().__init__(spec, widths[0])
        area = size.base_height * size.base_width

        # An entry for each size, and a halving between each two
        self.from_image = nn.ModuleList(
            nn.Sequential(EqualisedConv2d(spec.channels, width, 1, gain=_GAIN), nn.LeakyReLU(0.2)) for width in widths
        )
        self.blocks = nn.ModuleList(_halving(b, a) for a, b in pairwise(widths))

        self.base_block = nn.Sequential(
            MinibatchStandardDeviation(),
            *_convolved(widths[0] + 1, widths[0]),
            nn.Flatten(),
            EqualisedLinear(widths[0] * area, widths[0], gain=_GAIN),
            nn.LeakyReLU(0.2),
        )

        self.last = EqualisedLinear(widths[0], 1)
        self.embed = nn.Embedding(len(spec.classes), widths[0]) if spec.classes else None
        self._be_grown(size)

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, h, w)`` of the size it has grown to, to ``(n, channels of the base)``."""
        level, alpha = self.stage()
        if alpha > 0:
            newer = self.blocks[level](self.from_image[level + 1](images))  # (n, c, h / 2, w / 2)
            x = torch.lerp(self.from_image[level](reduced(images, 2)), newer, alpha)
        else:
            x = self.from_image[level](images)  # (n, c, h, w)
        for block in reversed(self.blocks[:level]):
            x = block(x)  # halved
        features: Tensor = self.base_block(x)  # (n, c)
        return features

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, c)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features).flatten()
        return logits + projection(features, self.embed, label) / math.sqrt(features.shape[1])


def level_widths(size: Size, width: int, widest: int) -> list[int]:
    """The channels at every level, the base first: ``width`` at the full size, doubled downwards to ``widest``."""
    for name, value in (("width", width), ("widest", widest)):
        if not 1 <= value <= 1024:
            raise SpecError(f"{name} must be 1 to 1024, not {value}")
    return [min(width << (size.doublings - level), widest) for level in range(size.doublings + 1)]


def enlarged(images: Tensor, factor: int) -> Tensor:
    """``(n, c, h, w)`` to ``(n, c, h * factor, w * factor)``, every pixel a block."""
    return F.interpolate(images, scale_factor=float(factor), mode="nearest")


def reduced(images: Tensor, factor: int) -> Tensor:
    """``(n, c, h, w)`` to ``(n, c, h / factor, w / factor)``: the mean of every block.

    Values are premultiplied, so transparent pixels bring no colour into the mean.
    """
    return images if factor == 1 else F.avg_pool2d(images, factor)


def at_age(images: Tensor, network: Growing, size: Size) -> Tensor:
    """Real images ``(n, c, height, width)`` as a network of this age sees them, faded like its own (figure 2).

    During a fade of α they are lerp(enlarged means, images, α) at the next level's size.
    """
    level, alpha = network.stage()
    images = reduced(images, 1 << (size.doublings - level - (alpha > 0)))
    return torch.lerp(enlarged(reduced(images, 2), 2), images, alpha) if alpha > 0 else images


def at_level(spec: GeneratorSpec, weights: Mapping[str, Tensor], level: int) -> tuple[GeneratorSpec, dict[str, Tensor]]:
    """The spec and weights of the smaller generator that the generator of ``spec`` was when it finished ``level``.

    Exact while the growth in ``weights`` is ``level``: later on, the layers below move on without that level's own
    image layer. Raises SpecError if ``weights`` have not finished the level, or the size has no doubling.
    """
    size, growth = spec.size, int(weights["growth"])
    if not 1 <= level <= growth // LEVEL:
        raise SpecError(f"level {level} is not finished: these weights have levels 1 to {growth // LEVEL}")
    widest: dict[str, Any] = {"width": weights[f"to_image.{level}.weight"].shape[1]}
    height, width = size.base_height << level, size.base_width << level
    smaller = replace(spec, height=height, width=width, options={**spec.options, **widest})
    kept = {name: value for name, value in weights.items() if _level_of(name) <= level}
    return smaller, {**kept, "growth": torch.tensor(level * LEVEL)}


def _level_of(name: str) -> int:
    """The level that the weight ``name`` first serves."""
    module, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    if module not in ("blocks", "to_image"):
        return 0
    return int(number) + (module == "blocks")


def _convolved(inputs: int, outputs: int) -> list[nn.Module]:
    return [EqualisedConv2d(inputs, outputs, 3, gain=_GAIN), nn.LeakyReLU(0.2)]


def _doubling(inputs: int, outputs: int) -> nn.Sequential:
    first, second = _convolved(inputs, outputs), _convolved(outputs, outputs)
    return nn.Sequential(nn.Upsample(scale_factor=2.0), *first, PixelNorm(), *second, PixelNorm())


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_convolved(inputs, inputs), *_convolved(inputs, outputs), nn.AvgPool2d(2))
