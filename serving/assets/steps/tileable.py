"""Whether a texture repeats without a seam."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.images import Images
from serving.assets.settings import check_number
from serving.assets.sprite import Sprite
from serving.assets.steps.alpha import premultiply


@dataclass(frozen=True)
class Tileable:
    """A seam shows if neighbours differ ``most`` times as much across the border as in the roughest tenth inside.

    Not as on average: a smooth wave may be steepest at the border, and bricks may end there.
    """

    most: float = 1.5

    def __post_init__(self) -> None:
        check_number("most", self.most, 1, 100)


@dataclass(frozen=True)
class Seam:
    """Mean absolute differences, in levels, of premultiplied neighbours along one axis of a repeated picture."""

    across: float  # of the last and the first
    inside: float  # of all others
    rough: float  # of nine in ten of the others, at most: one row of neighbours counts as one


def seams(picture: Images) -> dict[str, Seam]:
    """The seams of an RGBA picture beside itself ("left-right") and below itself ("up-down")."""
    values = premultiply(picture).astype(np.int16)
    return {"left-right": _seam(values.swapaxes(0, 1)), "up-down": _seam(values)}


def tileable(sprites: Sequence[Sprite], settings: Tileable) -> list[Sprite]:
    """The sprites as they are, with a note for each seam that shows."""
    return [replace(sprite, notes=(*sprite.notes, *_notes(sprite.whole(), settings.most))) for sprite in sprites]


def _seam(values: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> Seam:
    inside = np.abs(np.diff(values, axis=0))
    rows = inside.mean((1, 2)) if len(inside) else np.zeros(1)
    return Seam(float(np.abs(values[0] - values[-1]).mean()), float(rows.mean()), float(np.quantile(rows, 0.9)))


def _notes(picture: Images, most: float) -> list[str]:
    return [
        f"a seam {axis}: neighbours differ by {seam.across:.1f} levels across the border, by {seam.inside:.1f} inside"
        for axis, seam in seams(picture).items()
        if seam.across > most * seam.rough
    ]
