"""A translator that learns to undo what was done to its images (Vincent et al. 2008): no pairs are needed."""

import torch
from torch import Tensor

from core.pixels import to_pixels, to_values
from core.spec import GeneratorSpec
from trainer.objective.augmentation import augment_alike
from trainer.objective.corruption import Corruption
from trainer.settings.config import TrainConfig
from trainer.systems.paired import Paired
from trainer.systems.players import Batch


class Autoencoder(Paired):
    """As ``Paired``, with sources that are made of the targets anew in every round.

    A pack that has aligned sources of its own is translated from those where only colours are missing.
    """

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        super().__init__(config, spec, device)
        assert spec.source is not None
        self.corruption = Corruption.parse(spec.source.origin)

    def given(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The round's sources, corrupted from its targets once these are augmented, and these targets."""
        if self.corruption is None:
            return super().given(batch)
        (target,) = augment_alike(self.now.augment, self.now.augment_p, batch.images)
        source = self.corruption.corrupt(to_pixels(target, self.spec.value_range))
        return to_values(source, self.spec.value_range), target
