"""The modules that ship: a generator between the contract's inputs and finished pixels, whole and in two parts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.contract import (
    SOURCE,
    Port,
    input_ports,
    mapping_ports,
    output_port,
    sample_inputs,
    style_port,
    synthesis_ports,
)
from core.images import Images
from core.networks.base import Generator, Maker
from core.pixels import to_pixels
from core.spec import IGNORES_TRUNCATION


class Graph(nn.Module):
    """What is traced is the whole of what a runtime does: ``takes`` in, ``gives`` out."""

    def __init__(self, generator: Maker) -> None:
        super().__init__()
        self.generator = generator
        self.eval()

    @property
    def takes(self) -> tuple[Port, ...]:
        """The inputs: those of the spec."""
        return input_ports(self.generator.spec)

    @property
    def gives(self) -> Port:
        """The output: the spec's images."""
        return output_port(self.generator.spec)

    def samples(self, count: int) -> dict[str, NDArray[Any]]:
        """``count`` rows of every input, to trace with."""
        known = sample_inputs(self.generator.spec, range(count))  # drawn pictures do, for tracing
        return {port.name: known.get(port.name, np.ones((count, *port.shape), np.float32)) for port in self.takes}

    def made_of(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """What PyTorch makes of rows of the inputs, by name, on whatever device the generator is."""
        device = self.generator.device
        given = {name: torch.from_numpy(np.ascontiguousarray(value)).to(device) for name, value in inputs.items()}
        with torch.inference_mode():
            return np.asarray(self(**given).cpu())


class WholeGraph(Graph):
    """A graph from the contract's inputs to pixels: what every bundle holds."""

    def images(self, inputs: Mapping[str, NDArray[Any]]) -> Images:
        """The images (n, h, w, c) PyTorch makes of the contract's inputs by name."""
        return self.made_of(inputs)


class TranslatorGraph(WholeGraph):
    """A picture in, straight-alpha pixels out."""

    def forward(self, source: Tensor) -> Tensor:
        """UINT8 ``source`` (n, h, w, c) to uint8 images (n, h', w', c')."""
        return self.generator.pixels({SOURCE: source})


class LatentGraph(Graph):
    """A graph of a generator that takes latents, or of a part of one."""

    generator: Generator

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)

    def truncation(self, given: Tensor) -> Tensor:
        """What truncation is ``given`` becomes: 1 where it would break the images, or does nothing to them."""
        return torch.ones_like(given) if self.generator.spec.options.get(IGNORES_TRUNCATION) else given

    @property
    def styles(self) -> Port:
        """What lies between the two parts of a generator that has styles."""
        return style_port(self.generator.style_layers, len(self.generator.latent_mean))


class ExportGraph(LatentGraph, WholeGraph):
    """Latents in, straight-alpha pixels out."""

    def forward(
        self,
        z: Tensor,
        truncation: Tensor,
        label: Tensor | None = None,
        codes: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """FP32 ``z`` (n, latent_dim), ``truncation`` (n, 1), ``codes`` (n, K) and ``noise`` (n, noise_dim), INT64
        ``label`` (n, 1), to uint8 images (n, h, w, c)."""
        others = {"label": label, "codes": codes, "noise": noise}
        given = {name: value for name, value in others.items() if value is not None}
        return self.generator.pixels({"z": z, "truncation": self.truncation(truncation), **given})

    def values(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The values (n, c, h, w) that the generator makes of the contract's inputs by name, before they are pixels."""
        given = {name: torch.from_numpy(value) for name, value in inputs.items()}
        label = given["label"][:, 0] if "label" in given else None
        with torch.inference_mode():
            made = self.generator(given["z"], label, given.get("codes"), given["truncation"], given.get("noise"))
        return np.asarray(made)


class MappingGraph(LatentGraph):
    """The first part: latents in, truncated styles out."""

    @property
    def takes(self) -> tuple[Port, ...]:
        """The inputs of the whole, without noise."""
        return mapping_ports(self.generator.spec)

    @property
    def gives(self) -> Port:
        """The styles."""
        return self.styles

    def forward(
        self, z: Tensor, truncation: Tensor, label: Tensor | None = None, codes: Tensor | None = None
    ) -> Tensor:
        """As the whole takes them, to FP32 ``w`` (n, style_layers, style_dim), every layer's the same."""
        classes = None if label is None else label[:, 0]
        w = self.generator.truncated(
            self.generator.mapping(z, classes, codes), self.truncation(truncation)
        )  # (n, style_dim)
        return w[:, None].repeat(1, self.generator.style_layers, 1)


class SynthesisGraph(LatentGraph):
    """The second part: styles in, straight-alpha pixels out."""

    @property
    def takes(self) -> tuple[Port, ...]:
        """The styles, and noise where it is an input."""
        return synthesis_ports(self.generator.spec, self.styles)

    def forward(self, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """FP32 ``w`` (n, style_layers, style_dim) and ``noise`` (n, noise_dim) to uint8 images (n, h, w, c)."""
        given = {} if noise is None else {"noise": noise}
        return to_pixels(self.generator.synthesis(w, **given), self.generator.spec.value_range)


def whole_graph(generator: Maker) -> WholeGraph:
    """What ships of a generator or a translator."""
    return ExportGraph(generator) if isinstance(generator, Generator) else TranslatorGraph(generator)


def part_graphs(generator: Maker) -> tuple[MappingGraph, SynthesisGraph] | None:
    """What ships besides of a generator that has styles; None for the others."""
    if not (isinstance(generator, Generator) and generator.style_layers):
        return None
    return MappingGraph(generator), SynthesisGraph(generator)
