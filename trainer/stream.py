"""The pack as an endless stream of batches whose order is a function of (seed, images seen)."""

import numpy as np
import torch

from core.pixels import to_values
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.data.sampler import indices
from trainer.systems.players import Batch


class Stream:
    """Real images in training order, on the training device."""

    def __init__(self, pack: Pack, spec: GeneratorSpec, batch: int, seed: int, device: torch.device) -> None:
        self.pack = pack
        self.spec = spec
        self.batch = batch
        self.seed = seed
        self.device = device

    def read(self, images_seen: int) -> Batch:
        """The batch that follows ``images_seen`` images."""
        chosen = indices(len(self.pack), self.seed, images_seen, self.batch)
        images = self._place(self.pack.gather(chosen))  # (n, h, w, c)
        labels = None if self.pack.labels is None else self._place(np.asarray(self.pack.labels[chosen]))
        return Batch(to_values(images, self.spec.value_range), labels, images_seen // self.batch)

    def _place(self, array: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            # From pinned memory the copy runs beside the computation.
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)
