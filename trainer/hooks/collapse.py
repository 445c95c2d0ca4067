"""Signs that a run has failed, looked for at every line of the log: one note for each, saying what to do."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from core.images import Images
from core.networks.base import Maker
from core.pixels import to_values
from core.spec import BACK
from trainer.data.pack import Pack
from trainer.hooks.log import Log, Report
from trainer.hooks.preview import preview_images
from trainer.loop import Training
from trainer.objective.losses import discriminators
from trainer.settings.config import TrainConfig

PATIENCE = 5  # lines of the log in a row
SURE = 20.0  # the gap between real and fake logits: either is then told with an error of e^-10 and less
LOST = 10.0  # the generator's loss: it is found out at practically every image
ALIKE = 0.05  # of the images' spread; early and blurred pictures of a healthy run keep several times that
SAMPLES = 16
RIVALS = ("generator/loss", "generators/fooled")  # what a generator loses by; of a cycle, without the way back


class CollapseGuard:
    """A hook that runs after the log's: it notes a discriminator that is saturated, and samples that are one picture.

    Each note comes once, for what it says to do is to stop.
    """

    def __init__(self, log: Log, pack: Pack, config: TrainConfig, report: Report) -> None:
        self.log = log
        self.report = report

        # How much the pictures of either side differ by nature
        chosen = np.linspace(0, len(pack) - 1, SAMPLES).round().astype(np.int64)
        self.natural = spread(pack.gather(np.unique(chosen)))
        self.natural_back = 0.0  # of what the way back makes
        if pack.sources is not None:
            chosen = np.linspace(0, len(pack.sources) - 1, SAMPLES).round().astype(np.int64)
            self.natural_back = spread(pack.gather_sources(np.unique(chosen)))

        # What was seen so far
        self.lines: deque[Mapping[str, float]] = deque(maxlen=PATIENCE)
        self.shares = defaultdict[str, deque[float]](lambda: deque(maxlen=PATIENCE))  # by generator
        self.said: set[str] = set()

        # What to do about it
        now = config.adjusted()
        self.firmer = f"stop and go on, or begin again in another --out, with --set r1_gamma={10 * now.r1_gamma or 1:g}"
        self.slower = f"stop, and begin again in another --out with --set learning_rate_g={now.learning_rate_g / 4:g}"

    def __call__(self, training: Training) -> None:
        """Look at the log's newest line and at a few samples of every averaged generator."""
        self.lines.append(self.log.line)
        for name in discriminators(self.log.line, "real"):
            if saturated(self.lines, name):
                gap = self.lines[-1][f"{name}/real"] - self.lines[-1][f"{name}/fake"]
                seen = f"it tells real from fake by {gap:.0f} logits, and the generator only loses"
                called = name.replace("_", " ")
                self._say(f"the {called} is saturated", seen, f"{self.firmer} or a lower learning_rate_d")
        for name, average in training.averages.items():
            self._look(average, name, f" of {name}" if len(training.averages) > 1 else "")

    def _look(self, average: Maker, name: str, called: str) -> None:
        """Whether what one generator makes is nearly one picture, of as much as the pictures of its kind differ."""
        examples, source = average.examples, average.spec.source
        back = source is not None and source.direction == BACK
        natural = self.natural_back if back else self.natural
        shares = self.shares[name]
        if natural > 0 and (examples is None or spread(examples) > 0):  # of one source there is one result
            shares.append(spread(preview_images(average, SAMPLES)) / natural)
        if identical(shares):
            seen = f"they differ by {shares[-1]:.1%} of what the {'sources' if back else 'images'} do"
            remedy = self.firmer if examples is None else self.slower
            self._say(f"the samples{called} are nearly one picture", seen, f"{remedy} or on more images")

    def _say(self, sign: str, seen: str, remedy: str) -> None:
        if sign not in self.said:
            self.said.add(sign)
            self.report({"note": f"{sign} ({seen}): {remedy}"})


def saturated(lines: Sequence[Mapping[str, float]], name: str = "discriminator") -> bool:
    """Whether ``PATIENCE`` lines of a log show a discriminator ``name`` that is sure of all, a generator that loses.

    A loss that falls below 0 is no loss of probabilities, as a Wasserstein critic's: a large gap is then no fault.
    """
    real, fake, loss = (f"{name}/{figure}" for figure in ("real", "fake", "loss"))
    rival = next((each for each in RIVALS if all(each in line for line in lines)), "")
    if len(lines) < PATIENCE or not rival or any(each not in line for line in lines for each in (real, fake, loss)):
        return False
    sure = all(line[real] - line[fake] > SURE for line in lines)
    lost = all(line[loss] >= 0 and line[rival] > LOST for line in lines)
    return sure and lost and lines[-1][rival] > lines[0][rival]


def identical(shares: Sequence[float]) -> bool:
    """Whether the samples' spread was nothing beside the images' for ``PATIENCE`` lines, and is not on its way up.

    An untrained generator's pictures are alike too, but less so with every line.
    """
    return len(shares) == PATIENCE and max(shares) < ALIKE and shares[-1] <= 1.5 * shares[0]


def spread(images: Images) -> float:
    """The mean distance between two of ``images`` ``(n, h, w, c)``, premultiplied: root mean square, of the range."""
    values = to_values(torch.from_numpy(images), (0.0, 1.0)).flatten(1)  # (n, c * h * w)
    return float(torch.pdist(values).mean()) / values.shape[1] ** 0.5 if len(values) > 1 else 0.0
