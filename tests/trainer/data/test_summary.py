import numpy as np
import pytest

from core.errors import DataError
from core.ours import is_ours
from trainer.data.licences import note
from trainer.data.pack import PackInfo, write_pack
from trainer.data.summary import contact_sheet, describe, save_sheet, warnings

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


def test_the_contact_sheet_is_spread_over_the_pack(plain):
    page = np.asarray(contact_sheet(plain, 9))
    scale = 4  # 24 pixels become 96
    assert page.shape == (3 * (16 * scale + 4) - 4, 3 * (24 * scale + 4) - 4, 4)
    last = plain.images[-1].astype(float)
    shown = page[-16 * scale :: scale, -24 * scale :: scale]
    opaque = last[..., 3] == 255
    assert np.array_equal(shown[opaque][:, :3], last[opaque][:, :3])


def test_unused_cells_of_the_contact_sheet_are_transparent(plain):
    alpha = np.asarray(contact_sheet(plain, 7))[..., 3]
    cells = [
        alpha[68 * row : 68 * row + 64, 100 * column : 100 * column + 96] for row in range(3) for column in range(3)
    ]
    assert [np.unique(cell).tolist() for cell in cells] == [[255]] * 7 + [[0]] * 2
    assert (alpha[64:68] == 0).all()


def test_each_class_has_a_row_of_the_contact_sheet(pack):
    """8 of the 24 cats, all 6 dogs, and no row for the cows that are not there."""
    page = np.asarray(contact_sheet(pack))
    assert page.shape == (2 * (64 + 4) - 4, 8 * (96 + 4) - 4, 4)
    cells = [page[68 * row : 68 * row + 64, 100 * column : 100 * column + 96] for row in (0, 1) for column in range(8)]
    assert [np.unique(cell[..., 3]).tolist() for cell in cells] == [[255]] * 14 + [[0]] * 2
    for cell, image in ((cells[0], 0), (cells[7], 23), (cells[8], 24), (cells[13], 29)):
        opaque = IMAGES[image, ..., 3] == 255
        assert np.array_equal(cell[::4, ::4][opaque][:, :3], IMAGES[image][opaque][:, :3])


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
    assert page.mode == "RGBA"
    assert 64 <= max(page.size) <= 300


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
