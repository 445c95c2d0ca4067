"""One translator that is told the right answers (Isola et al. 2017), against a discriminator of patches, or alone."""

from typing import NamedTuple

import torch
from torch import Tensor

from core.spec import GeneratorSpec
from trainer.objective.augmentation import augment_alike
from trainer.settings.config import TrainConfig
from trainer.settings.translation import Pairing
from trainer.systems.adversarial import optimiser
from trainer.systems.players import DISCRIMINATOR, GENERATOR, Batch, Player, Stats, frozen
from trainer.systems.translating import Translating, sources_of


class Pair(NamedTuple):
    """Sources ``(n, c, h, w)`` of one round, their targets ``(n, c', h', w')``, and what was made of them."""

    step: int
    source: Tensor
    target: Tensor
    made: Tensor


class Paired(Translating):
    """The discriminator moves first, then the translator against what it has become; without one, the translator alone.

    The generator's noise is the dropout of its network, where that has any (section 2.1).
    """

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        super().__init__(config, spec, device)
        self.pairing = Pairing.of(config.pairing)
        self.generator = self.translator(GENERATOR, spec)
        self.generators = {GENERATOR: self.generator}
        self.players = [Player(GENERATOR, optimiser(config, self.generator), self.generator_loss)]
        if self.pairing.adversarial:
            self.discriminator = self.patch_discriminator(DISCRIMINATOR, spec)
            first = Player(DISCRIMINATOR, optimiser(config, self.discriminator), self.discriminator_loss)
            self.players = [first, *self.players]
        self._round: Pair | None = None

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell targets from what was made, each beside its source."""
        pair = self._pair(batch)
        return self.patch_discriminator_loss(self.discriminator, pair.target, pair.made, pair.source, batch.step)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """λ E ‖y - G(x)‖₁, and what the discriminator says (equation 4)."""
        pair, self._round = self._pair(batch), None
        distance = (pair.made.float() - pair.target).abs().mean()
        loss = self.pairing.l1 * distance
        if self.pairing.adversarial:
            with frozen(self.discriminator):
                loss = loss + self.pairing.adversarial * self.patch_generator_loss(
                    self.discriminator, pair.target, pair.made, pair.source
                )
        low, high = self.spec.value_range
        return loss, {"l1": distance.detach() * 255 / (high - low)}  # in levels of 255

    def given(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The round's sources and targets, moved alike."""
        source, target = augment_alike(self.now.augment, self.now.augment_p, sources_of(batch), batch.images)
        return source, target

    def _pair(self, batch: Batch) -> Pair:
        """What is made in this round. The translator moves last, so both players can judge one forward pass."""
        if self._round is None or self._round.step != batch.step:
            source, target = self.given(batch)
            self._round = Pair(batch.step, source, target, self.generator(source))
        return self._round
