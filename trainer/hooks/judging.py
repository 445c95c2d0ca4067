"""Judging a run while it trains: a figure of the averaged generator at set moments, and the best one kept."""

import torch

from core.checkpoint import save_generator
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.hooks.log import Report
from trainer.hooks.measures import measure_of
from trainer.hooks.plateau import Looks, conclusion, looks_of, newly_stalled, said_of
from trainer.loop import Training
from trainer.metrics.extractor import Extractor, lite0
from trainer.run import KID, Run


class Evaluator:
    """A hook: the measure of a run (trainer/hooks/measures.py) into the log, and what is best by it into files.

    Once it no longer falls, it says so, and at the end what the looks come to; ``settled_kimg`` is when the run's own
    plan ends (trainer/hooks/plateau.py).
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
        apart: bool = False,
    ) -> None:
        self.run, self.report = run, report

        def looking() -> Extractor:
            report({"note": f"{KID}: looking at the real images, once for this pack"})
            return extractor or lite0(device)

        self.measure = measure_of(spec, pack, samples, looking, reals, apart)
        self.settled_kimg = settled_kimg
        self.best = self._best_so_far()

    def __call__(self, training: Training) -> None:
        """Judge the averaged generators as they are now."""
        name, seen = self.measure.name, training.images_seen
        found = round(self.measure.takes(training.averages), 6)
        better = found < self.best
        if better:
            self.best = found
            self._keep(training)
        # After the files, so that what the log calls the best is there.
        self.run.append_log({"images": seen, name: found, "metric_samples": self.measure.samples})
        self.report({"note": f"{name} {found:.4f} after {seen:,} images{', the best so far' if better else ''}"})
        self._conclude(looks_of(self.run.read_log()), seen >= training.config.images)

    def _keep(self, training: Training) -> None:
        """Write every averaged generator, the first one last: where that is, all are."""
        paths = self.run.best_of(training.averages)
        for path, average in reversed([*zip(paths, training.averages.values(), strict=True)]):
            save_generator(path, average, average.spec.with_provenance(images_seen=training.images_seen))

    def _conclude(self, looks: Looks, finished: bool) -> None:
        """Say whether it still falls: at the end, and before it once it no longer does."""
        if finished:
            self.report({"note": conclusion(looks, self.settled_kimg, self.measure.name)})
        elif newly_stalled(looks):
            self.report({"note": said_of(looks, self.settled_kimg, self.measure.name)})

    def _best_so_far(self) -> float:
        """The least of the part of the run that is already there."""
        name = self.measure.name
        found = [line[name] for line in self.run.read_log() if name in line]
        return min(found, default=float("inf")) if self.run.best.exists() else float("inf")
