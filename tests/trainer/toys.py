"""Networks small enough to compute by hand, and the adversarial system of them."""

from unittest.mock import patch

import torch
from torch import Tensor, nn

from core.networks import DISCRIMINATORS, GENERATORS
from core.networks.base import Discriminator, Generator
from core.spec import GeneratorSpec
from trainer.settings.config import TrainConfig
from trainer.systems import build_system
from trainer.systems.adversarial import Adversarial
from trainer.systems.players import Batch

A, B, C = 0.02, 0.3, 0.7
CPU = torch.device("cpu")
SPEC = GeneratorSpec("dcgan", 8, 8, 1, 3, classes=("a", "b", "c"))
LABELS = torch.tensor([0, 1, 2, 1])


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
    """G(z, k, c) = W z / 4 + k / 10 + Σc / 5."""

    learns_classes = learns_codes = True

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        self.weight = nn.Parameter(torch.randn(spec.channels * spec.height * spec.width, spec.latent_dim) / 4)

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        by_class = 0.0 if label is None else label[:, None] / 10
        by_codes = 0.0 if codes is None else codes.sum(dim=1, keepdim=True) / 5
        return (style @ self.weight.T + by_class + by_codes).unflatten(
            1, (self.spec.channels, self.spec.height, self.spec.width)
        )


def system_of(spec: GeneratorSpec = SPEC, **changes: object) -> Adversarial:
    """The adversarial system of a critic and a painter, by default of Wasserstein without any penalty."""
    config = TrainConfig("by hand", **{"loss": "wasserstein", "augment": (), "latent_dim": 3, **changes})
    with patch.dict(GENERATORS, dcgan=Painter), patch.dict(DISCRIMINATORS, dcgan=Critic):
        system = build_system(config, spec, CPU)
    assert isinstance(system, Adversarial)
    system.begin(0)
    return system


def batch(step: int = 0, labels: Tensor | None = LABELS) -> Batch:
    return Batch(torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(step)) * 2 - 1, labels, step)


def score(images: Tensor, labels: Tensor | None = LABELS) -> Tensor:
    x = images.detach().flatten(1)
    return A * x.sum(dim=1) + B * x.square().sum(dim=1) / 2 + (0.0 if labels is None else C * labels)


def slopes(images: Tensor) -> Tensor:
    """‖∇D‖² of each image, ``(n,)``."""
    return (A + B * images.detach().flatten(1)).square().sum(dim=1)
