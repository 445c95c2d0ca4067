"""Line art: whether sources are, where their lines lie, and which regions these close."""

import numpy as np
from numpy.typing import NDArray

from core.images import Images, over_background

Mask = NDArray[np.bool_]  # (n, h, w)
Ink = NDArray[np.float32]  # (n, h, w): how much of a pixel is line, 0 … 1

LINE = 0.25  # of ink, from which on a pixel shows a line
WALL = 0.5  # and from which on a fill does not pass it
_PAPER, _OFF, _SAME = 16, 64, 48  # levels: still paper; surely not; of one colour
_ROOM = 0.25  # of what targets show; lines of OpenMoji leave 0.54 of it at 64x64, 0.3 at 16x16
_BACKGROUNDS = ((255, 255, 255), (0, 0, 0))


class Pen:
    """What line art is drawn with: the colour behind transparency, and those of paper and line, RGB ``(3,)``.

    ``of`` finds it, for all pictures together.
    """

    def __init__(self, behind: tuple[int, int, int], paper: NDArray[np.float32], line: NDArray[np.float32]) -> None:
        self.behind, self.paper, self.line = behind, paper, line

    @classmethod
    def of(cls, sources: Images, targets: Images) -> "Pen | None":
        """The pen of ``sources`` ``(n, h, w, c)``, given ``targets`` of the same height and width; None of no line art.

        Line art is mostly paper, its lines are of one colour, and they leave room in what targets show.
        """
        for behind in _BACKGROUNDS:
            pixels = over_background(sources, behind).reshape(-1, 3).astype(np.float32)
            paper = np.array([np.bincount(pixels[:, c].astype(int)).argmax() for c in range(3)], np.float32)
            off = np.abs(pixels - paper).max(axis=1)
            drawn = pixels[off > _OFF]
            if not len(drawn) or (off <= _PAPER).mean() < 0.5:
                continue
            pen = cls(behind, paper, np.median(drawn, axis=0).astype(np.float32))
            if pen._draws(drawn) and pen._leaves_room(sources, targets):
                return pen
        return None

    def ink(self, sources: Images) -> Ink:
        """How far each pixel is from paper to line."""
        pixels = over_background(sources, self.behind).astype(np.float32)
        way = self.line - self.paper
        return np.clip((pixels - self.paper) @ way / (way @ way), 0, 1).astype(np.float32)

    def _draws(self, drawn: NDArray[np.float32]) -> bool:
        """Whether nearly all pixels ``(m, 3)`` lie on the way from paper to line, or beyond."""
        way = self.line - self.paper
        along = (drawn - self.paper) @ way / (way @ way)
        aside = np.abs(drawn - self.paper - along[:, None] * way).max(axis=1)
        return bool((aside <= _SAME).mean() >= 0.9)

    def _leaves_room(self, sources: Images, targets: Images) -> bool:
        """Whether much of what targets show is still paper, to be filled: in the grey picture of something none is."""
        paper = self._is_paper(over_background(sources, self.behind))
        shown = ~self._is_paper(over_background(targets, self.paper.tolist()))
        return bool((paper & shown).sum() >= _ROOM * shown.sum())

    def _is_paper(self, pixels: Images) -> Mask:
        """Which of RGB ``(n, h, w, 3)`` are of its colour, ``(n, h, w)``."""
        same: Mask = np.abs(pixels - self.paper).max(axis=3) <= _PAPER
        return same


def closed(ink: Ink) -> Mask:
    """The regions that lines enclose: no line, and not to be reached from outside the picture without passing one.

    A fill passes between neighbours side by side, not across corners.
    """
    free = np.pad(ink < WALL, ((0, 0), (1, 1), (1, 1)), constant_values=True)  # the way around the picture
    outside = np.zeros_like(free)
    outside[:, 0] = True
    while True:
        across = _along_rows(outside, free)
        both = _along_rows(across.swapaxes(1, 2), free.swapaxes(1, 2)).swapaxes(1, 2)
        if (both == outside).all():
            within: Mask = free & ~outside
            return within[:, 1:-1, 1:-1]
        outside = both


def _along_rows(reached: Mask, free: Mask) -> Mask:
    """All of every free run of a row of which something was reached."""
    starts = ~free
    starts[:, :, 0] = True
    run = np.cumsum(starts.ravel()).reshape(free.shape)
    touched = np.bincount(run.ravel(), reached.ravel()) > 0
    found: Mask = touched[run] & free
    return found
