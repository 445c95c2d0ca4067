"""Signs that a run has failed, looked for at every line of the log: one note for each, saying what to do."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from core.images import Images
from core.pixels import to_values
from trainer.config import TrainConfig
from trainer.data.pack import Pack
from trainer.log import Log, Report
from trainer.loop import Training
from trainer.preview import render

PATIENCE = 5  # lines of the log in a row
SURE = 20.0  # the gap between real and fake logits: either is then told with an error of e^-10 and less
LOST = 10.0  # the generator's loss: it is found out at practically every image
ALIKE = 0.05  # of the images' spread; early and blurred pictures of a healthy run keep several times that
SAMPLES = 16


class CollapseGuard:
    """A hook that runs after the log's: it notes a discriminator that is saturated, and samples that are one picture.

    Each note comes once, for what it says to do is to stop.
    """

    def __init__(self, log: Log, pack: Pack, config: TrainConfig, report: Report) -> None:
        self.log, self.report = log, report
        chosen = np.linspace(0, len(pack) - 1, SAMPLES).round().astype(np.int64)
        self.natural = spread(pack.gather(np.unique(chosen)))
        self.lines: deque[Mapping[str, float]] = deque(maxlen=PATIENCE)
        self.shares: deque[float] = deque(maxlen=PATIENCE)
        now = config.adjusted()
        self.firmer = f"stop and go on, or begin again in another --out, with --set r1_gamma={10 * now.r1_gamma or 1:g}"
        self.slower = f"stop, and begin again in another --out with --set learning_rate_g={now.learning_rate_g / 4:g}"
        self.said: set[str] = set()

    def __call__(self, training: Training) -> None:
        """Look at the log's newest line and at a few samples of the averaged generator."""
        self.lines.append(self.log.line)
        if saturated(self.lines):
            gap = self.lines[-1]["discriminator/real"] - self.lines[-1]["discriminator/fake"]
            seen = f"it tells real from fake by {gap:.0f} logits, and the generator only loses"
            self._say("the discriminator is saturated", seen, f"{self.firmer} or a lower learning_rate_d")
        examples = training.average.examples
        if self.natural > 0 and (examples is None or spread(examples) > 0):  # of one source there is one result
            self.shares.append(spread(render(training.average, SAMPLES)) / self.natural)
        if identical(self.shares):
            seen = f"they differ by {self.shares[-1]:.1%} of what the images do"
            remedy = self.firmer if examples is None else self.slower
            self._say("the samples are nearly one picture", seen, f"{remedy} or on more images")

    def _say(self, sign: str, seen: str, remedy: str) -> None:
        if sign not in self.said:
            self.said.add(sign)
            self.report({"note": f"{sign} ({seen}): {remedy}"})


def saturated(lines: Sequence[Mapping[str, float]]) -> bool:
    """Whether ``PATIENCE`` lines of a log show a discriminator that is sure of everything and a generator that loses.

    A loss that falls below 0 is no loss of probabilities, as a Wasserstein critic's: a large gap is then no fault.
    """
    names = ("discriminator/real", "discriminator/fake", "discriminator/loss", "generator/loss")
    if len(lines) < PATIENCE or any(name not in line for line in lines for name in names):
        return False
    sure = all(line["discriminator/real"] - line["discriminator/fake"] > SURE for line in lines)
    lost = all(line["discriminator/loss"] >= 0 and line["generator/loss"] > LOST for line in lines)
    return sure and lost and lines[-1]["generator/loss"] > lines[0]["generator/loss"]


def identical(shares: Sequence[float]) -> bool:
    """Whether the samples' spread was nothing beside the images' for ``PATIENCE`` lines, and is not on its way up.

    An untrained generator's pictures are alike too, but less so with every line.
    """
    return len(shares) == PATIENCE and max(shares) < ALIKE and shares[-1] <= 1.5 * shares[0]


def spread(images: Images) -> float:
    """The mean distance between two of ``images`` ``(n, h, w, c)``, premultiplied: root mean square, of the range."""
    values = to_values(torch.from_numpy(images), (0.0, 1.0)).flatten(1)  # (n, c * h * w)
    return float(torch.pdist(values).mean()) / values.shape[1] ** 0.5 if len(values) > 1 else 0.0
