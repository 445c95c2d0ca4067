"""The log of a run: one line per interval, and the watch for numbers that are no longer numbers."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch

from core.errors import DivergedError
from trainer.loop import Training
from trainer.mark import states
from trainer.run import Run
from trainer.settings.config import TrainConfig

Report = Callable[[dict[str, Any]], None]

_LOGGER = logging.getLogger("trainer")


def to_logger(line: dict[str, Any]) -> None:
    """A report for those who train from Python and give none: notes and lines of the log go to the logger "trainer".

    Notes are INFO, lines DEBUG: nothing is printed unless somebody asks for it with ``logging``.
    """
    if "note" in line:
        _LOGGER.info(line["note"])
    else:
        _LOGGER.debug("%s", line)


class Log:
    """Writes and reports the means since the last line; stops the run if one of them is not finite.

    Images per second are those of training: what ``aside`` does, and the log's own writing, is left out.
    """

    def __init__(self, run: Run, report: Report, images_seen: int) -> None:
        self.run = run
        self.report = report
        self.images = images_seen
        self.moment = perf_counter()  # when the interval began, moved on by what was done aside
        self.line: dict[str, Any] = {}  # the newest

    def __call__(self, training: Training) -> None:
        """Write the line for the rounds since the last one."""
        means = training.meter.read()
        rate = (training.images_seen - self.images) / (perf_counter() - self.moment)
        line = {"images": training.images_seen, "images_per_second": round(rate, 1)}
        line |= {name: round(value, 6) for name, value in means.items()}
        self._stop_if_diverged(means, training.images_seen, training.config)
        self.line = line
        self.run.append_log(line)
        self.report(line)
        self.images, self.moment = training.images_seen, perf_counter()

    def aside(self, call: Callable[[Training], None]) -> Callable[[Training], None]:
        """``call`` as a hook whose time does not count as training's: previews, judging, saving."""

        def timed(training: Training) -> None:
            wait_for(training.device)
            start = perf_counter()
            try:
                call(training)
            finally:
                self.moment += perf_counter() - start

        return timed

    def _stop_if_diverged(self, means: dict[str, float], images_seen: int, config: TrainConfig) -> None:
        for name, value in means.items():
            if not abs(value) < float("inf"):
                # Where the same command would begin
                kept = [int(path.name) for path in states(self.run.checkpoints)]
                where = (
                    f"goes on from the last good state, of {max(kept):,}" if kept else "begins anew, none being saved"
                )

                # And by what rates it would get further
                now = config.at(images_seen)
                rates = (f"--set {each}={getattr(now, each) / 2:g}" for each in ("learning_rate_g", "learning_rate_d"))
                raise DivergedError(
                    f"{name} became {value} within {images_seen:,} images: the same command with lower rates "
                    f"({' '.join(rates)}) {where}"
                )


def wait_for(device: torch.device) -> None:
    """Until an accelerator has done what training asked of it, so that nobody else is charged for that."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
