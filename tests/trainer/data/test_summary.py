import json
from dataclasses import replace

import numpy as np
import pytest

from core.seed_sheets import cut
from trainer.data.pack import PackInfo, write_pack
from trainer.data.summary import contact_sheet, describe


@pytest.fixture
def pack(tmp_path):
    images = np.random.default_rng(0).integers(1, 256, (30, 16, 24, 4), np.uint8)
    skipped = tuple((f"{number}.txt", "not an image") for number in range(7))
    info = PackInfo("some", 16, 24, 4, ("cat", "dog", "cow"), "folder", "CC0-1.0", skipped=skipped, empty=3)
    return write_pack(tmp_path / "pack", images, [0] * 20 + [1] * 10, info)


def test_the_table_says_what_matters(pack):
    rows = describe(pack)
    table = dict(rows)
    assert table["images"] == "30"
    assert table["size"] == "24x16 (24 wide, 16 high)"
    assert table["channels"] == "4 (RGBA)"
    assert table["classes"] == "cat 20, dog 10, cow 0"
    assert table["licence"] == "CC0-1.0"
    assert table["fingerprint"] == pack.info.fingerprint
    assert table["skipped files"] == "7"
    assert table["on disk"].endswith(" kB") and float(table["on disk"].split()[0]) > 30 * 16 * 24 * 4 / 1000
    assert table["empty"] == "3 are empty or of a single colour: dropped"
    assert rows[-1] == ("", "7 not an image (.txt 7)")


def test_the_contact_sheet_is_spread_over_the_pack(pack):
    page = contact_sheet(pack, 9)
    cells, chosen = cut(page, 16, 24)[0], np.linspace(0, 29, 9).round().astype(int)
    assert (len(cells), page.mode) == (9, "RGB")
    for cell, row in zip(cells, chosen, strict=True):
        opaque = pack.images[row][..., 3] == 255
        assert np.array_equal(cell[opaque], pack.images[row][opaque][:, :3])


def test_a_contact_sheet_says_each_image_s_number_and_class(pack, tmp_path, monkeypatch):
    """Two packs that differ in a class's name alone differ where it is written, and nowhere else."""
    monkeypatch.setattr("core.lettering._MORE", ())

    def page_with(name):
        info = replace(pack.info, classes=("cat", name, "cow"))
        return contact_sheet(write_pack(tmp_path / name, pack.images, pack.labels, info), 30)

    one, two = page_with("dog"), page_with("owl")
    layout = json.loads(one.info["Layout"])
    apart = (np.asarray(one) != np.asarray(two)).any(axis=(1, 2)).nonzero()[0]
    below = {y + layout["height"] for _, y in layout["places"][20:]}
    assert len(apart) and all(any(y <= row < y + 19 for y in below) for row in apart)
    assert page_with("日本").info["Legend"] == "#1 日本" and "Legend" not in one.info


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
