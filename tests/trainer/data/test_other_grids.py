import numpy as np
import pytest
from PIL import Image

from tests.trainer.data.test_grid import sprites
from trainer.data.grid import Layout
from trainer.data.other_grids import fitting


@pytest.mark.parametrize(
    ("spacing", "margin", "first"),
    [
        (2, 0, "--grid 16x16 --spacing 2"),
        (1, 1, "--grid 16x16 --spacing 1 --margin 1"),
        (4, 2, "--grid 16x16 --spacing 4 --margin 2"),
        (0, 3, "--grid 16x16 --margin 3"),
    ],
)
def test_the_gaps_between_cells_are_seen_where_the_cells_are_as_asked(spacing, margin, first):
    said = fitting(sprites(5, 3, spacing, margin), Layout((16, 16)))
    assert said.split(" or ")[0] == first


def test_cells_of_another_size_are_seen():
    """Discs of 16 in cells of 18, asked for as 20: no other cells leave all of them whole."""
    assert fitting(sprites(5, 3, 2, 1), Layout((20, 20))).split(" or ")[0] == "--grid 18x18"


def test_cells_that_divide_a_tile_set_are_the_nearest_to_what_was_asked_for():
    tiles = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    said = fitting(tiles, Layout((32, 32))).split(" or ")
    assert "--grid 25x25" in said and len(said) == 3
    assert "--grid 20x24" in fitting(Image.new("L", (40, 24)), Layout((40, 48)))
    for each in said:
        options = dict(zip(each.split()[::2], each.split()[1::2], strict=True))
        cell = tuple(map(int, options["--grid"].split("x")))
        gaps = [(int(options.get(name, 0)),) * 2 for name in ("--margin", "--spacing")]
        Layout(cell, *gaps).starts(tiles)  # it does fit


def test_nothing_is_named_where_nothing_near_fits():
    assert fitting(Image.new("L", (101, 67)), Layout((20, 20))) == ""
    assert fitting(Image.new("L", (10, 10)), Layout((64, 64))) == ""
