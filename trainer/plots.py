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
from trainer.run import KID, Run

Lines = Sequence[Mapping[str, Any]]  # of a log

# Okabe and Ito 2008: distinct for the colour-blind too. Yellow is left out: it is too faint for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":")
_WIDTH = 9.0  # inches
_SMOOTHED = 30  # a smoothed curve is the mean over this part of its points


def plot_losses(log: Lines, path: Path) -> None:
    """Losses above, every other statistic of the players below, then KID, against thousands of images seen."""
    names = sorted({name for line in log for name in line if "/" in name})
    losses = [name for name in names if name.endswith("/loss")]
    others = [name for name in names if name not in losses]
    panels = {"loss": losses, "mean logits and penalties": others}
    if any(KID in line for line in log):
        panels[KID] = [KID]
    figure, axes = _figure(list(panels))
    for row, chosen in zip(axes, panels.values(), strict=True):
        for name in chosen:
            row.plot(*_points(log, name), label=name, linewidth=1, marker="o" if name == KID else None, markersize=3)
        if chosen:
            row.legend()
    _save(figure, path)


def plot_runs(runs: Sequence[Path], path: Path) -> None:
    """KID and every loss of several runs, a panel each and a colour a run, against thousands of images seen.

    Losses are shown as they are, faintly, and smoothed; below, side by side, the newest samples of each run. Raises
    TrainingError for a folder without a log.
    """
    named = names_of(runs)
    logs = {name: _log(run) for name, run in named.items()}
    scalars = {name for log in logs.values() for line in log for name in line}
    panels = [KID] * (KID in scalars) + sorted(name for name in scalars if name.endswith("/loss"))
    if not panels:
        raise TrainingError("these runs have logged nothing yet: wait for the first lines, or raise --kimg")
    samples = {name: previews[-1] for name, run in named.items() if (previews := Run(run).previews())}
    figure, axes = _figure(panels, list(samples))
    _show_samples(figure, samples)
    for row, name in zip(axes, panels, strict=True):
        for index, (run, log) in enumerate(logs.items()):
            style = {"color": COLOURS[index % len(COLOURS)], "linestyle": _DASHES[index // len(COLOURS) % 3]}
            moments, values = _points(log, name)
            if name == KID:
                row.plot(moments, values, label=run, marker="o", markersize=3, linewidth=1.5, **style)
            else:
                row.plot(moments, values, alpha=0.25, linewidth=0.7, **style)
                row.plot(moments, smooth(values), label=run, linewidth=1.5, **style)
        if name == KID:
            row.set_ylim(bottom=min(0, row.get_ylim()[0]))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=min(len(logs), 3))
    _save(figure, path)


def check_place(path: Path) -> None:
    """Raise TrainingError unless a plot may be written to ``path``."""
    if problem := why_not(path, whole=False):
        raise TrainingError(problem)
    if not may_write(path):
        raise TrainingError(f"{path} is there, and Ganfoundry did not make it: move it, or choose another --out")


def _figure(panels: Sequence[str], pictures: Sequence[str] = ()) -> tuple[Any, list[Any]]:
    """A figure with a row of axes for each panel, named at its side; below them room for some ``pictures``."""
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
        row.set_ylabel(name)
        row.grid(alpha=0.3)
    axes[-1].set_xlabel("thousands of images seen")
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
        figure.savefig(file, format="png", metadata={"Software": software()})


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
