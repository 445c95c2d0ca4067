"""Sheets of the command: labelled, in pages, and none in the place of another."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.difference import MOST_LEVELS, levels_apart
from core.errors import RequestRefused
from core.images import encode_png, from_pillow, over_checkerboard
from core.ours import signed_png
from core.seed_sheets import cut
from core.sheets import Look, Sheet
from serving.sampling.files import Keeper, same_picture
from serving.sampling.sheet import SheetFiles, parse_scale
from tests.running import output_of
from tests.serving.conftest import SPEC, make_bundle

GREY = [np.full((4, 4, 1), level, np.uint8) for level in range(70)]
BARE, LARGE = Look(labels=False), Look(64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle") / "animals", replace(SPEC, classes=("cat", "日本", "bird")))


@pytest.fixture
def sample(bundle, tmp_path, monkeypatch):
    """The command, on a machine with no font but Pillow's; what it says, or the error of ours it ends with."""
    monkeypatch.setattr("core.lettering._MORE", ())

    def run(*arguments, sheet="sheet.png"):
        return output_of("sample", bundle, "--out", tmp_path / "out", "--sheet", tmp_path / sheet, *arguments)

    return run


def opened(path):
    with Image.open(path) as picture:
        picture.load()
    return picture


def save(path, count, overwrite=False, look=LARGE):
    """A sheet of so many grey pictures, four pixels high and wide."""
    drawn = Sheet([None] * count, captions=[*map(str, range(count))])
    files = SheetFiles(drawn, (4, 4), path, look, overwrite)
    beside, keeper = files.of({"Software": "Ganfoundry 1"}), Keeper(overwrite)
    for page, data in zip(beside.paths, beside.make(GREY[:count]), strict=True):
        keeper.save(page, data)
    files.delete_older()
    return files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_sheet_of_classes_has_each_picture_and_says_what_its_numbers_stand_for(sample, tmp_path):
    said = sample("--seeds", "3,9", "--every-class")
    assert f"sheet in {tmp_path / 'sheet.png'} (on it #1 is 日本)" in said.replace("\n", "")
    page = opened(tmp_path / "sheet.png")
    cells, across = cut(page, 8, 12)
    files = [f"{label}_{seed:010d}" for label in ("cat", "日本", "bird") for seed in (3, 9)]
    for cell, name in zip(cells, files, strict=True):
        image = from_pillow(opened(tmp_path / "out" / f"{name}.png"), 4)
        opaque = image[..., 3] == 255
        assert np.array_equal(cell[opaque], image[opaque][:, :3])
    assert (across, page.info["Page"], page.info["Legend"]) == (2, "1 of 1", "#1 日本")
    assert page.info["Source"] == "trained on noise, CC0-1.0"


def test_a_class_that_cannot_be_written_above_a_sheet_is_said(sample, tmp_path):
    assert "(on it #1 is 日本)" in sample("--seeds", "3", "--label", "日本").replace("\n", "")
    assert opened(tmp_path / "sheet.png").info["Legend"] == "#1 日本"
    assert "on it" not in sample("--seeds", "3", "--label", "cat", sheet="cat.png")


def test_the_scale_is_a_whole_factor_and_without_labels_it_is_pixels(sample, tmp_path):
    sample("--seeds", "0-3", "--label", "cat", "--sheet-scale", "5")
    assert json.loads(opened(tmp_path / "sheet.png").info["Layout"])["scale"] == 5
    sample("--seeds", "0-3", "--label", "cat", "--no-sheet-labels", sheet="bare.png")
    page = from_pillow(opened(tmp_path / "bare.png"), 4)
    assert page.shape == (16, 24, 4)
    image = from_pillow(opened(tmp_path / "out" / "cat_0000000003.png"), 4)
    assert np.array_equal(page[8:, 12:], image)


