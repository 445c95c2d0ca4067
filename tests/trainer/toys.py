"""Networks small enough to compute by hand."""

import torch
from torch import Tensor, nn

from core.networks.base import Discriminator, Generator
from core.spec import GeneratorSpec

A, B, C = 0.02, 0.3, 0.7


class Critic(Discriminator):
    """D(x, k) = a Σx + b ‖x‖² / 2 + c k, of slope a + b x at every pixel; it writes down what it is shown and told."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec, spec.channels * spec.height * spec.width)
        self.a, self.b, self.c = (nn.Parameter(torch.tensor(number)) for number in (A, B, C))
        self.shown: list[Tensor] = []
        self.told: list[Tensor | None] = []
        self.learning: list[bool] = []

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        self.shown.append(images)
        self.learning.append(self.a.requires_grad)
        return images.flatten(1)

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        self.told.append(label)
        by_class = 0.0 if label is None else self.c * label
        return self.a * features.sum(dim=1) + self.b * features.square().sum(dim=1) / 2 + by_class


class Painter(Generator):
    """G(z, k) = W z / 4 + k / 10."""

    learns_classes = True

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.weight = nn.Parameter(torch.randn(spec.channels * spec.height * spec.width, spec.latent_dim) / 4)

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        by_class = 0.0 if label is None else label[:, None] / 10
        return (style @ self.weight.T + by_class).unflatten(1, (self.spec.channels, self.spec.height, self.spec.width))
