"""The module that ships: a generator between the contract's inputs and finished pixels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.images import Images
from core.networks.base import Generator
from core.pixels import to_pixels


class ExportGraph(nn.Module):
    """Latents in, straight-alpha pixels out. What is traced here is the whole of what a runtime does."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.eval()

    def forward(
        self, z: Tensor, truncation: Tensor, label: Tensor | None = None, codes: Tensor | None = None
    ) -> Tensor:
        """FP32 ``z`` (n, latent_dim), ``truncation`` (n, 1) and ``codes`` (n, K), INT64 ``label`` (n, 1), to
        uint8 images (n, h, w, c)."""
        classes = None if label is None else label[:, 0]
        values = self.generator(z, classes, codes, truncation)  # (n, c, h, w)
        return to_pixels(values, self.generator.spec.value_range)

    def images(self, inputs: Mapping[str, NDArray[Any]]) -> Images:
        """The images (n, h, w, c) PyTorch makes of the contract's inputs by name."""
        with torch.inference_mode():
            pixels = self(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        return np.asarray(pixels.numpy(), np.uint8)
