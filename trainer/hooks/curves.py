"""What logs say, as curves over images seen: ``losses.png`` of one run, and several runs in one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.errors import TrainingError
from core.files import new_file
from core.images import from_pillow, over_checkerboard
from core.ours import may_write, software
from core.places import why_not
from trainer.objective.losses import TOLD, WON
from trainer.run import KID, L1, METRICS, Run

Lines = Sequence[Mapping[str, Any]]  # of a log

# Okabe and Ito 2008: distinct for the colour-blind too. Yellow is left out: it is too faint for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":")
_WIDTH = 9.0  # inches
_SMOOTHED = 30  # a smoothed curve is the mean over this part of its points
# Of pairs of a real and a made image that are told apart, while KID falls: R3GAN plays around 0.5, others higher.
# Karras et al. 2020 ("Limited Data", section 3) steer to 0.8 of the real images called real.
HEALTHY = (0.4, 0.95)
HEALTHY_ALPHA, WON_ALPHA = 0.12, 0.25
OF_A_CRITIC = "A critic is meant to tell all pairs of a real and a made picture apart: its loss says how far they are"
# What a panel is called, and what its axis is.
TITLES = {
    TOLD: ("Does the discriminator win? How many pairs of a real and a made picture it tells apart", "share of pairs"),
    "loss": ("What each network still gets wrong (for itself: the two do not compare, and need not fall)", "loss"),
    "others": ("Mean verdicts on real and made pictures, penalties, and parts of losses", "as logged"),
    KID: (f"How far the pictures are from the real ones ({KID}): less is better", "distance"),
    L1: (f"How far the results are from their targets, in pairs never trained on ({L1}): less is better", "levels"),
}


def plot_losses(log: Lines, path: Path, contest: bool = True) -> None:
    """How a run goes, for those who look rather than count: four questions, a panel each, over thousands of images.

    Whether the discriminator wins, with bands that say what is healthy if the loss is a ``contest`` (a critic that
    measures a distance is meant to tell all apart); the losses; all else that the players log; and KID or L1.
    """
    # What goes into which panel
    names = sorted({name for line in log for name in line if "/" in name})
    told, losses = ([name for name in names if name.endswith(end)] for end in (f"/{TOLD}", "/loss"))
    others = [name for name in names if name not in (*told, *losses)]
    panels = {name: chosen for name, chosen in ((TOLD, told), ("loss", losses), ("others", others)) if chosen}
    panels |= {name: [name] for name in METRICS if any(name in line for line in log)}

    # A curve for each name
    figure, axes = _figure(list(panels))
    for row, (panel, chosen) in zip(axes, panels.items(), strict=True):
        for name in chosen:
            _draw(row, log, name)
        if panel == TOLD:
            _bands(row, contest)
        if panel in METRICS:
            _mark_best(row, log, panel)
        row.legend(loc="lower right" if panel == TOLD else "best")
    _save(figure, path)


def plot_runs(runs: Sequence[Path], path: Path) -> None:
    """KID or L1, and every loss of several runs, a panel each and a colour a run, over thousands of images seen.

    Losses are shown as they are, faintly, and smoothed; below, side by side, the newest samples of
    each run. Raises TrainingError for a folder without a log.
    """
    # What the runs have logged
    named = names_of(runs)
    logs = {name: _log(run) for name, run in named.items()}
    scalars = {name for log in logs.values() for line in log for name in line}
    panels = [name for name in METRICS if name in scalars] + sorted(name for name in scalars if name.endswith("/loss"))
    if not panels:
        raise TrainingError("these runs have logged nothing yet: wait for the first lines, or raise --kimg")

    # The newest samples of each, below the curves
    samples = {name: previews[-1] for name, run in named.items() if (previews := Run(run).previews())}
    figure, axes = _figure(panels, list(samples))
    _show_samples(figure, samples)

    # A panel for each figure, a colour for each run
    for row, name in zip(axes, panels, strict=True):
        for index, (run, log) in enumerate(logs.items()):
            style = {"color": COLOURS[index % len(COLOURS)], "linestyle": _DASHES[index // len(COLOURS) % 3]}
            moments, values = _points(log, name)
            if name in METRICS:
                row.plot(moments, values, label=run, marker="o", markersize=3, linewidth=1.5, **style)
            else:
                row.plot(moments, values, alpha=0.25, linewidth=0.7, **style)
                row.plot(moments, smooth(values), label=run, linewidth=1.5, **style)
        if name in METRICS:
            row.set_ylim(bottom=min(0, row.get_ylim()[0]))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=min(len(logs), 3))
    _save(figure, path)


def _draw(row: Any, log: Lines, name: str) -> None:
    """One curve: as it is, faintly, and smoothed; the few points of KID or L1 as they are."""
    moments, values = _points(log, name)
    if name in METRICS:
        row.plot(moments, values, label="each look", linewidth=1, marker="o", markersize=3)
        return
    (faint,) = row.plot(moments, values, alpha=0.25, linewidth=0.7)
    row.plot(moments, smooth(values), label=name.replace("/", ": ").replace("_", " "), color=faint.get_color())


def _bands(row: Any, contest: bool) -> None:
    """What is healthy and what is lost, behind the curve of how well real and made images are told apart."""
    row.set_ylim(0.3, 1.01)
    row.axhline(0.5, color="grey", linestyle=":", linewidth=1, label="guessing")
    if contest:
        row.axhspan(*HEALTHY, color=COLOURS[2], alpha=HEALTHY_ALPHA, label="healthy", linewidth=0)
        row.axhspan(WON, 1.01, color=COLOURS[1], alpha=WON_ALPHA, label="won by the discriminator", linewidth=0)
    else:
        row.set_title(OF_A_CRITIC, loc="left", fontsize="medium")


def _mark_best(row: Any, log: Lines, name: str) -> None:
    """A ring around the least of KID or L1, with its number."""
    kimg, least = min(zip(*_points(log, name), strict=True), key=lambda point: point[1])
    row.plot([kimg], [least], "o", markersize=9, fillstyle="none", color=COLOURS[1], label=f"best: {least:.3f}")
    row.margins(y=0.1)
    row.set_ylim(bottom=min(0, row.get_ylim()[0]))


def check_place(path: Path) -> None:
    """Raise TrainingError unless a plot may be written to ``path``."""
    if problem := why_not(path, whole=False):
        raise TrainingError(problem)
    if not may_write(path):
        raise TrainingError(f"{path} is there, and Ganfoundry did not make it: move it, or choose another --out")


def _figure(panels: Sequence[str], pictures: Sequence[str] = ()) -> tuple[Any, list[Any]]:
    """A figure with a row of axes for each panel, with its title; below them room for some ``pictures``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves, below = 3.5 * len(panels), _WIDTH / max(len(pictures), 2) if pictures else 0
    figure = Figure(figsize=(_WIDTH, curves + below), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    upper: Any = figure
    if pictures:
        parts: Any = figure.subfigures(2, 1, height_ratios=[curves, below])
        upper = parts[0]
    axes = list(upper.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0])
    for row, name in zip(axes, panels, strict=True):
        title, axis = TITLES.get(name, (f"Loss: {name.split('/')[0].replace('_', ' ')}", "loss"))
        row.set_title(title, loc="left", fontsize="medium")
        row.set_ylabel(axis)
        row.grid(alpha=0.3)
    axes[-1].set_xlabel("thousands of images seen in training (kimg)")
    return figure, axes


