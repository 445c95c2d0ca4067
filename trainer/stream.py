"""The pack as an endless stream of batches whose order is a function of (seed, images seen) alone."""

import numpy as np
import torch

from core.pixels import to_values
from core.spec import GeneratorSpec
from trainer.data.classes import members
from trainer.data.pack import Pack
from trainer.data.sampler import OF_SOURCES, Order, balanced, indices
from trainer.objective.corruption import SOURCES
from trainer.systems.players import Batch


class Stream:
    """Real images in training order, on the training device."""

    def __init__(
        self,
        pack: Pack,
        spec: GeneratorSpec,
        seed: int,
        device: torch.device,
        balance: bool = False,
        apart: bool = False,
    ) -> None:
        self.pack = pack
        self.spec = spec
        self.seed = seed
        self.device = device
        self.rows = pack.rows("train")
        self.members = members(pack, self.rows) if balance else None
        sources = spec.source is not None and spec.source.origin == SOURCES
        self.source_rows = pack.source_rows("train") if sources else None
        # A translator that is told no answers sees both sides in orders of their own, whether or not they are pairs.
        self.apart = apart

    def read(self, images_seen: int, count: int, step: int) -> Batch:
        """The ``count`` images that follow ``images_seen`` images, for round ``step``."""
        chosen = self._chosen(images_seen, count)
        images = self._place(self.pack.gather(chosen))  # (n, h, w, c)
        labels = self.pack.labels if self.spec.classes and not self.spec.found_its_classes else None
        shown = None if labels is None else self._place(np.asarray(labels[chosen]))
        sources = self._sources(chosen, images_seen, count)
        return Batch(to_values(images, self.spec.value_range), shown, step, sources)

    def _chosen(self, start: int, length: int) -> Order:
        if self.members is None:
            return self.rows[indices(len(self.rows), self.seed, start, length)]
        return balanced(self.members, self.seed, start, length)

    def _sources(self, chosen: Order, start: int, length: int) -> torch.Tensor | None:
        """The sources of the ``chosen`` images, or as many of any."""
        if self.source_rows is None:
            return None
        if self.apart:
            chosen = self.source_rows[indices(len(self.source_rows), self.seed, start, length, OF_SOURCES)]
        return to_values(self._place(self.pack.gather_sources(chosen)), self.spec.value_range)

    def _place(self, array: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            # From pinned memory the copy runs beside the computation.
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)
