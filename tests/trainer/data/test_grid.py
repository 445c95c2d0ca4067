import numpy as np
import pytest
from PIL import Image

from core.errors import ConfigError, DataError
from trainer.data.grid import Layout, doubts, is_empty, parse_gap, parse_grid


@pytest.mark.parametrize(("text", "grid"), [("32x24", (32, 24)), ("16X8", (16, 8)), ("32", (32, 32))])
def test_a_grid_is_width_by_height(text, grid):
    assert parse_grid(text) == grid


@pytest.mark.parametrize("text", ["", "x", "32x", "0x8", "-4x4", "1.5x2", "8x8x8", "many"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        parse_grid(text)


def test_cells_come_row_by_row_and_make_up_the_sheet():
    sheet = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    found = [np.asarray(cell) for cell in Layout((10, 8)).cells(Image.fromarray(sheet))]
    assert [cell.shape for cell in found] == [(8, 10, 3)] * 12
    rows = [np.concatenate(found[start : start + 4], axis=1) for start in (0, 4, 8)]
    assert np.array_equal(np.concatenate(rows), sheet)


@pytest.mark.parametrize("grid", [(7, 8), (10, 7), (80, 8), (40, 48)])
def test_a_grid_that_does_not_divide_the_sheet_is_said_so(grid):
    with pytest.raises(DataError, match=rf"^does not divide into cells of {grid[0]}x{grid[1]} \(40x24 pixels\)$"):
        Layout(grid).starts(Image.new("L", (40, 24)))


def test_empty_is_transparent_or_one_colour():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    hidden = noise.copy()
    hidden[..., 3] = 0
    assert is_empty(Image.fromarray(hidden))
    assert is_empty(Image.new("RGB", (8, 8), "red")) and is_empty(Image.new("L", (8, 8), 9))
    hidden[3, 4] = [0, 0, 0, 1]
    assert not is_empty(Image.fromarray(hidden))
    assert not is_empty(Image.fromarray(noise))


@pytest.mark.parametrize(
    ("margin", "spacing"), [((0, 0), (2, 2)), ((1, 1), (1, 1)), ((3, 0), (0, 2)), ((2, 2), (0, 0))]
)
@pytest.mark.parametrize("trailing", [True, False])
def test_margins_and_spacing_are_left_out(margin, spacing, trailing):
    """Of random noise: what is cut is exactly what lies where the layout says."""
    width, height = (margin[0] + 4 * (10 + spacing[0]), margin[1] + 3 * (8 + spacing[1]))
    if not trailing:
        width, height = width - spacing[0] + margin[0], height - spacing[1] + margin[1]
    sheet = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    found = [np.asarray(cell) for cell in Layout((10, 8), margin, spacing).cells(Image.fromarray(sheet))]
    places = [
        (margin[1] + row * (8 + spacing[1]), margin[0] + column * (10 + spacing[0]))
        for row in range(3)
        for column in range(4)
    ]
    assert len(found) == 12
    assert all(np.array_equal(cell, sheet[y : y + 8, x : x + 10]) for cell, (y, x) in zip(found, places, strict=True))


def test_what_does_not_fit_says_all_that_was_asked():
    with pytest.raises(DataError, match=r"^does not divide into cells of 8x8, margin 1, spacing 2x0 "):
        Layout((8, 8), (1, 1), (2, 0)).starts(Image.new("L", (40, 24)))


@pytest.mark.parametrize(("text", "gap"), [("2", (2, 2)), ("0", (0, 0)), ("3x1", (3, 1))])
def test_gaps(text, gap):
    assert parse_gap("--spacing", text) == gap
    with pytest.raises(ConfigError, match="--margin -1 is not a gap"):
        parse_gap("--margin", "-1")


def sprites(columns, rows, spacing, margin=0, ground=(0, 0, 0, 0), kind="RGBA"):
    """Discs that fill their cells of 16 from side to side."""
    step, y, x = 16 + spacing, *np.indices((16, 16)) - 7.5
    disc = x**2 + y**2 < 64
    page = np.zeros((2 * margin + rows * step - spacing, 2 * margin + columns * step - spacing, 4), np.uint8)
    page[:] = ground
    for row in range(rows):
        for column in range(columns):
            cell = page[margin + row * step :, margin + column * step :][:16, :16]
            cell[disc] = [200, 10 * row, 10 * column, 255]
    return Image.fromarray(page).convert(kind)


@pytest.mark.parametrize(
    ("ground", "kind"), [((0, 0, 0, 0), "RGBA"), ((255, 0, 255, 255), "RGB"), ((9, 9, 9, 255), "L")]
)
def test_spacing_that_happens_to_divide_is_noticed_and_named(ground, kind):
    sheet = sprites(9, 9, 2, ground=ground, kind=kind)
    assert sheet.size == (160, 160)  # as of 10 x 10 without spacing
    said = doubts(sheet, Layout((16, 16)))
    assert said.startswith("sprites go over") and said.endswith("try --spacing 2")
    assert doubts(sheet, Layout((16, 16), spacing=(2, 2))) is None


def test_margins_are_named_too():
    sheet = sprites(7, 7, 2, margin=1, ground=(0, 0, 0, 0)).crop((0, 0, 126, 126))
    assert "try --spacing 2 --margin 1" in doubts(sheet, Layout((14, 14))) or "check --grid" in doubts(
        sheet, Layout((14, 14))
    )
    assert doubts(sheet, Layout((16, 16), (1, 1), (2, 2))) is None


def test_sheets_that_are_cut_right_are_not_doubted():
    assert doubts(sprites(9, 9, 0), Layout((16, 16))) is None
    tiles = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert doubts(Image.fromarray(tiles), Layout((16, 16))) is None
    assert doubts(sprites(1, 1, 0), Layout((16, 16))) is None
