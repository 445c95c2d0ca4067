"""The smaller generators a run finishes on its way, such as the levels of one that grows, kept to be exported."""

import re

from core.checkpoint import read_spec, save_generator
from core.errors import CheckpointError
from trainer.hooks.log import Report
from trainer.loop import Training
from trainer.run import Run

_LEVEL = re.compile(r"[0-9]+x[0-9]+")


class Levels:
    """A hook for after every round: what the system has finished with it goes into a file of the run.

    Those finished after ``images_seen`` images are forgotten: a continued run finishes them again.
    """

    def __init__(self, run: Run, report: Report, images_seen: int) -> None:
        self.run, self.report = run, report
        for path in run.levels.glob("*.safetensors"):
            try:
                later = read_spec(path).provenance.images_seen > images_seen
                if later and _LEVEL.fullmatch(path.stem):  # others were put here by somebody
                    path.unlink()
            except CheckpointError as error:  # training needs none of them
                report({"note": f"{error}: export cannot use it"})

    def __call__(self, training: Training) -> None:
        """Keep what the round has finished, if anything, averaged as it is now."""
        seen = training.images_seen
        for name, generator in training.system.finished(training.average, seen).items():
            path = self.run.levels / f"{name}.safetensors"
            self.run.claim(path)
            save_generator(path, generator, generator.spec.with_provenance(images_seen=seen))
            self.report({"note": f"level {name} finished after {seen:,} images: 'export --level {name}' exports it"})
