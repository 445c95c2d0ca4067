"""A discriminator with more to say: which class an image is of (AC-GAN), or what it was asked to be (InfoGAN)."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import ConfigError
from core.spec import GeneratorSpec
from trainer.objective.losses import code_distance
from trainer.settings.config import TrainConfig
from trainer.settings.heads import Heads
from trainer.systems.adversarial import Adversarial, Conditions, DiscriminatorOutput
from trainer.systems.players import Batch, Stats


class WithHeads(Adversarial):
    """As ``Adversarial``, with linear heads on the discriminator's features, which learn together with it.

    The discriminator itself is told no labels: it has to see them (Odena et al. 2017, section 3). Both players
    minimise what the heads get wrong of fakes; the discriminator also, where the pack has classes, of real images.
    """

    @classmethod
    def check(cls, config: TrainConfig, spec: GeneratorSpec) -> None:
        """Raise ConfigError where there is nothing for heads to tell."""
        super().check(config, spec)
        if not (spec.classes or spec.codes):
            raise ConfigError("heads need something to tell: --conditional, heads.categories or heads.codes")

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.heads = Heads.of(config.heads)
        self.classes: nn.Linear | None = None
        self.codes: nn.Linear | None = None
        super().__init__(config, spec, device)

    def discriminator_spec(self) -> GeneratorSpec:
        """The spec without classes and codes."""
        return replace(super().discriminator_spec(), classes=(), codes=0)

    def build_networks(self) -> dict[str, nn.Module]:
        """Those of the game, and a head for classes and one for codes, whichever the spec has."""
        networks = super().build_networks()
        dim = self.discriminator.feature_dim
        if self.spec.classes:
            networks["classes"] = self.classes = nn.Linear(dim, len(self.spec.classes)).to(self.device)
        if self.spec.codes:
            networks["codes"] = self.codes = nn.Linear(dim, self.spec.codes).to(self.device)
        return networks

    def discriminator_networks(self) -> list[nn.Module]:
        """The discriminator and its heads."""
        return [*super().discriminator_networks(), *(head for head in (self.classes, self.codes) if head is not None)]

    def conditions(self, batch: Batch) -> Conditions:
        """The round's classes, or random categories, and codes uniform in [-1, 1] (Chen et al. 2016, section 7)."""
        count, device = len(batch.images), batch.images.device
        labels = batch.labels
        if self.heads.categories:
            labels = torch.randint(int(self.heads.categories), (count,), device=device)
        codes = torch.rand(count, self.spec.codes, device=device) * 2 - 1 if self.spec.codes else None
        return Conditions(labels, codes)

    def auxiliary_discriminator_loss(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, batch: Batch, asked: Conditions
    ) -> tuple[Tensor | float, Stats]:
        """The heads' errors on fakes, and on real images where those have classes."""
        loss, stats = self._errors(fake, asked, self.heads.fakes)
        if self.classes is not None and batch.labels is not None:
            seen = self.classes(real.features)
            loss = loss + self.heads.label * F.cross_entropy(seen, batch.labels)
            stats["accuracy"] = (seen.argmax(dim=1) == batch.labels).float().mean()
        return loss, stats

    def auxiliary_generator_loss(self, fake: DiscriminatorOutput, asked: Conditions) -> tuple[Tensor | float, Stats]:
        """The heads' errors on fakes: an image is to show what it was asked to be."""
        return self._errors(fake, asked)

    def _errors(
        self, fake: DiscriminatorOutput, asked: Conditions, share: float = 1.0
    ) -> tuple[Tensor | float, dict[str, Tensor]]:
        """The heads' losses on fakes; of classes that real images teach, too, ``share`` of theirs."""
        loss: Tensor | float = 0.0
        stats: dict[str, Tensor] = {}
        if self.classes is not None and asked.labels is not None:
            weight = self.heads.category if self.heads.categories else self.heads.label * share
            stats["class_error"] = F.cross_entropy(self.classes(fake.features), asked.labels)
            loss = weight * stats["class_error"]
        if self.codes is not None:
            assert asked.codes is not None
            stats["code_error"] = code_distance(self.codes(fake.features), asked.codes)
            loss = loss + self.heads.code * stats["code_error"]
        return loss, stats

    def _discriminate(self, images: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        return super()._discriminate(images, None)
