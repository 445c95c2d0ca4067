"""The log of a run: one line per interval, and the watch for numbers that are no longer numbers."""

import time
from collections.abc import Callable
from typing import Any

from core.errors import DivergedError
from trainer.loop import Training
from trainer.run import Run

Report = Callable[[dict[str, Any]], None]


class Log:
    """Writes and reports the means since the last line; stops the run if one of them is not finite."""

    def __init__(self, run: Run, report: Report, images_seen: int) -> None:
        self.run = run
        self.report = report
        self.images = images_seen
        self.moment = time.perf_counter()
        self.line: dict[str, Any] = {}  # the newest

    def __call__(self, training: Training) -> None:
        """Write the line for the rounds since the last one."""
        means = training.meter.read()
        now = time.perf_counter()
        rate = (training.images_seen - self.images) / (now - self.moment)
        line = {"images": training.images_seen, "images_per_second": round(rate, 1)}
        self.images, self.moment = training.images_seen, now
        line |= {name: round(value, 6) for name, value in means.items()}
        self._stop_if_diverged(means, training.images_seen)
        self.line = line
        self.run.append_log(line)
        self.report(line)

    def _stop_if_diverged(self, means: dict[str, float], images_seen: int) -> None:
        for name, value in means.items():
            if not abs(value) < float("inf"):
                kept = any(self.run.checkpoints.glob("[0-9]*"))
                where = f"the last good state is kept in {self.run.checkpoints}" if kept else "no state was saved yet"
                raise DivergedError(
                    f"{name} became {value} within {images_seen:,} images: {where}; lower the learning rates "
                    "(--set learning_rate_d=1e-4) and use --no-resume"
                )
