"""What line art is, and which regions its lines close."""

from collections import deque

import numpy as np
import pytest

from core.images import over_background
from tests.trainer.conftest import blobs
from trainer.metrics.lines import Pen, closed


def outlines(discs: np.ndarray) -> np.ndarray:
    """The outermost pixels of each shape, black on transparency."""
    inside = np.pad(discs[..., 3] > 0, ((0, 0), (1, 1), (1, 1)))
    middle = inside[:, 1:-1, 1:-1]
    within = middle & inside[:, :-2, 1:-1] & inside[:, 2:, 1:-1] & inside[:, 1:-1, :-2] & inside[:, 1:-1, 2:]
    lines = np.zeros_like(discs)
    lines[..., 3] = 255 * (middle & ~within)
    return lines


DISCS = blobs(20, 24, 24)
LINES = outlines(DISCS)


@pytest.mark.parametrize("kind", ["transparent", "paper", "grey", "white on black", "white on transparent", "blue"])
def test_line_art_is_known_on_whatever_it_is_drawn(kind: str) -> None:
    drawn = LINES[..., 3] > 0
    sources = {
        "transparent": LINES,
        "paper": over_background(LINES),
        "grey": over_background(LINES)[..., :1],
        "white on black": 255 - over_background(LINES),
        "white on transparent": np.where(drawn[..., None], 255, LINES).astype(np.uint8),
        "blue": np.where(drawn[..., None], np.array([20, 30, 200, 255]), LINES).astype(np.uint8),
    }[kind]
    pen = Pen.of(sources, DISCS)
    assert pen is not None
    assert ((pen.ink(sources) > 0.9) == drawn).all()


def test_what_is_no_line_art_has_no_pen() -> None:
    random = np.random.RandomState(0)
    noisy = np.clip(over_background(DISCS) + random.normal(0, 50, (20, 24, 24, 3)), 0, 255).astype(np.uint8)
    grey = np.repeat(over_background(DISCS).mean(axis=3, keepdims=True).astype(np.uint8), 3, 3)
    opaque = random.randint(0, 256, (20, 24, 24, 3)).astype(np.uint8)
    empty = np.zeros_like(DISCS)
    for sources in (DISCS, noisy, grey, opaque, empty):
        assert Pen.of(sources, DISCS) is None


def test_lines_that_leave_nothing_to_fill_are_no_line_art() -> None:
    solid = DISCS.copy()
    solid[..., :3] = 0
    assert Pen.of(solid, DISCS) is None


def test_closed_regions_are_those_that_a_fill_from_outside_does_not_reach() -> None:
    ink = (np.random.RandomState(0).uniform(size=(30, 12, 17)) < 0.42).astype(np.float32)
    assert (closed(ink) == np.stack([slow_closed(each) for each in ink])).all()
    assert closed(ink).any()


def test_a_winding_way_out_is_found_and_a_corner_is_none() -> None:
    spiral = np.array(
        [
            [1, 1, 1, 1, 1, 1, 1],
            [1, 0, 0, 0, 0, 0, 1],
            [1, 0, 1, 1, 1, 0, 1],
            [1, 0, 1, 0, 0, 0, 1],
            [1, 0, 1, 1, 1, 1, 1],
            [1, 0, 0, 0, 0, 0, 0],
        ],
        np.float32,
    )
    assert not closed(spiral[None]).any()
    diamond = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    assert closed(diamond[None]).sum() == 1
    assert closed(diamond[None] * 0.49).sum() == 0


def slow_closed(ink: np.ndarray) -> np.ndarray:
    """A queue of pixels, from all around the picture."""
    height, width = ink.shape
    reached, queue = set(), deque([(-1, -1)])
    while queue:
        i, j = queue.popleft()
        if (i, j) in reached or not (-1 <= i <= height and -1 <= j <= width):
            continue
        if 0 <= i < height and 0 <= j < width and ink[i, j] >= 0.5:
            continue
        reached.add((i, j))
        queue.extend([(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)])
    return np.array([[ink[i, j] < 0.5 and (i, j) not in reached for j in range(width)] for i in range(height)])
