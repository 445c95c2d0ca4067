"""Progressive growing: the adversarial game on images that grow (Karras et al. 2018, section 2)."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from core.errors import ConfigError
from core.networks import GENERATORS
from core.networks.base import Maker
from core.networks.progressive import LEVEL, Growing, ProgressiveGenerator, at_age
from core.spec import GeneratorSpec
from trainer.settings.config import TrainConfig
from trainer.settings.growth import Growth
from trainer.systems.adversarial import Adversarial, Conditions
from trainer.systems.players import Batch, Stats


class Progressive(Adversarial):
    """As ``Adversarial``, with both networks at the age that the images seen give them.

    Real images are reduced, and during a fade blended, on the device; fakes are drawn at their own size.
    """

    @classmethod
    def check(cls, config: TrainConfig, spec: GeneratorSpec) -> None:
        """Raise ConfigError for networks that cannot grow."""
        super().check(config, spec)
        if not issubclass(GENERATORS[config.family], ProgressiveGenerator):
            raise ConfigError(f"networks of family {config.family} cannot grow: --set family=progressive")

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.growth = Growth.of(config.growth)
        super().__init__(config, spec, device)

    @property
    def growing(self) -> ProgressiveGenerator:
        """The generator."""
        assert isinstance(self.generator, ProgressiveGenerator)
        return self.generator

    @property
    def growing_discriminator(self) -> Growing:
        """The discriminator."""
        assert isinstance(self.discriminator, Growing)
        return self.discriminator

    def begin(self, images_seen: int) -> int:
        """Grow both networks, and move every setting that has a schedule or differs by level."""
        grown = self.growth.grown(images_seen, self.spec.size.doublings)
        self.growing.grow(grown)
        self.growing_discriminator.grow(grown)
        return super().begin(images_seen)

    def finished(self, average: Maker, images_seen: int) -> Mapping[str, Maker]:
        """The generator of a level that is complete: the next round begins to fade in a larger one.

        Rounds are whole, so the schedule may be past the level's end already: the networks are not. The base is left
        out: no spec describes a generator that doubles nothing.
        """
        level, alpha = self.growing.stage()
        leaving = self.growth.grown(images_seen, self.spec.size.doublings) > level * LEVEL
        if alpha > 0 or level == 0 or not leaving:
            return {}
        assert isinstance(average, ProgressiveGenerator)
        smaller = average.standing()
        return {str(smaller.spec.size): smaller}

    def settings(self, images_seen: int) -> TrainConfig:
        """The settings of the round after ``images_seen`` images, at the level they reach."""
        now = super().settings(images_seen)
        batch, rate = self.growth.factors(self.growth.grown(images_seen, self.spec.size.doublings))
        return replace(
            now,
            batch=max(1, round(now.batch * batch)),
            learning_rate_g=now.learning_rate_g * rate,
            learning_rate_d=now.learning_rate_d * rate,
        )

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """The adversarial one, on images of the networks' age."""
        return super().discriminator_loss(self._aged(batch))

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """The adversarial one, on images of the networks' age."""
        loss, stats = super().generator_loss(self._aged(batch))
        level, alpha = self.growing.stage()
        return loss, {**stats, "level": torch.full((), level + alpha, device=loss.device)}

    def _aged(self, batch: Batch) -> Batch:
        return replace(batch, images=at_age(batch.images, self.growing_discriminator, self.spec.size))

    def _generate(self, z: Tensor, asked: Conditions) -> Tensor:
        return self.growing.paint(self.growing.mapping(z, asked.labels), asked.labels)
