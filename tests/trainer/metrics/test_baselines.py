"""What any translation must beat, each by hand."""

import numpy as np
import pytest

from core.images import over_background
from tests.trainer.conftest import blobs
from tests.trainer.metrics.test_lines import outlines
from trainer.metrics.baselines import fill_colour, flood_fill, identity, mean_image, nearest_targets
from trainer.metrics.lines import Pen

DISCS = blobs(24, 24, 24)
LINES = outlines(DISCS)
PAIRS = [(LINES[:10], DISCS[:10]), (LINES[10:], DISCS[10:])]


def test_identity_is_the_source_in_the_size_and_channels_of_the_target() -> None:
    assert identity(LINES, LINES.shape[1:]) is LINES
    assert (identity(LINES, (24, 24, 3)) == over_background(LINES)).all()
    opaque = identity(over_background(LINES), (24, 24, 4))
    assert (opaque[..., :3] == over_background(LINES)).all() and (opaque[..., 3] == 255).all()
    half = np.full((1, 4, 6, 4), (200, 100, 50, 128), np.uint8)
    assert np.abs(identity(half, (8, 3, 4)).astype(int) - half[0, 0, 0]).max() <= 1  # Pillow premultiplies in bytes
    assert identity(half, (8, 3, 1)).shape == (1, 8, 3, 1)


def test_the_mean_image_is_of_premultiplied_values() -> None:
    opaque, clear = np.full((1, 2, 2, 4), (200, 100, 0, 255), np.uint8), np.zeros((3, 2, 2, 4), np.uint8)
    mean = mean_image([(opaque, opaque), (clear, clear)])
    assert mean.shape == (2, 2, 4)
    assert np.abs(mean.astype(int) - (200, 100, 0, 64)).max() <= 1


def test_the_nearest_neighbour_is_found_in_every_part() -> None:
    order = np.random.RandomState(0).permutation(24)
    noisy = LINES[order].copy()
    noisy[:, 0, 0] = (9, 9, 9, 40)
    assert (nearest_targets(noisy, PAIRS) == DISCS[order]).all()
    large = np.repeat(np.repeat(LINES, 6, 1), 4, 2)  # 144x96: looked for at 64x43
    assert (nearest_targets(large[order], [(large, DISCS)]) == DISCS[order]).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("paper", [False, True])
def test_a_flood_fill_colours_what_lines_close(channels: int, paper: bool) -> None:
    inside = (DISCS[..., 3] == 255) & (LINES[..., 3] == 0)
    targets = identity(DISCS, (24, 24, channels))
    sources = over_background(LINES) if paper else LINES
    pairs = [(sources, targets)]
    pen = Pen.of(sources, targets)
    assert pen is not None
    colour = fill_colour(pen, pairs)
    assert colour == pytest.approx(over_background(targets)[inside].mean(axis=0))
    filled = flood_fill(sources, (24, 24, channels), pen, colour)
    painted = LINES.copy()
    painted[inside] = [*np.rint(colour), 255]
    assert np.abs(filled.astype(int) - identity(painted, (24, 24, channels))).max() <= 1


def test_a_flood_fill_grows_with_its_source_and_without_regions_it_is_grey() -> None:
    pen = Pen.of(LINES, DISCS)
    assert pen is not None
    large = np.repeat(np.repeat(DISCS, 2, 1), 2, 2)
    assert fill_colour(pen, [(LINES, large)]) == pytest.approx(fill_colour(pen, PAIRS), abs=8)
    filled = flood_fill(LINES, (48, 48, 4), pen, np.array([1.0, 2.0, 3.0]))
    assert ((filled[..., 3] == 255) & (large[..., 3] == 255)).sum() > 0.8 * (large[..., 3] == 255).sum()
    assert fill_colour(pen, [(np.zeros_like(LINES), DISCS)]).tolist() == [127.5] * 3
