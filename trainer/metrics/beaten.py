"""What a translator's figures mean in words: which baselines it beats, on which figures, by more than chance."""

from collections.abc import Mapping, Sequence

import numpy as np

from trainer.metrics.evaluate import LEAST
from trainer.metrics.pairs import mean_of
from trainer.metrics.translation import MODEL, PairEvaluation, PairFigures, unknown
from trainer.metrics.verdict import Verdict

LABELS = {
    "l1": "L1, premultiplied",
    "filled": "L1 inside filled regions",
    "iou": "alpha IoU",
    "psnr": "PSNR over white, dB",
    "ssim": "SSIM over white",
}
_SAID = {**LABELS, "l1": "L1"}
LEADING = ("l1", "filled", "iou")  # PSNR and SSIM over white mislead on sprites: a source as it is does well on both
RISING = ("iou", "psnr", "ssim")  # more of them is better
SURE = 2.0  # standard errors of the mean difference between the two results of an image
WORDS = {
    "good": "good: nearer to the targets than every baseline by L1, and no worse by any other figure that leads",
    "mixed": "mixed: nearer to the targets than every baseline by L1, but worse than one by another figure that leads",
    "nothing": "nothing to use yet: what costs nothing is as near to the targets by L1, or nearer",
}


def leading(figures: Mapping[str, PairFigures]) -> list[str]:
    """The figures that lead, of these results: those there are, and that say something of their own."""
    there = [name for name in LEADING if mean_of(getattr(figures[MODEL], name)) is not None]
    # Of opaque pictures that are no line art
    same = all(np.allclose(each.l1, each.filled, equal_nan=True) for each in figures.values())
    return [name for name in there if not (name == "filled" and same)]


def compared(ours: PairFigures, theirs: PairFigures, name: str) -> int:
    """1 where ``ours`` are better by the figure ``name``, by more than chance, -1 where ``theirs`` are, and 0 else."""
    gain = (getattr(ours, name) - getattr(theirs, name)) * (1 if name in RISING else -1)
    gain = gain[np.isfinite(gain)]
    error = SURE * gain.std() / np.sqrt(len(gain))
    return int(gain.mean() > error) - int(gain.mean() < -error)


def grade(figures: Mapping[str, PairFigures]) -> str:
    """How the model does beside the baselines: a key of ``WORDS``."""
    ours, others = figures[MODEL], [each for name, each in figures.items() if name != MODEL]
    if any(compared(ours, each, "l1") < 1 for each in others):
        return "nothing"
    worse = any(compared(ours, each, name) < 0 for each in others for name in leading(figures))
    return "mixed" if worse else "good"


def verdict_of(evaluation: PairEvaluation) -> Verdict:
    """What the figures mean."""
    figures = evaluation.figures
    found, count = grade(figures), len(figures[MODEL].l1)
    few = () if count >= LEAST else (f"of {count} held-out pairs: too few to be sure of anything",)
    return Verdict(found, WORDS[found], (*beaten(figures), *few, *unknown(evaluation.facts)))


def beaten(figures: Mapping[str, PairFigures]) -> tuple[str, ...]:
    """Which baselines the model beats on all figures that lead, and of each other one on which it does not."""
    ours, names, wholly, others = figures[MODEL], leading(figures), list[str](), list[str]()
    for name, theirs in figures.items():
        lost = [figure for figure in names if compared(ours, theirs, figure) < 1]
        if name != MODEL and not lost:
            wholly.append(name)
        elif name != MODEL:
            others.append(f"{name} is {_beside(ours, theirs, lost)}")
    on = listed([_SAID[figure] for figure in names])
    return ((f"it beats {listed(wholly)} on {on}",) if wholly else ()) + tuple(others)


def table(evaluation: PairEvaluation) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of a table: a figure in each row, the model and the baselines beside each other."""
    means = {name: figures.means() for name, figures in evaluation.figures.items()}
    labels = {**LABELS, "features": f"{evaluation.extractor.name} distance", "kid": evaluation.extractor.kid}
    rows = [[label, *(_number(each[name], name) for each in means.values())] for name, label in labels.items()]
    return ["", *means], [row for row in rows if set(row[1:]) != {"–"}]


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _beside(ours: PairFigures, theirs: PairFigures, names: Sequence[str]) -> str:
    """In which figures another one is better, and in which as good, with both figures of each."""
    said: dict[str, list[str]] = {}
    for name in names:
        values = (_number(mean_of(getattr(each, name)), name) for each in (theirs, ours))
        how = "better" if compared(ours, theirs, name) else "as good"
        said.setdefault(how, []).append(f"{_SAID[name]} ({' against '.join(values)})")
    return listed([f"{how} in {listed(figures)}" for how, figures in said.items()])


def _number(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    return f"{value:.{3 if name in ('iou', 'ssim') else 4 if name == 'kid' else 1}f}"
