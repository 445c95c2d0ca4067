"""Sheets hold every picture once, pixel for pixel, with what is said beside it; held against Pillow's drawing."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from core.images import encode_png, over_checkerboard, sheet
from core.lettering import SIZE
from core.seed_sheets import cut, sheet_of_classes, sheet_of_seeds
from core.sheets import Look, Pages, Sheet, small


def pictures(count, height=8, width=12, channels=3):
    """Different ones, that are opaque where they have an alpha."""
    values = np.random.default_rng(0).integers(0, 256, (count, height, width, channels), np.uint8)
    if channels == 4:
        values[..., 3] = 255
    return [*values]


def written(text, width, height, anchor="mm"):
    """The text alone, as Pillow draws it on a page."""
    image = Image.new("RGB", (width, height), (246, 246, 246))
    place = (width // 2, height // 2) if anchor == "mm" else (0, height // 2)
    ImageDraw.Draw(image).text(place, text, (32, 32, 32), ImageFont.load_default(SIZE), anchor=anchor)
    return np.asarray(image)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("count", "height", "width", "scale"),
    [(1, 8, 12, None), (2, 16, 16, None), (64, 28, 28, None), (9, 96, 128, None), (300, 8, 8, 3), (5, 3, 200, 1)],
)
def test_every_picture_is_on_one_page_once_enlarged_by_a_whole_factor(count, height, width, scale, channels):
    made = pictures(count, height, width, channels)
    pages = Pages(Sheet(made, captions=[*map(str, range(count))]), (height, width), Look(scale))
    cells = [cell for page in pages for cell in cut(page.image(), height, width)[0]]
    assert np.array_equal(cells, [over_checkerboard(each) for each in made])
    factors = {json.loads(page.facts["Layout"])["scale"] for page in pages}
    assert len(factors) == 1 and (scale is None or factors == {scale})
    assert [page.facts["Page"] for page in pages] == [f"{n + 1} of {len(pages)}" for n in range(len(pages))]
    assert max(max(page.picture.shape[:2]) for page in pages) < 1800


@pytest.mark.parametrize(
    ("size", "count", "shown"),
    [
        ((16, 16), 64, 128),
        ((16, 16), 1500, 64),
        ((28, 28), 64, 112),
        ((96, 128), 64, 128),
        ((300, 300), 4, 300),
        ((1024, 1024), 4, 256),
    ],
)
def test_pictures_are_as_large_as_a_page_has_room_for(size, count, shown):
    pages = Pages(Sheet([None] * count, captions=["7"] * count), size)
    assert max(json.loads(pages[0].facts["Layout"])[side] for side in ("width", "height")) == shown
    assert len(pages) == {64: 1, 4: 1, 1500: 4}[count]
    assert sum(len(json.loads(page.facts["Layout"])["places"]) for page in pages) == count


def test_the_caption_is_below_its_picture():
    made = pictures(6, 16, 16)
    (page,) = Pages(Sheet(made, captions=["0", "41", "7", "4294967295", "5", "11"]), (16, 16))
    layout = json.loads(page.facts["Layout"])
    for (x, y), text in zip(layout["places"], ["0", "41", "7", "4294967295", "5", "11"], strict=True):
        below = page.picture[y + 128 : y + 128 + 19, x : x + 128]
        assert np.array_equal(below, written(text, 128, 19)), text


@pytest.mark.parametrize("labels", [("cat", "dog"), ("snake.py", "日本")])
def test_a_table_has_its_headings_before_rows_and_over_columns(labels, monkeypatch):
    monkeypatch.setattr("core.lettering._MORE", ())
    made = pictures(6, 32, 32)
    pages = Pages(sheet_of_classes(made, [3, 9, 77], labels, ["sprites"]), (32, 32))
    (page,) = pages
    layout = json.loads(page.facts["Layout"])
    for column, text in enumerate(("3", "9", "77")):
        x, y = layout["places"][column]
        assert np.array_equal(page.picture[y - 16 : y, x : x + 128], written(text, 128, 16))
    for row, text in enumerate(labels if labels[1] == "dog" else ("snake.py", "#1")):
        x, y = layout["places"][3 * row]
        assert np.array_equal(page.picture[y + 56 : y + 72, 10:x], written(text, x - 10, 16, "lm"))
    legend = {} if labels[1] == "dog" else {"#1": "日本"}
    assert (pages.legend, page.facts.get("Legend")) == (legend, "#1 日本" if legend else None)


def test_long_tables_go_on_over_pages_with_their_headings():
    """Whichever way they are long, every page says what its pictures are."""
    rows, columns = [f"class {n}" for n in range(40)], [*map(str, range(40))]
    made = pictures(1600, 4, 4)
    pages = Pages(Sheet(made, columns=columns, rows=rows, corner="seed"), (4, 4), Look(16))
    drawn = [(page, cut(page.image(), 4, 4)[0]) for page in pages]
    shown = [cell for _, cells in drawn for cell in cells]
    assert len(pages) > 1 and {each.tobytes() for each in shown} == {each.tobytes() for each in made}
    assert len(shown) == 1600
    for page, (first, *_) in drawn:
        x, y = json.loads(page.facts["Layout"])["places"][0]
        which = next(index for index, each in enumerate(made) if np.array_equal(each, first))
        assert np.array_equal(page.picture[y - 16 : y, x : x + 64], written(columns[which % 40], 64, 16))


def test_a_few_long_rows_lie_in_blocks_on_one_page():
    made = pictures(90, 4, 4)
    drawn = Sheet(made, columns=[*map(str, range(45))], rows=["cat", "dog"])
    (page,) = Pages(drawn, (4, 4), Look(16))
    cells, _ = cut(page.image(), 4, 4)
    assert sorted(each.tobytes() for each in cells) == sorted(each.tobytes() for each in made)


def test_transparency_lies_over_light_checks_of_whole_pixels():
    (page,) = Pages(Sheet([np.zeros((16, 16, 4), np.uint8)]), (16, 16), Look(3))
    x, y = json.loads(page.facts["Layout"])["places"][0]
    shown = page.picture[y : y + 48, x : x + 48]
    assert np.array_equal(shown, over_checkerboard(np.zeros((48, 48, 4), np.uint8), 9))
    assert shown.min() >= 204


@pytest.mark.parametrize(("count", "columns"), [(5, ()), (6, ("0", "1")), (1, ())])
def test_without_labels_it_is_the_pixels_alone(count, columns):
    made = pictures(count, channels=4)
    made[0][:] = 0
    (page,) = Pages(
        Sheet(made, columns=columns, captions=["x"] * count, title=["sprites"]), (8, 12), Look(labels=False)
    )
    assert np.array_equal(page.picture, sheet(np.stack(made), len(columns) or None))
    (large,) = Pages(Sheet(made, columns=columns), (8, 12), Look(3, labels=False))
    assert np.array_equal(large.picture, page.picture.repeat(3, 0).repeat(3, 1))


def test_without_labels_thousands_take_pages_of_whole_rows():
    made = pictures(5000, 1, 1, 1)
    pages = Pages(Sheet(made, 100), (1, 1), Look(labels=False))
    assert [page.picture.shape for page in pages] == [(40, 100, 1), (10, 100, 1)]
    assert np.array_equal(np.concatenate([page.picture for page in pages]).reshape(-1), np.reshape(made, -1))


def test_pictures_are_read_from_their_files(tmp_path):
    made = pictures(4)
    for index, image in enumerate(made):
        (tmp_path / f"{index}.png").write_bytes(encode_png(image))
    files = [tmp_path / f"{index}.png" for index in range(4)]
    assert np.array_equal(Pages(Sheet(files), (8, 12))[0].picture, Pages(Sheet(made), (8, 12))[0].picture)


def test_one_page_holds_everything_and_is_as_small_as_that_takes():
    drawn = sheet_of_seeds(pictures(400, 8, 8), 20, (), [])
    assert len(Pages(drawn, (8, 8))) > 1
    (page,) = Pages(drawn, (8, 8), one=True)
    assert json.loads(page.facts["Layout"])["scale"] == 8
    assert small((8, 8)) == Look(8) and small((100, 20)) == Look(1) and small((600, 20)) == Look(None)


def test_a_seed_of_each_class_has_the_class_below_it():
    drawn = sheet_of_seeds(pictures(3), 1, ("cat", "dog", "cow"), [])
    assert (drawn.captions, drawn.columns) == (["cat", "dog", "cow"], ())


def test_a_page_of_before_holds_nothing_but_pictures():
    made = pictures(6)
    cells, across = cut(Image.fromarray(sheet(np.stack(made), 3)), 8, 12)
    assert across == 3 and np.array_equal(cells, made)
