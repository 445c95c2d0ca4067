"""Resize, then convolve: a generator that cannot make checkerboards, and a discriminator that pools.

Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard Artifacts". No normalisation, the same few channels at
every size: about the smallest convolutional GAN that works.
"""

import math

from torch import Tensor, nn

from core.networks.base import Discriminator, Generator
from core.networks.dcgan import check_width
from core.networks.layers import ClassEmbedding, LabelMap, conditioned, conditioned_dim
from core.spec import GeneratorSpec

SLOPE = 0.2


class UpConvGenerator(Generator):
    """A dense layer to the base, then (double by nearest neighbours, convolve 3x3, ReLU) up to the image.

    Option: ``width``, the channels of every map.
    """

    learns_classes = learns_codes = True

    def __init__(self, spec: GeneratorSpec, width: int = 64) -> None:
        super().__init__(spec)
        check_width(width)
        size = spec.size

        self.base = (width, size.base_height, size.base_width)
        self.embed = ClassEmbedding(len(spec.classes), spec.latent_dim) if spec.classes else None
        self.project = nn.Sequential(
            nn.Linear(conditioned_dim(spec), width * size.base_height * size.base_width), nn.ReLU(True)
        )

        layers: list[nn.Module] = []
        for _ in range(size.doublings):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(True)]
        image = nn.Conv2d(width, spec.channels, 3, 1, 1)
        self.layers = nn.Sequential(*layers, image)

        self.apply(initialise)
        nn.init.normal_(image.weight, 0.0, 0.25 * math.sqrt(2 / image.weight[0].numel()))  # well within the range

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)``; values are not limited, pixels are clamped.

        A tanh would be driven to its end, where no gradient is left, before there are shapes: nothing here is normed.
        """
        x = self.project(conditioned(style, self.spec, self.embed, label, codes)).unflatten(
            1, self.base
        )  # (n, width, base)
        images: Tensor = self.layers(x)
        return images


class UpConvDiscriminator(Discriminator):
    """(Convolve 3x3, leaky ReLU, mean of four pixels) down to the base, a dense layer, then one score.

    Options: ``width``, the channels of every map; ``dense``, the width of that layer: a score that is linear in maps
    which each saw ten pixels would only know strokes, not whether they make a whole. A label is shown as one more
    channel of the image.
    """

    def __init__(self, spec: GeneratorSpec, width: int = 64, dense: int = 256) -> None:
        check_width(width)
        check_width(dense, "dense")
        size = spec.size
        super().__init__(spec, dense)
        self.label = LabelMap(len(spec.classes), spec.height, spec.width) if spec.classes else None

        layers: list[nn.Module] = []
        inputs = spec.channels + bool(spec.classes)
        for _ in range(size.doublings):
            layers += [nn.Conv2d(inputs, width, 3, 1, 1), nn.LeakyReLU(SLOPE, True), nn.AvgPool2d(2)]
            inputs = width
        base = nn.Linear(width * size.base_height * size.base_width, dense)
        self.layers = nn.Sequential(*layers, nn.Flatten(), base, nn.LeakyReLU(SLOPE, True))

        self.last = nn.Linear(dense, 1)
        self.apply(initialise)
        nn.init.normal_(self.last.weight, 0.0, 0.02)  # scores near 0, where a sigmoid is steepest

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, height, width)`` to ``(n, feature_dim)``."""
        if self.label is not None:
            images = self.label.append_map(images, label)
        x: Tensor = self.layers(images)
        return x

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, feature_dim)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features)  # (n, 1)
        return logits.flatten()


def initialise(module: nn.Module) -> None:
    """He et al. 2015, equation 10: without norms, smaller weights let the latent fade on its way to the image."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
