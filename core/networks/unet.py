"""U-Net: Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), as pix2pix has it: Isola et al. 2017 (arXiv
1611.07004), section 6.1.1, for any size a small base can double to and sources of another size."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.errors import SpecError
from core.networks.base import Translator
from core.networks.dcgan import check_width
from core.networks.translating import (
    NORMS,
    UPS,
    Norm,
    Up,
    check_between,
    check_choice,
    doubling_layers,
    entry_step,
    initialise,
    norm_layers,
    ranged,
    resized,
    sides_at,
)
from core.spec import GeneratorSpec

SLOPE = 0.2
DROPPED = 3  # how many doublings have dropout, from the innermost (section 6.1.1: CD512-CD512-CD512)


class Maps(NamedTuple):
    """What a stage gives."""

    channels: int
    height: int
    width: int


class UNet(Translator):
    """Halve the source down to a small map, double that to the target, and show each doubling the map of its size.

    Options: ``width``, the channels at the target's size (and at larger ones), doubled with every halving up to
    ``widest`` times the width; ``levels``, how often the source is halved (0, as the paper: while both sides are even,
    so that powers of two end at one pixel, which knows the whole picture); ``norm``, "batch" (the paper),
    "instance" or "none"; ``up``, "resize" or "transposed" (the paper); ``stem``, a convolution at the source's own
    size, whose maps the last layer sees beside the source, so that lines stay where they are (without it the network
    is the paper's: its first maps are half the size); ``residual``, whether what is made is added to the source;
    ``dropout`` of the innermost doublings, in training alone.

    RGBA to RGBA by default: 1.89 M parameters and 0.20 GFLOP an image at 64x64, 2.45 M and 0.80 GFLOP at 128x128.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 16,
        widest: int = 8,
        levels: int = 0,
        norm: Norm = "batch",
        up: Up = "resize",
        stem: bool = True,
        residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(spec)
        check_width(width)
        check_between("widest", widest, 1, 64)
        check_choice("norm", norm, NORMS)
        check_choice("up", up, UPS)
        check_between("dropout", dropout, 0.0, 0.9)
        if residual and self.source.channels != spec.channels:
            raise SpecError(
                f"residual adds to the source: {self.source.channels} channels cannot become {spec.channels}"
            )
        self.residual = residual
        self.first = first = entry_step(spec)
        last = first + self._halvings(levels)

        def maps(step: int) -> Maps:
            """At the target's size halved ``step`` times. The paper's first maps, of half the size, have the width."""
            doubled = min(1 << max(step if stem else step - 1, 0), widest)
            return Maps(width * doubled, *sides_at(spec.size, step))

        # Down: every map but the innermost is kept for the way up.
        inputs = maps(first).channels if stem else self.source.channels
        self.stem = _stem(self.source.channels, inputs) if stem else None
        self.down, shown = nn.ModuleList(), {first: inputs}
        for step in range(first + 1, last + 1):
            plain = step == last or not (stem or self.down)  # the innermost, and what sees the source
            self.down.append(_halving(inputs, maps(step), "none" if plain else norm, step == last))
            inputs = shown[step] = maps(step).channels

        # Up: each sees the one before it and the map of that one's size.
        self.up = nn.ModuleList()
        for step in range(last - 1, -1 if stem else 0, -1):
            self.up.append(_doubling(inputs, maps(step), norm, up, dropout if last - step <= DROPPED else 0.0))
            inputs = maps(step).channels + shown.get(step, 0)
        image = nn.Conv2d(inputs + self.source.channels, spec.channels, 3, 1, 1)
        self.image = image if stem else nn.Sequential(*doubling_layers(up, inputs, spec.channels, bias=True))
        initialise(self, norm)

    def _halvings(self, levels: int) -> int:
        """How often the source is halved. Raises SpecError where it cannot be, or is left larger than the target."""
        size = self.spec.size
        most = size.doublings - self.first
        height, width = size.base_height, size.base_width
        while height % 2 == width % 2 == 0:
            height, width, most = height // 2, width // 2, most + 1
        least = max(1 - self.first, 1)
        if levels and not least <= levels <= most:
            raise SpecError(f"levels must be 0 (all), or {least} to {most} at this size, not {levels}")
        return levels or most

    def forward(self, source: Tensor) -> Tensor:
        """Sources ``(n, c, h, w)`` to images ``(n, c', h', w')``, in the value range unless ``residual``."""
        at_target = resized(source, self.spec.height, self.spec.width)
        x = resized(source, *sides_at(self.spec.size, self.first))

        # Down
        kept = []
        if self.stem is not None:
            x = self.stem(x)
        for halving in self.down:
            kept.append(x)
            x = halving(x)

        # Up, where the largest maps have no partner if the target is larger, and are not wanted if it is smaller.
        for doubling in self.up:
            x = doubling(x)
            if kept:
                x = torch.cat([x, kept.pop()], dim=1)
        if self.stem is not None:
            x = torch.cat([x, at_target], dim=1)
        made: Tensor = self.image(x)
        return at_target + made if self.residual else ranged(made, self.spec.value_range)


def _stem(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.LeakyReLU(SLOPE, True))


def _halving(inputs: int, maps: Maps, norm: Norm, innermost: bool) -> nn.Module:
    normed = norm_layers(norm, *maps)
    convolution = nn.Conv2d(inputs, maps.channels, 4, 2, 1, bias=not normed)
    return nn.Sequential(convolution, *normed, nn.ReLU(True) if innermost else nn.LeakyReLU(SLOPE, True))


def _doubling(inputs: int, maps: Maps, norm: Norm, up: Up, dropout: float) -> nn.Module:
    normed = norm_layers(norm, *maps)
    layers = [*doubling_layers(up, inputs, maps.channels, not normed), *normed]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []), nn.ReLU(True))
