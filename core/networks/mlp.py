"""Two perceptrons: Goodfellow et al. 2014 (arXiv 1406.2661), section 5; with labels, Mirza and Osindero 2014.

Widths and normalisation are those that people learn from today; the paper's own had maxout and dropout.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.layers import ClassEmbedding, conditioned, conditioned_dim
from core.spec import GeneratorSpec

SLOPE = 0.2
MOMENTUM = 0.2  # how much of a batch the running statistics take


class MLPGenerator(Generator):
    """Blocks of a dense layer, leaky ReLU and batch norm, each twice as wide as the last, then every pixel at once.

    Options: ``width`` of the first block; ``blocks``.
    """

    learns_classes = learns_codes = True

    def __init__(self, spec: GeneratorSpec, width: int = 256, blocks: int = 3) -> None:
        super().__init__(spec)
        widths = _widths(width, blocks)
        self.embed = ClassEmbedding(len(spec.classes), spec.latent_dim) if spec.classes else None

        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([conditioned_dim(spec), *widths]):
            layers += [
                nn.Linear(inputs, outputs),
                nn.LeakyReLU(SLOPE, True),
                nn.BatchNorm1d(outputs, momentum=MOMENTUM),
            ]
        self.layers = nn.Sequential(*layers)
        self.image = nn.Linear(widths[-1], spec.channels * spec.height * spec.width)

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)`` in [-1, 1]."""
        x = self.layers(conditioned(style, self.spec, self.embed, label, codes))  # (n, widest)
        values = torch.tanh(self.image(x))  # (n, channels * height * width)
        return values.reshape(-1, self.spec.channels, self.spec.height, self.spec.width)


class MLPDiscriminator(Discriminator):
    """The image as one long vector, a label's embedding beside it, through blocks that narrow to the score.

    Options: ``width`` of the first block; ``blocks``, each half as wide as the last.
    """

    def __init__(self, spec: GeneratorSpec, width: int = 512, blocks: int = 2) -> None:
        widths = _widths(width >> (blocks - 1), blocks)[::-1]
        super().__init__(spec, widths[-1])
        pixels = spec.channels * spec.height * spec.width
        self.embed = nn.Embedding(len(spec.classes), widths[0]) if spec.classes else None
        inputs = pixels + (widths[0] if spec.classes else 0)
        layers: list[nn.Module] = []
        for before, after in pairwise([inputs, *widths]):
            layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE, True)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(widths[-1], 1)

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, height, width)`` to ``(n, narrowest)``."""
        x = images.flatten(1)
        if self.embed is not None:
            shown = x.new_zeros(len(x), self.embed.embedding_dim) if label is None else self.embed(label)
            x = torch.cat([x, shown], dim=1)
        features: Tensor = self.layers(x)
        return features

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, narrowest)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features)  # (n, 1)
        return logits.flatten()


def _widths(width: int, blocks: int) -> list[int]:
    """Each twice the last."""
    for name, value, most in (("width", width, 4096), ("blocks", blocks, 8)):
        if not 1 <= value <= most:
            raise SpecError(f"{name} must be 1 to {most}, not {value}")
    return [width << step for step in range(blocks)]
