"""The pictures of a run: samples.gif, progress.png and losses.png, drawn of its previews and its log."""

from time import perf_counter

from core.errors import TrainingError
from core.spec import GeneratorSpec
from trainer.hooks.curves import plot_losses
from trainer.hooks.log import Report
from trainer.hooks.preview import write_animation, write_strip
from trainer.objective.losses import loss_of
from trainer.run import Run
from trainer.settings.config import TrainConfig

PAUSE = 10.0  # seconds in which nobody misses a newer one


class Pictures:
    """Draws the pictures of ``run`` when it ends, and on the way no more often than somebody may look at them.

    What cannot be drawn is said to ``report`` and stops no training.
    """

    def __init__(self, run: Run, config: TrainConfig, spec: GeneratorSpec, report: Report) -> None:
        self._run, self._spec, self._report = run, spec, report
        self._contest = loss_of(config.loss, config.loss_options).contest
        self._drawn = perf_counter()

    def update(self) -> None:
        """Draw them, unless they were drawn a moment ago."""
        if perf_counter() - self._drawn >= PAUSE:
            self.draw()

    def draw(self) -> None:
        """Draw them as the run is now."""
        try:
            write_animation(self._run, self._spec)
            write_strip(self._run, self._spec)
            if lines := self._run.read_log():
                plot_losses(lines, self._run.root / "losses.png", self._contest)
        except (OSError, SyntaxError, ValueError, TrainingError) as error:  # Pillow's for a damaged preview, and ours
            self._report({"note": f"the pictures of the run could not be drawn ({error}): training goes on"})
        self._drawn = perf_counter()
