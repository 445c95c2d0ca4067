"""``losses.png``: what the log says, as curves over images seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot_losses(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Losses above, every other statistic of the players below, against thousands of images seen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = sorted({name for line in log for name in line if "/" in name})
    losses = [name for name in names if name.endswith("/loss")]
    others = [name for name in names if name not in losses]
    figure = Figure(figsize=(9, 7), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for index, (title, chosen) in enumerate((("loss", losses), ("mean logits and penalties", others)), 1):
        axes = figure.add_subplot(2, 1, index)
        for name in chosen:
            points = [(line["images"] / 1000, line[name]) for line in log if name in line]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        if chosen:
            axes.legend()
    axes.set_xlabel("thousands of images seen")
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png")
    temporary.replace(path)
