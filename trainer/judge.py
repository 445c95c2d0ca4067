"""Judging a run while it trains: KID of the averaged generator at set moments, and the best one kept."""

import torch

from core.checkpoint import save_generator
from core.errors import DataError
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.log import Report
from trainer.loop import Training
from trainer.metrics.extractor import Extractor, lite0
from trainer.metrics.features import MOST_REALS, fake_features, inputs_like, maker, real_features
from trainer.metrics.kid import kid
from trainer.plateau import Looks, conclusion, looks_of, newly_stalled, said_of
from trainer.run import KID, Run


class Judge:
    """A hook: seeds 0 … ``samples`` - 1 against the pack, into the log; the generator of the least KID into a file.

    ``reals`` of the pack are compared with, all if 0. Once KID no longer falls, it says so, and at the end what the
    looks come to; ``settled_kimg`` is when the run's own plan ends (trainer/plateau.py).
    """

    def __init__(
        self,
        run: Run,
        spec: GeneratorSpec,
        pack: Pack,
        samples: int,
        device: torch.device,
        report: Report,
        extractor: Extractor | None = None,
        reals: int = 0,
        settled_kimg: float = 0.0,
    ) -> None:
        if len(pack) < 2:
            raise DataError(f"the pack {pack.info.name} is too small for KID: use --metric-every 0")
        self.run, self.spec, self.report = run, spec, report
        self.extractor = extractor or lite0(device)
        self.inputs = inputs_like(pack, spec, range(samples))
        report({"note": f"{KID}: looking at the real images, once for this pack"})
        self.reals = real_features(pack, self.extractor, most=reals or MOST_REALS)
        self.settled_kimg = settled_kimg
        self.best = self._best_so_far()

    def __call__(self, training: Training) -> None:
        """Judge the averaged generator as it is now."""
        fakes = fake_features(maker(training.average), self.inputs, self.extractor)
        found, seen = round(kid(fakes, self.reals), 6), training.images_seen
        better = found < self.best
        if better:
            self.best = found
            save_generator(self.run.best, training.average, self.spec.with_provenance(images_seen=seen))
        # After the file, so that what the log calls the best is there.
        self.run.append_log({"images": seen, KID: found, "metric_samples": len(fakes)})
        self.report({"note": f"{KID} {found:.4f} after {seen:,} images{', the best so far' if better else ''}"})
        self._conclude(looks_of(self.run.read_log()), seen >= training.config.images)

    def _conclude(self, looks: Looks, finished: bool) -> None:
        """Say whether KID still falls: at the end, and before it once it no longer does."""
        if finished:
            self.report({"note": conclusion(looks, self.settled_kimg)})
        elif newly_stalled(looks):
            self.report({"note": said_of(looks, self.settled_kimg)})

    def _best_so_far(self) -> float:
        """The least KID of the part of the run that is already there."""
        found = [line[KID] for line in self.run.read_log() if KID in line]
        return min(found, default=float("inf")) if self.run.best.exists() else float("inf")
