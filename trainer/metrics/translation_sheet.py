"""The picture of a translator's evaluation: source, result and target in a row, of the best results and the worst."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from core.images import Images
from core.sheets import Pages, Sheet, small
from trainer.metrics.baselines import FLOOD, resized
from trainer.metrics.domains import Journey
from trainer.metrics.pairs import Values
from trainer.metrics.translation import MODEL, Translations

SHOWN = 5  # of the best, of the median and of the worst
EACH = 8  # of a direction


def draw(made: Translations, errors: Values) -> Image.Image:
    """Rows of source | result | target, and a flood fill where there is one; ``errors`` ``(n,)`` is the L1 of each."""
    # What is shown of each pair
    height, width = made.targets.shape[1:3]
    source = resized(made.sources, height, width)
    columns = {"source": source, "result": made.results[MODEL], "target": made.targets}
    if FLOOD in made.results:
        columns[FLOOD] = made.results[FLOOD]

    # Of the best, the median and the worst
    chosen = shown(errors)
    cells = [images[row] for row in chosen.values() for images in columns.values()]
    names = [f"{name}: {errors[row]:.1f}" for name, row in chosen.items()]
    title = [f"L1 of {len(errors)} held-out pairs: {errors.mean():.1f}"]
    drawn = Sheet(cells, columns=[*columns], rows=names, corner="L1", title=title)
    (page,) = Pages(drawn, (height, width), small((height, width)), one=True)
    return page.image()


def draw_journeys(journeys: Mapping[str, Journey]) -> Image.Image:
    """Rows of source | result | there and back, the first few of each direction."""
    first, *_ = journeys.values()
    height, width = first.results.shape[1:3]
    cells: list[Images] = []
    names: list[str] = []

    for way, journey in journeys.items():
        columns = [journey.sources, journey.results, *([] if journey.back is None else [journey.back])]
        alike = [resized(images[:EACH], height, width) for images in columns]
        cells += [images[row] for row in range(len(alike[0])) for images in alike]
        names += [way] * len(alike[0])

    heads = ["source", "result", "and back"][: len(columns)]
    drawn = Sheet(cells, columns=heads, rows=names, title=["held-out pictures"])
    (page,) = Pages(drawn, (height, width), small((height, width)), one=True)
    return page.image()


def shown(errors: Values) -> dict[str, int]:
    """The rows that are shown, by what they are: the best, those around the median and the worst; all where few."""
    order = [int(row) for row in np.argsort(errors, kind="stable")]
    if len(order) <= 3 * SHOWN:
        return {f"{place}.": row for place, row in enumerate(order, 1)}
    middle = (len(order) - SHOWN) // 2
    parts = {"best": order[:SHOWN], "median": order[middle : middle + SHOWN], "worst": order[: -SHOWN - 1 : -1]}
    return {f"{name} {place}": row for name, rows in parts.items() for place, row in enumerate(rows, 1)}
