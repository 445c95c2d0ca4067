import csv
import json
import os
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import ConfigError, DataError
from core.sizes import plan_size
from trainer.data.importing import ImportOptions, import_images

SIZE = plan_size(8, 8)


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(path, "PNG")


def classes(source, tmp_path, labels, **options):
    """The class of every picture, in the order of the file names; and the pack."""
    pack = import_images(source, tmp_path / "pack", ImportOptions(SIZE, labels=labels, overwrite=True, **options))
    return [pack.info.classes[label] for label in pack.labels], pack


def folder(tmp_path, *names):
    for seed, name in enumerate(names):
        save(tmp_path / "in" / name, seed)
    return tmp_path / "in"


@pytest.mark.parametrize("wrap", ["train/", "data/images/", ""])
def test_a_folder_around_the_classes_is_none(tmp_path, wrap):
    source = folder(tmp_path, f"{wrap}cat/a.png", f"{wrap}cat/b.png", f"{wrap}dog/a.png")
    found, pack = classes(source, tmp_path, "folders")
    assert found == ["cat", "cat", "dog"]
    assert (("classes from" in dict(pack.info.notes)) is bool(wrap)) and wrap.split("/")[0] in str(pack.info.notes)


def test_the_parts_of_a_data_set_are_no_classes(tmp_path):
    source = folder(tmp_path, "Train/cat/a.png", "Train/dog/b.png", "val/cat/c.png")
    found, pack = classes(source, tmp_path, "folders")
    assert found == ["cat", "dog", "cat"]
    assert dict(pack.info.notes)["classes from"] == "the folders in Train/ and val/"


def test_folders_that_only_look_alike_stay_classes(tmp_path):
    assert classes(folder(tmp_path, "train/a.png", "test/b.png"), tmp_path, "folders")[0] == ["test", "train"]
    save(tmp_path / "in" / "bus" / "red" / "c.png", 7)
    assert classes(tmp_path / "in", tmp_path, "folders")[0] == ["bus", "test", "train"]


def test_two_spellings_of_one_name_are_one_class(tmp_path):
    """macOS writes é as e and an accent, others as one sign: Unicode's NFD and NFC."""
    names = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    source = folder(tmp_path, f"{names[0]}/a.png", f"{names[1]}/b.png", "thé/c.png")
    found, pack = classes(source, tmp_path, "folders")
    assert pack.info.classes == (names[0], "thé") and sorted(found).count(names[0]) == 2


def test_names_that_are_no_utf_8_stay_apart(tmp_path):
    for seed, byte in enumerate((b"\xe9", b"\xe8")):
        save(Path(os.fsdecode(bytes(tmp_path / "in") + b"/caf" + byte)) / "a.png", seed)
    assert classes(tmp_path / "in", tmp_path, "folders")[1].info.classes == ("caf\\xe8", "caf\\xe9")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{class}_{number}", ["big_cat", "big_cat", "dog"]),
        ("{class}_*.png", ["big_cat", "big_cat", "dog"]),
        ("*/{class}_{number}.png", None),
    ],
)
def test_classes_from_file_names(tmp_path, pattern, found):
    source = folder(tmp_path, "big_cat_001.png", "big_cat_2.png", "dog_1.png", "readme.png")
    if found is None:
        with pytest.raises(DataError, match=r"no class in its name"):
            classes(source, tmp_path, pattern)
        return
    named, pack = classes(source, tmp_path, pattern)
    assert named == found
    assert pack.info.skipped == (("readme.png", f"no class in its name ({pattern})"),)


def test_styleganos_list_in_the_folder_or_the_archive(tmp_path):
    source = folder(tmp_path, "00000/img0.png", "00000/img1.png", "00001/img2.png")
    listed = json.dumps({"labels": [["00000/img0.png", 6], ["00000/img1.png", 11], ["00001/img2.png", 6]]})
    (source / "dataset.json").write_text(listed)
    found, pack = classes(source, tmp_path, "dataset.json")
    assert found == ["6", "11", "6"] and pack.info.classes == ("6", "11") and not pack.info.skipped
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(source.rglob("*.*")):
            archive.write(path, path.relative_to(source).as_posix())
    assert classes(tmp_path / "set.zip", tmp_path, "dataset.json")[0] == ["6", "11", "6"]


@pytest.mark.parametrize(
    ("delimiter", "head", "ending"),
    [(",", ("id", "width", "breed"), ""), (";", ("label", "x", "image"), ".png"), ("\t", None, ".png")],
)
def test_tables_of_file_names_and_classes(tmp_path, delimiter, head, ending):
    source = folder(tmp_path, "sub/a.png", "sub/b.png", "c.png")
    rows = {"a": "poodle", "b": "Bär, groß", "c": "poodle"}
    with (tmp_path / "labels.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerows([head] if head else [])
        for name, label in rows.items():
            cells = {"id": name + ending, "image": name + ending, "breed": label, "label": label}
            table.writerow([cells.get(column, "8") for column in head or ("id", "label")])
    assert classes(source, tmp_path, str(tmp_path / "labels.csv"))[0] == ["poodle", "poodle", "Bär, groß"]


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"labels": null}', '{"labels": [["a.png", [0, 1]]]}'])
def test_lists_that_are_none_are_one_line(tmp_path, text):
    source = folder(tmp_path, "a.png")
    (source / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"--labels dataset\.json (holds|is|has)"):
        classes(source, tmp_path, "dataset.json")
    with pytest.raises(DataError, match=r"--labels gone\.csv is neither in"):
        classes(source, tmp_path, "gone.csv")


def test_files_that_no_list_names_are_counted(tmp_path):
    source = folder(tmp_path, "a.png", "b.png")
    (source / "l.csv").write_text("file,label\na.png,cat\n")
    found, pack = classes(source, tmp_path, "l.csv")
    assert found == ["cat"] and pack.info.skipped == (("b.png", "no class in l.csv"),)


@pytest.mark.parametrize("way", ["{class}_{class}", "folder", "labels.txt"])
def test_ways_that_are_none(way):
    with pytest.raises(ConfigError, match="--labels"):
        ImportOptions(SIZE, labels=way)


def test_the_same_picture_in_two_classes_is_said_and_kept_in_both(tmp_path):
    for name in ("cat/a.png", "cat/b.png", "dog/c.png"):
        save(tmp_path / "in" / name, 0)
    found, pack = classes(tmp_path / "in", tmp_path, "folders")
    assert found == ["cat", "dog"]
    assert (pack.info.duplicates, pack.info.distinct) == (1, 1)
    assert dict(pack.info.notes)["in two classes"].startswith("1 look exactly like one of another class")
