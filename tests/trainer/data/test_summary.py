import json
from dataclasses import replace

import numpy as np
import pytest

from core.errors import DataError
from core.ours import is_ours
from core.seed_sheets import cut
from trainer.data.contact import contact_sheet
from trainer.data.licences import note
from trainer.data.pack import PackInfo, write_pack
from trainer.data.summary import describe, save_sheet, warnings

IMAGES = np.random.default_rng(0).integers(1, 256, (30, 16, 24, 4), np.uint8)


@pytest.fixture
def pack(tmp_path):
    skipped = tuple((f"{number}.txt", "not an image") for number in range(7))
    info = PackInfo("some", 16, 24, 4, ("cat", "dog", "cow"), "folder", "CC0-1.0", skipped=skipped, empty=3)
    return write_pack(tmp_path / "pack", IMAGES, [0] * 24 + [1] * 6, info)


@pytest.fixture
def plain(tmp_path):
    return write_pack(tmp_path / "pack", IMAGES, None, PackInfo("some", 16, 24, 4))


def test_the_table_says_what_matters(pack):
    rows = describe(pack)
    table = dict(rows)
    assert table["images"] == "30"
    assert table["size"] == "24x16 (24 wide, 16 high)"
    assert table["channels"] == "4 (RGBA)"
    assert table["classes"] == "cat 24, dog 6, cow 0"
    assert table["licence"] == "CC0-1.0"
    assert table["fingerprint"] == pack.info.fingerprint
    assert table["skipped files"] == "7"
    assert table["on disk"].endswith(" kB") and float(table["on disk"].split()[0]) > 30 * 16 * 24 * 4 / 1000
    assert table["empty"] == "3 are empty or of a single colour: dropped"
    assert rows[-1] == ("", "7 not an image (.txt 7)")


def assert_shows(page, images):
    """The page shows these ``(n, 16, 24, 4)``, each pixel, where they are opaque; all else is checks."""
    cells = cut(page, 16, 24)[0]
    for cell, image in zip(cells, images, strict=True):
        opaque = image[..., 3] == 255
        assert np.array_equal(cell[opaque], image[opaque][:, :3])


def test_the_contact_sheet_is_spread_over_the_pack(plain):
    page = contact_sheet(plain, 9)
    assert page.mode == "RGB"
    assert_shows(page, plain.images[np.linspace(0, 29, 9).round().astype(int)])


def test_a_contact_sheet_says_each_class(pack, tmp_path, monkeypatch):
    """Two packs that differ in a class's name alone differ before its row, and nowhere else."""
    monkeypatch.setattr("core.lettering._MORE", ())

    def page_with(name):
        info = replace(pack.info, classes=("longer than others", name, "cow"))
        return contact_sheet(write_pack(tmp_path / name, IMAGES, pack.labels, info))

    one, two = page_with("dog"), page_with("owl")
    layout = json.loads(one.info["Layout"])
    rows, columns = (np.asarray(one) != np.asarray(two)).any(axis=2).nonzero()
    left, top = layout["places"][8]
    assert len(rows) and columns.max() < left and top <= rows.min() <= rows.max() < top + layout["height"]
    assert page_with("日本").info["Legend"] == "#1 日本" and "Legend" not in one.info


def test_each_class_has_a_row_of_the_contact_sheet(pack):
    """8 of the 24 cats, all 6 dogs, and no row for the cows that are not there."""
    page = contact_sheet(pack)
    cells, across = cut(page, 16, 24)
    assert (len(cells), across) == (16, 8)
    for cell, image in ((cells[0], 0), (cells[7], 23), (cells[8], 24), (cells[13], 29)):
        opaque = IMAGES[image, ..., 3] == 255
        assert np.array_equal(cell[opaque], IMAGES[image][opaque][:, :3])
    assert len(np.unique(cells[14:])) == 1  # no picture, and no checks that would be taken for an empty one


def test_a_saved_sheet_says_where_and_what_it_is_and_replaces_nothing_of_anyones(pack, tmp_path):
    plain = write_pack(tmp_path / "plain", IMAGES, None, PackInfo("some", 16, 24, 4))
    assert save_sheet(plain, tmp_path / "a.png") == f"contact sheet: {tmp_path / 'a.png'}"
    assert save_sheet(pack, tmp_path / "a.png").endswith("a.png (a row for each class: cat, dog)")
    assert is_ours(tmp_path / "a.png")
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"mine.png is there, and Ganfoundry did not make it.*--sheet"):
        save_sheet(pack, tmp_path / "mine.png")
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


def test_warnings_are_those_of_the_import_and_what_the_licence_lacks(tmp_path):
    info = PackInfo("some", 16, 24, 4, warnings=("one", "two"))
    opened = write_pack(tmp_path / "a pack", IMAGES, None, info)
    one, two, licence = warnings(opened)
    assert (one, two) == ("one", "two")
    assert f"data info '{tmp_path}/a pack' --licence NAME" in licence
    assert warnings(note(opened, "own work", "")) == ["one", "two"]


@pytest.mark.parametrize(("count", "side"), [(1, 8), (2, 8), (3, 512)])
def test_any_number_and_size_makes_a_sheet_of_a_few_hundred_pixels(tmp_path, count, side):
    pack = write_pack(
        tmp_path / "pack", np.full((count, side, side, 1), 9, np.uint8), None, PackInfo("a", side, side, 1)
    )
    page = contact_sheet(pack)
    assert page.mode == "RGB"
    assert 64 <= max(page.size) <= 600


def test_skipped_files_are_grouped_and_the_damaged_ones_come_first(tmp_path):
    """One damaged picture among hundreds of scripts is what a person has to see."""
    skipped = [(f"scripts/{number}.lua", "not an image") for number in range(700)]
    skipped += [("a.txt", "not an image"), ("icon.svg", "vector graphics: render it to PNG")]
    skipped += [("art/hero.png", "damaged or unreadable: broken data stream"), ("b.png", "empty file")]
    skipped += [(f"{number}.jpg", "damaged: its data ends too early") for number in range(7)]
    info = PackInfo("some", 8, 8, 1, skipped=tuple(skipped))
    rows = describe(write_pack(tmp_path / "pack", np.full((2, 8, 8, 1), 9, np.uint8), None, info))
    said = [value for _, value in rows[[label for label, _ in rows].index("skipped files") :]]
    assert said[0] == "711"
    assert said[1:7] == ["7 damaged", *(f"{number}.jpg: damaged: its data ends too early" for number in range(5))]
    assert said[7] == "… and 2 more, all in dataset.json"
    assert said[8:] == [
        "art/hero.png: damaged or unreadable: broken data stream",
        "b.png: empty file",
        "icon.svg: vector graphics: render it to PNG",
        "701 not an image (.lua 700, .txt 1)",
    ]


def test_what_was_found_is_said_whether_it_was_dropped_or_kept(tmp_path):
    info = PackInfo("some", 8, 8, 1, duplicates=12, distinct=2, notes=(("animations", "3, of each the first"),))
    table = dict(describe(write_pack(tmp_path / "pack", np.full((3, 8, 8, 1), 9, np.uint8), None, info)))
    assert table["images"] == "3, 2 of them distinct"
    assert table["duplicates"] == "12 look exactly like an earlier one: dropped"
    assert (table["empty"], table["animations"]) == ("none", "3, of each the first")
