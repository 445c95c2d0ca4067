"""A stack of two generators: Huang et al. 2017, "Stacked Generative Adversarial Networks" (arXiv 1612.04357).

An encoder that was trained to tell classes gives features on its way; the upper generator makes features of a class and
noise, the lower one an image of features and noise. Where there are no classes, the upper one has noise alone.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.errors import SpecError
from core.networks.base import Generator
from core.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from core.networks.layers import ClassEmbedding, projection, split_by_widths
from core.spec import GeneratorSpec

SLOPE = 0.2


class StackedGenerator(Generator):
    """The whole stack (figure 1, right): a class and half of the latent → features → with the other half, the image.

    Options: ``width`` of the lower generator, a DCGAN's; ``features``, how many lie between the two.
    """

    learns_classes = True

    def __init__(self, spec: GeneratorSpec, width: int = 32, features: int = 128) -> None:
        super().__init__(spec)
        if spec.latent_dim < 2 or not 1 <= features <= 4096:
            raise SpecError("a stack needs a latent_dim of at least 2, and 1 to 4096 features")
        self.parts = [spec.latent_dim // 2, spec.latent_dim - spec.latent_dim // 2]
        self.upper = FeatureGenerator(self.parts[0], len(spec.classes), features)
        inner = replace(spec, latent_dim=features + self.parts[1], classes=(), codes=0, options={})
        self.lower = DCGANGenerator(inner, width)

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)`` in [-1, 1]."""
        above, below = split_by_widths(style, self.parts)
        return self.paint(self.upper(above, label), below)

    def paint(self, features: Tensor, noise: Tensor) -> Tensor:
        """The lower generator: ``(n, features)`` and its part of the latent to images.

        Features, whose mean square is 1, are shown with length 1, as ``ClassEmbedding`` shows a class: louder ones
        drown the noise, and each class is one picture.
        """
        return self.lower.synthesis(torch.cat([features / math.sqrt(features.shape[1]), noise], dim=1))


class FeatureGenerator(nn.Module):
    """The upper generator: noise ``(n, d)`` and a class to features ``(n, features)``."""

    def __init__(self, noise: int, classes: int, features: int) -> None:
        super().__init__()
        self.embed = ClassEmbedding(classes, noise) if classes else None
        inputs = noise * (2 if classes else 1)
        self.layers = nn.Sequential(*_dense(inputs, 2 * features), *_dense(2 * features, 2 * features))
        self.last = nn.Linear(2 * features, features)

    def forward(self, noise: Tensor, label: Tensor | None) -> Tensor:
        """``(n, d)`` and int64 ``(n,)`` to ``(n, features)``."""
        if self.embed is not None:
            shown = torch.zeros_like(noise) if label is None else self.embed(label)
            noise = torch.cat([noise, shown], dim=1)
        made: Tensor = self.last(self.layers(noise))
        return made


class StackedDiscriminator(DCGANDiscriminator):
    """That of images: a DCGAN's, which is told no class. Options: ``width``."""

    def __init__(self, spec: GeneratorSpec, width: int = 32) -> None:
        super().__init__(replace(spec, classes=()), width)


class FeatureDiscriminator(nn.Module):
    """That of features ``(n, features)``: what its score rests on, as in ``Discriminator``.

    Where there are classes the score is a projection. The paper's is not told the
    class; then the error of the class alone decides which features belong to it, and each class becomes nearly one
    point (measured: benchmarks/RESULTS.md).
    """

    def __init__(self, features: int, width: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, width),
            nn.LeakyReLU(SLOPE, True),
            nn.Linear(width, width),
            nn.BatchNorm1d(width),
            nn.LeakyReLU(SLOPE, True),
        )

        self.feature_dim = width
        self.last = nn.Linear(width, 1)
        self.embed = nn.Embedding(classes, width) if classes else None
        if self.embed is not None:
            nn.init.zeros_(self.embed.weight)

    def features(self, x: Tensor) -> Tensor:
        """``(n, features)`` to ``(n, feature_dim)``."""
        seen: Tensor = self.layers(x)
        return seen

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, feature_dim)`` and int64 ``(n,)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features).flatten()
        return logits + projection(features, self.embed, label)


class Encoder(nn.Module):
    """A classifier whose last features are of mean square 1, so that a generator knows their range.

    Where there are no classes it learns nothing, and its features are those of a random network.
    """

    def __init__(self, spec: GeneratorSpec, width: int, features: int) -> None:
        super().__init__()
        self.trunk = DCGANDiscriminator(replace(spec, classes=()), width, "batch")
        del self.trunk.last  # it scores nothing
        self.connect = nn.Linear(self.trunk.feature_dim, features)
        self.norm = nn.LayerNorm(features, elementwise_affine=False)
        self.last = nn.Linear(features, max(len(spec.classes), 1))

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels, height, width)`` to features ``(n, features)``."""
        features: Tensor = self.norm(self.connect(self.trunk.features(images)))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """``(n, features)`` to the logits ``(n, classes)`` of the classes."""
        logits: Tensor = self.last(nn.functional.leaky_relu(features, SLOPE))
        return logits


def _dense(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(True)]