def test_hundreds_take_several_files_and_their_number_is_said(tmp_path):
    files = save(tmp_path / "sheet.png", 70)
    count = len(files.paths)
    assert names(tmp_path) == sorted(f"sheet-{number}.png" for number in range(1, count + 1)) and count > 1
    assert files.said() == f", sheet of {count} pages in {tmp_path / 'sheet-1.png'} to sheet-{count}.png"
    pages = [opened(path) for path in files.paths]
    assert [page.info["Page"] for page in pages] == [f"{number} of {count}" for number in range(1, count + 1)]
    cells = [cell for page in pages for cell in cut(page, 4, 4)[0]]
    assert [int(cell.mean()) for cell in cells] == list(range(70))


def test_pages_of_a_longer_sheet_are_not_left_among_those_of_a_shorter_one(tmp_path):
    save(tmp_path / "sheet.png", 70)
    before = names(tmp_path)
    for count in (2, 40):
        with pytest.raises(RequestRefused, match=r"sheet-\d\.png is .*--overwrite"):
            save(tmp_path / "sheet.png", count)
    assert names(tmp_path) == before
    for name in ("sheet-7.png", "sheet-notes.png", "other-1.png"):  # mine: never taken for a page
        Image.new("L", (1, 1)).save(tmp_path / name)
    (tmp_path / "sheet-8.png").write_bytes(signed_png(Image.new("L", (1, 1))))  # ours, and no page
    save(tmp_path / "sheet.png", 2, overwrite=True)
    assert names(tmp_path) == ["other-1.png", "sheet-7.png", "sheet-8.png", "sheet-notes.png", "sheet.png"]


def test_the_same_sheet_may_be_made_again_although_a_level_is_off(tmp_path):
    """A level of colour and one of alpha are two where they have become one."""
    image = np.full((4, 4, 4), (200, 100, 0, 128), np.uint8)
    other = image - np.array((1, 1, 0, 1), np.uint8)
    for picture in (image, other):
        assert levels_apart(image, picture) <= MOST_LEVELS
    page = {"Page": "1 of 1"}
    path = tmp_path / "sheet.png"
    path.write_bytes(encode_png(over_checkerboard(image), page))
    assert levels_apart(over_checkerboard(image), over_checkerboard(other)) <= 2
    assert same_picture(path, encode_png(over_checkerboard(other), page))
    assert not same_picture(path, encode_png(over_checkerboard(image) ^ 4, page))


def test_what_is_somebody_elses_is_no_place_for_a_page(tmp_path):
    mine = tmp_path / "sheet-2.png"
    Image.new("L", (1, 1)).save(mine)
    kept = mine.read_bytes()
    with pytest.raises(RequestRefused, match=r"sheet-2\.png is there, and Ganfoundry did not make it"):
        save(tmp_path / "sheet.png", 70, overwrite=True)
    assert mine.read_bytes() == kept


def test_no_sheet_is_nothing():
    files = SheetFiles(Sheet([None], captions=["0"]), (4, 4), None)
    assert (files.paths, files.of({}).paths, files.said()) == ([], [], "")


def test_many_names_are_not_all_said(tmp_path, monkeypatch):
    monkeypatch.setattr("core.lettering._MORE", ())
    rows = [f"{letter * 90}" for letter in "abcdefghij"]
    files = SheetFiles(Sheet([None] * 20, columns=["3", "9"], rows=rows), (4, 4), tmp_path / "sheet.png")
    assert files.said().count(" is ") == 6 and files.said().endswith("and 4 more)")
    assert (
        SheetFiles(Sheet([None] * 20, 2, ["3", "9"], rows), (4, 4), tmp_path / "s.png", BARE).said().count(" is ") == 0
    )


@pytest.mark.parametrize(("text", "scale"), [("auto", None), (" AUTO", None), ("1", 1), ("64", 64)])
def test_scales(text, scale):
    assert parse_scale(text) == scale


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "65", "big", "²"])
def test_scales_that_are_none(text):
    with pytest.raises(RequestRefused, match=r"--sheet-scale .*: write auto, or 1 to 64"):
        parse_scale(text)
