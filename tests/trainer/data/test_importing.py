import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import ConfigError, DataError, SpecError
from core.sizes import parse_size, plan_size
from trainer.data.importing import ImportOptions, import_images
from trainer.data.pack import Pack

SIZE = plan_size(16, 16)


def noise(seed, shape=(16, 16, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def load(source, tmp_path, **options):
    return import_images(source, tmp_path / "pack", ImportOptions(SIZE, **{"overwrite": True, **options}))


@pytest.fixture
def folder(tmp_path):
    """Three good pictures, hidden files, and one of each kind of trouble."""
    root = tmp_path / "sprites"
    for seed, name in enumerate(["b/deep/er.png", "a.png", "B.png"]):
        save(root / name, noise(seed))
    save(root / ".hidden.png", noise(7))
    save(root / ".git" / "x.png", noise(8))
    (root / "empty.png").write_bytes(b"")
    (root / "notes.txt").write_text("buy milk")
    (root / "cut.png").write_bytes((root / "a.png").read_bytes()[:300])
    (root / "b" / "gone.png").symlink_to("nowhere.png")
    return root


TROUBLE = ["b/gone.png", "cut.png", "empty.png", "notes.txt"]


def test_a_folder_is_read_in_the_order_of_the_names(tmp_path, folder):
    pack = load(folder, tmp_path)
    assert np.array_equal(pack.images, [noise(2), noise(1), noise(0)])
    assert (pack.info.name, pack.info.source, pack.labels) == ("sprites", "sprites", None)


def test_what_cannot_be_used_is_listed_with_reasons(tmp_path, folder):
    skipped = load(folder, tmp_path).info.skipped
    assert [path for path, _ in skipped] == TROUBLE
    reasons = dict(skipped)
    assert reasons["empty.png"] == "empty file"
    assert reasons["notes.txt"] == "not an image"
    assert reasons["cut.png"].startswith("damaged")
    assert reasons["b/gone.png"] == "a link that leads nowhere"


def test_strict_names_the_first_file_and_the_count_and_leaves_nothing(tmp_path, folder):
    with pytest.raises(DataError, match=r"^4 of the files .*b/gone.png.*without --strict"):
        load(folder, tmp_path, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["sprites"]
    for name in TROUBLE:
        (folder / name).unlink()
    assert len(load(folder, tmp_path, strict=True)) == 3


def test_the_fingerprint_does_not_depend_on_the_place_or_the_time(tmp_path, folder):
    first = load(folder, tmp_path).info
    moved = shutil.copytree(folder, tmp_path / "other" / "name", symlinks=True)
    os.utime(moved / "a.png", (0, 0))
    second = load(moved, tmp_path).info
    assert first.fingerprint == second.fingerprint
    assert str(tmp_path) not in first.to_json()
    save(moved / "a.png", noise(99))
    assert load(moved, tmp_path).info.fingerprint != first.fingerprint


def test_the_same_picture_twice_is_counted_and_dropped_unless_it_is_to_be_kept(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / "in" / name, noise(0))
    info = load(tmp_path / "in", tmp_path).info
    assert (info.count, info.duplicates, info.distinct) == (1, 1, 1)
    info = load(tmp_path / "in", tmp_path, duplicates="keep").info
    assert (info.count, info.duplicates, info.distinct) == (2, 1, 1)
    assert info.options["duplicates"] == "keep"


def test_one_image_is_a_pack_too(tmp_path):
    pack = load(save(tmp_path / "one.png", noise(0)), tmp_path)
    assert len(pack) == 1 and np.array_equal(pack.images[0], noise(0))


GREY = np.repeat(noise(1, (16, 16, 1)), 3, axis=2)
CLEAR = np.dstack([noise(2), np.where(np.indices((16, 16))[0] < 4, 0, 255).astype(np.uint8)])
HIDDEN = np.dstack([GREY, np.full((16, 16), 255, np.uint8)])
HIDDEN[:4] = [255, 0, 0, 0]  # colour, but nobody sees it


@pytest.mark.parametrize(
    ("pictures", "channels"),
    [
        ([GREY, GREY[..., 0]], 1),
        ([GREY, noise(0)], 3),
        ([noise(0), GREY], 3),
        ([CLEAR, GREY], 4),
        ([GREY, CLEAR], 4),
        ([noise(0), CLEAR], 4),
        ([HIDDEN], 4),
        ([np.dstack([noise(0), np.full((16, 16), 255, np.uint8)])], 3),
        ([np.dstack([GREY, np.full((16, 16), 255, np.uint8)])], 1),
    ],
)
def test_channels_are_found(tmp_path, pictures, channels):
    for index, pixels in enumerate(pictures):
        save(tmp_path / "in" / f"{index}.png", pixels)
    assert load(tmp_path / "in", tmp_path).info.channels == channels


def test_dropped_alpha_lies_on_white(tmp_path):
    source = save(tmp_path / "in" / "a.png", CLEAR)
    colour = load(source, tmp_path, channels=3).images[0]
    assert (colour[:4] == 255).all() and np.array_equal(colour[4:], CLEAR[4:, :, :3])
    grey = load(source, tmp_path, channels=1).images[0]
    assert np.array_equal(grey[..., 0], np.asarray(Image.fromarray(colour).convert("L")))


def test_grey_forced_to_more_channels_keeps_its_values(tmp_path):
    source = save(tmp_path / "in" / "a.png", GREY)
    assert np.array_equal(load(source, tmp_path, channels=3).images[0], GREY)
    assert np.array_equal(load(source, tmp_path, channels=1).images[0, ..., 0], GREY[..., 0])
    assert (load(source, tmp_path, channels=4).images[0, ..., 3] == 255).all()


def test_hidden_colour_never_reaches_the_pack(tmp_path):
    assert (load(save(tmp_path / "in" / "a.png", HIDDEN), tmp_path).images[0, :4] == 0).all()


def test_margins_are_background_or_where_there_is_alpha_transparent(tmp_path):
    opaque = np.full((16, 8, 3), (10, 20, 30), np.uint8)
    opaque[4:8, 2:6] = 255
    source = save(tmp_path / "in" / "a.png", opaque)
    assert (load(tmp_path / "in", tmp_path).images[0, :, :4] == (10, 20, 30)).all()
    assert (load(source, tmp_path, channels=4).images[0, :, :4] == 0).all()
    save(tmp_path / "in" / "b.png", CLEAR)
    assert (load(tmp_path / "in", tmp_path).images[0, :, :4] == 0).all()
    assert (load(tmp_path / "in", tmp_path, channels=3).images[0, :, :4] == (10, 20, 30)).all()


def test_folders_are_classes(tmp_path):
    for seed, name in enumerate(["dog/1.png", "cat/x/1.png", "cat/2.png", "10/a.png", "9/a.png"]):
        save(tmp_path / "in" / name, noise(seed))
    (tmp_path / "in" / "notes.txt").write_text("not in a class, and not an image either")
    (tmp_path / "in" / "bad").mkdir()
    (tmp_path / "in" / "bad" / "a.png").write_bytes(b"")
    pack = load(tmp_path / "in", tmp_path, labels="folders")
    assert pack.info.classes == ("9", "10", "cat", "dog")  # numbers by value; none without pictures
    assert [pack.info.classes[label] for label in pack.labels] == ["10", "9", "cat", "cat", "dog"]
    assert np.array_equal(pack.images, [noise(3), noise(4), noise(2), noise(1), noise(0)])


def test_an_image_outside_the_class_folders_is_an_error(tmp_path):
    save(tmp_path / "in" / "cat" / "a.png", noise(0))
    lost = save(tmp_path / "in" / "lost.png", noise(0))
    with pytest.raises(DataError, match=r"lost.png .*move it into one, or leave out --labels"):
        load(tmp_path / "in", tmp_path, labels="folders")
    with pytest.raises(ConfigError, match="a folder of class folders"):
        load(lost, tmp_path, labels="folders")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def sheet_of(*rows):
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def test_a_sheet_is_cut_and_empty_and_duplicate_cells_dropped(tmp_path):
    empty, red = np.zeros((8, 12, 3), np.uint8), np.full((8, 12, 3), (255, 0, 0), np.uint8)
    one, two = noise(1, (8, 12, 3)), noise(2, (8, 12, 3))
    source = save(tmp_path / "sheet.png", sheet_of([one, empty, two], [red, one, one]))
    options = ImportOptions(plan_size(8, 12), grid=(12, 8))
    pack = import_images(source, tmp_path / "pack", options)
    assert np.array_equal(pack.images, [one, two])
    assert (pack.info.empty, pack.info.duplicates) == (2, 2)
    assert pack.info.options["grid"] == "12x8"


def test_duplicates_are_found_across_sheets_but_not_across_classes(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        save(tmp_path / "in" / name, noise(0, (32, 16, 3)))
    assert len(load(tmp_path / "in", tmp_path, grid=(16, 16))) == 2
    assert load(tmp_path / "in", tmp_path, grid=(16, 16), labels="folders").labels.tolist() == [0, 0, 1, 1]


def test_a_sheet_that_the_grid_does_not_divide_is_skipped_and_said_so(tmp_path):
    save(tmp_path / "in" / "good.png", noise(0, (16, 32, 3)))
    odd = save(tmp_path / "in" / "odd.png", noise(1, (16, 30, 3)))
    pack = load(tmp_path / "in", tmp_path, grid=(16, 16))
    assert len(pack) == 2
    ((name, reason),) = pack.info.skipped
    assert name == "odd.png"
    assert reason.startswith("does not divide into cells of 16x16 (30x16 pixels): --grid 15x16 or ")
    for options in ({"strict": True}, {}):
        with pytest.raises(DataError, match=r"odd.png \(?does not divide .*--grid 15x16 .*would fit"):
            load(odd, tmp_path, grid=(16, 16), **options)


def test_nothing_usable_is_an_error_that_leaves_nothing(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    with pytest.raises(DataError, match=r"no usable image .*no files"):
        load(source, tmp_path)
    (source / "notes.txt").write_text("buy milk")
    with pytest.raises(DataError, match=r"no usable image .*1 skipped.*notes.txt \(not an image\)"):
        load(source, tmp_path)
    save(source / "sheet.png", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(DataError, match=r"no usable image .*4 empty or flat\): --empty keep"):
        load(source / "sheet.png", tmp_path, grid=(16, 16))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "nowhere", tmp_path / "pipe"):
        with pytest.raises(DataError, match="nothing to import"):
            load(source, tmp_path)


def test_an_existing_pack_is_found_before_the_work(tmp_path, folder):
    load(folder, tmp_path)
    seen = []
    with pytest.raises(DataError, match="exists"):
        import_images(folder, tmp_path / "pack", ImportOptions(SIZE), lambda *step: seen.append(step))
    assert seen == []


@pytest.mark.parametrize("inside", ["", "cat"])
def test_overwriting_never_deletes_the_source(tmp_path, inside):
    source = save(tmp_path / "in" / "cat" / "a.png", noise(0)).parent.parent
    (source / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="would delete"):
        import_images(source / inside, source, ImportOptions(SIZE, overwrite=True))
    assert (source / "cat" / "a.png").exists()


def test_an_interrupted_import_leaves_nothing(tmp_path, folder):
    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_images(folder, tmp_path / "pack", ImportOptions(SIZE), interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["sprites"]


def test_progress_counts_files(tmp_path, folder):
    seen = []
    import_images(folder, tmp_path / "pack", ImportOptions(SIZE), lambda *step: seen.append(step))
    assert seen == [(done, 7) for done in range(1, 8)]


def test_names_no_terminal_can_print_are_made_printable(tmp_path):
    save(tmp_path / "in" / "a.png", noise(0))
    Path(os.fsdecode(bytes(tmp_path / "in") + b"/\xff\n.txt")).write_text("x", encoding="utf-8")
    (skipped,) = load(tmp_path / "in", tmp_path).info.skipped
    assert skipped == ("\\xff\\n.txt", "not an image")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"fit": "squash"}, "--fit must be pad or crop or stretch or keep, not squash"),
        ({"resample": "cubic"}, "--resample must be lanczos or area or nearest"),
        ({"duplicates": "some"}, "--duplicates must be drop or keep, not some"),
        ({"empty": "some"}, "--empty must be drop or keep"),
        ({"frames": "last"}, "--frames must be first or all"),
        ({"spacing": (2, 2)}, "give --grid too"),
        ({"channels": 2}, "--channels must be 1 or 3 or 4, not 2"),
        ({"labels": "names"}, "--labels names: write folders, a list"),
        ({"grid": (0, 8)}, "--grid 0x8"),
    ],
)
def test_options_are_checked_in_the_words_of_the_command_line(option, message):
    with pytest.raises(ConfigError, match=message):
        ImportOptions(SIZE, **option)


def test_sizes_no_network_can_make_are_refused_with_the_nearest():
    with pytest.raises(SpecError, match="use 64x64 or"):
        parse_size("65")


def test_what_was_asked_is_kept(tmp_path, folder):
    info = load(folder, tmp_path, name="mine", licence="CC0-1.0", attribution="by me", fit="crop").info
    assert (info.name, info.licence, info.attribution) == ("mine", "CC0-1.0", "by me")
    assert info.options == {"fit": "crop", "resample": "auto", "channels": None, "grid": None}


def test_pixel_art_keeps_its_pixels_unless_another_way_is_asked_for(tmp_path):
    art = np.array([[0, 0, 0], [255, 0, 77], [41, 173, 255]], np.uint8)[np.random.default_rng(0).integers(0, 3, (8, 8))]
    source = save(tmp_path / "in" / "a.png", art)
    pack = load(source, tmp_path)
    assert np.array_equal(pack.images[0], art.repeat(2, axis=0).repeat(2, axis=1))
    assert pack.info.notes[0][0] == "pixel art" and "nearest" in pack.info.notes[0][1]
    smooth = load(source, tmp_path, resample="lanczos")
    assert not np.array_equal(smooth.images, pack.images) and smooth.info.notes == ()


@pytest.mark.parametrize("channels", [None, 4, 1])
def test_empty_and_flat_pictures_are_counted_and_dropped_unless_they_are_to_be_kept(tmp_path, channels):
    save(tmp_path / "in" / "a.png", noise(0))
    save(tmp_path / "in" / "clear.png", np.dstack([noise(1), np.zeros((16, 16), np.uint8)]))
    save(tmp_path / "in" / "red.png", np.full((8, 16, 3), (255, 0, 0), np.uint8))
    info = load(tmp_path / "in", tmp_path, channels=channels).info
    assert (info.count, info.empty, info.duplicates, info.distinct) == (1, 2, 0, 1)
    info = load(tmp_path / "in", tmp_path, channels=channels, empty="keep").info
    assert (info.count, info.empty, info.distinct) == (3, 2, 3)


def test_twins_are_found_as_they_are_in_the_pack(tmp_path):
    """Another file, another size or another colour may be the same picture to a network."""
    save(tmp_path / "in" / "a.png", GREY)
    Image.fromarray(GREY).save(tmp_path / "in" / "b.bmp")
    save(tmp_path / "in" / "c.png", GREY.repeat(2, axis=0).repeat(2, axis=1))
    assert load(tmp_path / "in", tmp_path, resample="area").info.duplicates == 2
    shade = np.array(luma_twin(GREY[..., 0]), np.uint8)
    save(tmp_path / "in" / "d.png", shade)
    assert load(tmp_path / "in", tmp_path, resample="area").info.duplicates == 2
    assert load(tmp_path / "in", tmp_path, resample="area", channels=1).info.duplicates == 3


def luma_twin(grey):
    """A picture in colour whose grey is ``grey``: blue weighs so little that one level of it does not count."""
    colour = np.repeat(grey[..., None], 3, axis=2).astype(int)
    colour[..., 2] += np.where(grey < 255, 1, -1)
    return colour


def test_a_sheet_cut_in_the_wrong_places_is_said(tmp_path):
    page = np.zeros((52, 52, 4), np.uint8)
    for row in range(3):
        for column in range(3):
            page[18 * row : 18 * row + 16, 18 * column : 18 * column + 16] = [9 * row, 9 * column, 99, 255]
    source = save(tmp_path / "sheet.png", page)
    said = dict(load(source, tmp_path, grid=(13, 13)).info.notes)["look at"]
    assert said.startswith("sheet.png: sprites go over") and said.endswith("check --grid, --margin and --spacing")
    with pytest.raises(DataError, match=r"no usable image .*9 empty or flat"):
        load(source, tmp_path, grid=(16, 16), spacing=(2, 2))
    info = load(source, tmp_path, grid=(16, 16), spacing=(2, 2), empty="keep").info
    assert (info.count, info.empty, info.options["spacing"]) == (9, 9, "2x2") and info.notes == ()


def test_an_import_warns_and_keeps_the_warnings_in_the_pack(tmp_path):
    for seed in range(3):
        save(tmp_path / "in" / f"{seed}.png", noise(seed, (18, 18, 3)))
    save(tmp_path / "in" / "walk.png", noise(4, (16, 64, 3)))
    warnings = load(tmp_path / "in", tmp_path).info.warnings
    assert [line.split(":")[0] for line in warnings] == [
        "4 images are few",
        "1 of 4 images is more than 3 times as long as wide (walk.png, 64x16), as sheets and strips of an animation "
        "are",
        "3 of 4 images are 18x18 and resampled for 16x16, which softens every pixel",
    ]
    assert Pack.open(tmp_path / "pack").info.warnings == warnings


def test_pictures_that_look_nearly_alike_are_listed_by_name_and_kept(tmp_path):
    """Frames of one thing; the same picture twice is a duplicate, not one of these. Cells are told by their number."""
    frames = np.tile(noise(0), (4, 1, 1, 1))
    frames[1, 3, 3] ^= 255
    frames[2] = noise(1)
    for name, pixels in zip(("a/1.png", "a/2.png", "a/3.png", "b.png"), frames, strict=True):
        save(tmp_path / "in" / name, pixels)
    info = load(tmp_path / "in", tmp_path).info
    assert (info.count, info.duplicates, info.alike) == (3, 1, (("a/2.png", "a/1.png"),))
    assert "1 of 3 images looks nearly like an earlier one (a/2.png and a/1.png)" in info.warnings[-1]
    assert load(tmp_path / "in", tmp_path, duplicates="keep").info.alike == info.alike
    sheet = save(tmp_path / "sheet.png", np.concatenate(frames[:3], axis=1))
    assert load(sheet, tmp_path, grid=(16, 16)).info.alike == (("sheet.png no. 2", "sheet.png"),)


def test_hidden_pictures_are_counted_but_not_a_macs_notes(tmp_path):
    save(tmp_path / "in" / ".a.png", noise(0))
    (tmp_path / "in" / "._b.png").write_bytes(b"notes")
    (tmp_path / "in" / ".gitignore").write_text("*.png")
    with pytest.raises(DataError, match=r"no usable image.*1 left out whose names begin with a dot"):
        load(tmp_path / "in", tmp_path)
    save(tmp_path / "in" / "c.png", noise(1))
    assert ("hidden", "1 left out whose names begin with a dot: rename those that should be in it") in load(
        tmp_path / "in", tmp_path
    ).info.notes