def _show_samples(figure: Any, samples: Mapping[str, tuple[int, Path]]) -> None:
    """The previews, by run with the moment of each, side by side in the room below the curves."""
    if not samples:
        return
    row = figure.subfigs[1].subplots(1, len(samples), squeeze=False)[0]
    for axes, (name, (moment, path)) in zip(row, samples.items(), strict=True):
        with Image.open(path) as picture:
            image = from_pillow(picture, len(picture.getbands()))
        axes.imshow(over_checkerboard(image), interpolation="nearest")
        axes.set_title(f"{name}, {moment / 1000:,.0f}", fontsize="small")
        axes.set_axis_off()


def _save(figure: Any, path: Path) -> None:
    with new_file(path) as file:
        # Little compressed: a third of the time that drawing takes, for a file that is drawn again and again.
        figure.savefig(file, format="png", metadata={"Software": software()}, pil_kwargs={"compress_level": 1})


def _points(log: Lines, name: str) -> tuple[list[float], list[float]]:
    lines = [line for line in log if name in line]
    return [line["images"] / 1000 for line in lines], [line[name] for line in lines]


def smooth(values: Sequence[float]) -> list[float]:
    """A running mean, as long as the curve; at its ends over what there is."""
    reach = max(len(values) // _SMOOTHED // 2, 1)
    return [float(np.mean(values[max(i - reach, 0) : i + reach + 1])) for i in range(len(values))]


def _log(run: Path) -> Lines:
    if not Run(run).log.is_file():
        raise TrainingError(f"{run} is not a run: it has no log.jsonl (make one with 'train')")
    return Run(run).read_log()


def names_of(runs: Sequence[Path]) -> dict[str, Path]:
    """The runs by name: the folder's, or as much of the path as tells it from the others."""
    whole = [run.resolve() for run in runs]
    for parts in range(1, max(len(run.parts) for run in whole) + 1):
        names = ["/".join(run.parts[-parts:]) for run in whole]
        if len(set(names)) == len(set(whole)):
            break
    return dict(zip(names, whole, strict=True))
