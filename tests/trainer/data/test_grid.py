import numpy as np
import pytest
from PIL import Image

from core.errors import ConfigError, DataError
from trainer.data.grid import cells, check_grid, identity, is_empty, parse_grid


@pytest.mark.parametrize(("text", "grid"), [("32x24", (32, 24)), ("16X8", (16, 8)), ("32", (32, 32))])
def test_a_grid_is_width_by_height(text, grid):
    assert parse_grid(text) == grid


@pytest.mark.parametrize("text", ["", "x", "32x", "0x8", "-4x4", "1.5x2", "8x8x8", "many"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        parse_grid(text)


def test_cells_come_row_by_row_and_make_up_the_sheet():
    sheet = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    found = [np.asarray(cell) for cell in cells(Image.fromarray(sheet), (10, 8))]
    assert [cell.shape for cell in found] == [(8, 10, 3)] * 12
    rows = [np.concatenate(found[start : start + 4], axis=1) for start in (0, 4, 8)]
    assert np.array_equal(np.concatenate(rows), sheet)


@pytest.mark.parametrize("grid", [(7, 8), (10, 7), (80, 8), (40, 48)])
def test_a_grid_that_does_not_divide_the_sheet_is_said_so(grid):
    with pytest.raises(DataError, match=f"40 x 24 pixels do not divide into cells of {grid[0]} x {grid[1]}"):
        check_grid(Image.new("L", (40, 24)), grid)


def test_empty_is_transparent_or_one_colour():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    hidden = noise.copy()
    hidden[..., 3] = 0
    assert is_empty(Image.fromarray(hidden))
    assert is_empty(Image.new("RGB", (8, 8), "red")) and is_empty(Image.new("L", (8, 8), 9))
    hidden[3, 4] = [0, 0, 0, 1]
    assert not is_empty(Image.fromarray(hidden))
    assert not is_empty(Image.fromarray(noise))


def test_cells_are_the_same_if_they_look_the_same():
    one = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    one[0, 0] = [1, 2, 3, 0]
    other = one.copy()
    other[0, 0] = [9, 9, 9, 0]
    assert identity(Image.fromarray(one)) == identity(Image.fromarray(other))
    other[0, 0, 3] = 1
    assert identity(Image.fromarray(one)) != identity(Image.fromarray(other))
