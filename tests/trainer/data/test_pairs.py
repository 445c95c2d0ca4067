"""Pairs and two domains, imported from folders, archives, sheets and images that hold both."""

import shutil
import zipfile
from functools import cache

import numpy as np
import pytest
from PIL import Image

from core.errors import ConfigError, DataError
from core.sizes import plan_size
from tests.trainer.conftest import blobs, outlines
from trainer.data.importing import ImportOptions, import_images
from trainer.data.pack import Pack
from trainer.data.pairing import Key
from trainer.data.splitting import groups_of

SIZE = plan_size(16, 16)
COUNT = 24


@cache
def discs():
    return blobs(COUNT)


@cache
def lines():
    return outlines(discs())


def name_of(row):
    """Four variants of each thing."""
    return f"thing{row // 4}_{row % 4}"


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path, **options)
    return path


def load(tmp_path, source="colour", **options):
    place = {"sources": tmp_path / "lines"} if not options.get("side_by_side") else {}
    return import_images(
        tmp_path / source, tmp_path / "pack", ImportOptions(SIZE, **{"overwrite": True, **place, **options})
    )


@pytest.fixture
def folders(tmp_path):
    for row in range(COUNT):
        save(tmp_path / "colour" / f"{name_of(row)}.png", discs()[row])
        save(tmp_path / "lines" / f"{name_of(row)}.png", lines()[row])
    return tmp_path


def test_pictures_of_one_name_are_pairs(folders):
    pack = load(folders)
    assert np.array_equal(pack.images, discs()) and np.array_equal(pack.sources, lines())
    assert (pack.info.sources.name, pack.info.sources.fit, pack.info.sources.resample) == ("lines", "pad", "auto")
    assert pack.info.skipped == () and pack.info.paired
    pack.verify()


def shuffled(root):
    """The same pictures, written in another order, with other endings, in a folder more, beside orphans."""
    order = np.random.RandomState(0).permutation(COUNT)
    endings = ("png", "PNG", "tiff", "webp", "bmp")
    for row in order:
        ending = endings[row % 5]
        save(root / "colour" / "all" / f"{name_of(row)}.{endings[row % 4]}", discs()[row], lossless=True)
        save(root / "lines" / f"{name_of(row)}.{ending}", lines()[row], lossless=True)
    save(root / "lines" / "nothing_0.png", lines()[0])
    save(root / "colour" / "all" / "a.png", discs()[1])
    return {}


def archives(root):
    root.mkdir(parents=True)
    for side, pictures in (("colour", discs()), ("lines", lines())):
        with zipfile.ZipFile(root / f"{side}.zip", "w") as archive:
            for row in reversed(range(COUNT)):
                path = save(root / "picture.png", pictures[row])
                archive.write(path, f"{side} of mine/{name_of(row)}.png")
    return {"source": "colour.zip", "sources": root / "lines.zip"}


def side_by_side(root, side="left"):
    for row in range(COUNT):
        both = [lines()[row], discs()[row]] if side == "left" else [discs()[row], lines()[row]]
        save(root / "both" / f"{name_of(row)}.png", np.concatenate(both, axis=1))
    return {"source": "both", "side_by_side": True}


def side_by_side_right(root):
    return {**side_by_side(root, "right"), "source_side": "right"}


@pytest.mark.parametrize("way", [shuffled, archives, side_by_side, side_by_side_right])
def test_the_same_pairs_are_the_same_pack_however_they_come(folders, way):
    expected = load(folders, group_by="_").info
    other = folders / "other"
    pack = load(other, group_by="_", **way(other))
    assert pack.info.fingerprint == expected.fingerprint
    assert (pack.info.parts, pack.info.count) == (expected.parts, COUNT)


def test_no_group_crosses_the_split(folders):
    pack = load(folders, group_by="_", held=0.3)
    groups = np.array(groups_of([Key((name_of(row),)) for row in range(COUNT)], "_", False))
    held, rest = set(groups[pack.rows("held")]), set(groups[pack.rows("train")]) | set(groups[pack.rows("validation")])
    assert held and rest and not held & rest
    assert not set(groups[pack.rows("train")]) & set(groups[pack.rows("validation")])
    assert pack.info.options["held"] == "30%" and pack.info.options["group_by"] == "_"


def test_what_has_no_partner_is_counted_and_listed_or_refused(folders):
    save(folders / "colour" / "alone.png", discs()[0])
    save(folders / "lines" / "sub" / "lost.png", lines()[0])
    (folders / "lines" / "thing0_0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    save(folders / "lines" / "thing1_0.bmp", lines()[1])
    pack = load(folders)
    assert len(pack) == COUNT - 2
    assert dict(pack.info.notes)["no partner"] == "3 of the images, 3 of the sources: left out"
    skipped = dict(pack.info.skipped)
    assert skipped.pop("lines/thing0_0.png").startswith("damaged")
    assert "not known" in skipped.pop("lines/thing1_0.png") and "not known" in skipped.pop("lines/thing1_0.bmp")
    assert skipped == {
        "alone.png": "no source of its name",
        "thing0_0.png": "its source cannot be used",
        "thing1_0.png": "several sources of its name, so which one is meant is not known",
        "lines/sub/lost.png": "no target of its name",
    }
    shutil.rmtree(folders / "pack")
    with pytest.raises(DataError, match=r"without --strict$"):
        load(folders, strict=True)
    (folders / "lines" / "thing0_0.png").unlink()
    with pytest.raises(DataError, match=r"^6 of the files .*alone\.png \(no source of its name\).*without --strict$"):
        load(folders, strict=True)
    assert not (folders / "pack").exists()


def test_folders_without_a_pair_say_what_pairs_are(tmp_path):
    save(tmp_path / "colour" / "a.png", discs()[0])
    save(tmp_path / "colour" / "c.png", discs()[1])
    save(tmp_path / "lines" / "b.png", lines()[0])
    with pytest.raises(DataError, match=r"no picture .* has a partner .*same name.* a\.png and b\.png$"):
        load(tmp_path)


def test_a_few_pairs_among_many_is_said(folders):
    for row in range(3, COUNT):
        (folders / "lines" / f"{name_of(row)}.png").rename(folders / "lines" / f"{name_of(row)}x.png")
    pack = load(folders)
    assert pack.info.warnings[0].startswith(f"only 3 of {COUNT} images and {COUNT} sources are paired: both of a pair")


def test_frames_of_an_animation_pair_one_by_one_if_there_are_as_many(tmp_path):
    for name, count in (("a", 3), ("b", 2)):
        for side, pictures, more in (("colour", discs(), 0), ("lines", lines(), name == "b")):
            frames = [Image.fromarray(picture) for picture in pictures[: count + more]]
            (tmp_path / side).mkdir(exist_ok=True)
            frames[0].save(tmp_path / side / f"{name}.webp", save_all=True, append_images=frames[1:], lossless=True)
    pack = load(tmp_path, frames="all")
    assert np.array_equal(pack.images, discs()[:3]) and np.array_equal(pack.sources, lines()[:3])
    assert pack.info.skipped == (("b.webp", "it has 2 frames, and its source 3"),)


def test_sources_may_be_of_another_size_and_other_channels(folders):
    for path in (folders / "lines").iterdir():
        Image.open(path).resize((8, 8), Image.Resampling.NEAREST).save(path)
    pack = load(folders, source_size=plan_size(8, 8), source_channels=1, channels=3)
    assert pack.images.shape == (COUNT, 16, 16, 3) and pack.sources.shape == (COUNT, 8, 8, 1)
    assert (pack.sources[:, 0, 0] == 255).all()  # on white
    assert not any("lie on one another" in line for line in pack.info.warnings)
    wide = load(folders, source_size=plan_size(8, 12))
    assert any("such as thing0_0.png, 16x16, and its source of 8x8" in line for line in wide.info.warnings)


def test_channels_of_both_sides_are_found(folders):
    for path in (folders / "lines").iterdir():
        Image.alpha_composite(Image.new("RGBA", (16, 16), "white"), Image.open(path)).convert("L").save(path)
    pack = load(folders)
    assert (pack.info.channels, pack.info.sources.channels) == (4, 1)


def test_a_pair_is_split_before_anything_is_resized(tmp_path):
    """Red beside blue: resized first they would bleed into one another."""
    both = np.zeros((50, 100, 3), np.uint8)
    both[:, :50, 0], both[:, 50:, 2] = 255, 255
    both[10:20, ::50] = 255
    for shift in range(2):
        save(tmp_path / "both" / f"{shift}.png", np.roll(both, shift * 3, axis=0))
    pack = load(tmp_path, "both", side_by_side=True)
    assert (pack.sources[:, :, 8:, 2] == 0).all() and (pack.images[:, :, 8:, 0] == 0).all()
    assert (pack.sources[:, 0, :, 0] == 255).all() and (pack.images[:, 0, :, 2] == 255).all()


def test_an_odd_width_has_no_middle(folders):
    side_by_side(folders)
    save(folders / "both" / "odd.png", np.zeros((16, 31, 4), np.uint8))
    pack = load(folders, "both", side_by_side=True)
    assert pack.info.skipped == (("odd.png", "its width is odd (31 pixels), so it has no middle to be split at"),)
    assert len(pack) == COUNT


def sheet(pictures, across):
    rows = [np.concatenate(pictures[at : at + across], axis=1) for at in range(0, len(pictures), across)]
    return np.concatenate(rows)


def test_sheets_pair_cell_by_cell_at_any_scale(tmp_path):
    save(tmp_path / "colour.png", sheet(discs(), 6))
    save(tmp_path / "lines.png", sheet(discs()[:, ::2, ::2], 6))
    options = {"grid": (16, 16), "source_grid": (8, 8), "source_size": plan_size(8, 8)}
    pack = load(tmp_path, "colour.png", sources=tmp_path / "lines.png", **options)
    assert np.array_equal(pack.images, discs()) and np.array_equal(pack.sources, discs()[:, ::2, ::2])
    assert sum(pack.info.parts) == COUNT and min(pack.info.parts) > 0


def test_sheets_of_other_columns_are_no_pair(tmp_path):
    for name, across in (("a", 6), ("b", 8)):
        save(tmp_path / "colour" / f"{name}.png", sheet(discs(), 6))
        save(tmp_path / "lines" / f"{name}.png", sheet(lines(), across))
    pack = load(tmp_path, grid=(16, 16))
    assert pack.info.skipped == (("b.png", "it has 6x4 cells, and its source 8x3"),)
    (tmp_path / "colour" / "a.png").unlink()
    with pytest.raises(DataError, match=r"b\.png: it has 6x4 cells"):
        load(tmp_path, grid=(16, 16))


def test_a_sheet_beside_its_source_is_two_sheets(tmp_path):
    save(tmp_path / "both.png", np.concatenate([sheet(lines(), 6), sheet(discs(), 6)], axis=1))
    pack = load(tmp_path, "both.png", side_by_side=True, grid=(16, 16))
    assert np.array_equal(pack.images, discs()) and np.array_equal(pack.sources, lines())


def test_a_pair_that_is_there_twice_is_dropped_and_half_of_one_is_not(folders):
    save(folders / "colour" / "z1.png", discs()[0])
    save(folders / "lines" / "z1.png", lines()[0])  # the whole pair
    save(folders / "colour" / "z2.png", discs()[5])
    save(folders / "lines" / "z2.png", lines()[0])  # the source alone
    pack = load(folders)
    assert (pack.info.duplicates, len(pack)) == (1, COUNT + 1)
    assert any("z2.png and thing0_0.png" in line and "a mixture" in line for line in pack.info.warnings)
    parts = pack.parts
    assert parts[0] == parts[-1]  # twins are on one side of the split
    assert len(load(folders, duplicates="keep")) == COUNT + 2


def test_a_pair_with_an_empty_half_is_dropped_and_counted(folders):
    blank = np.zeros((16, 16, 4), np.uint8)
    save(folders / "lines" / "thing0_0.png", blank)
    save(folders / "colour" / "thing1_0.png", blank)
    pack = load(folders)
    assert (pack.info.empty, len(pack)) == (2, COUNT - 2)
    assert dict(pack.info.notes)["empty sources"] == "1 of images that are not empty"
    assert len(load(folders, empty="keep")) == COUNT


def test_classes_are_those_of_the_images(folders):
    for path in [*(folders / "colour").iterdir(), *(folders / "lines").iterdir()]:
        (path.parent / path.name[:6]).mkdir(exist_ok=True)
        path.rename(path.parent / path.name[:6] / path.name)
    pack = load(folders, labels="folders")
    assert pack.info.classes == tuple(f"thing{number}" for number in range(6))
    assert pack.labels.tolist() == [row // 4 for row in range(COUNT)]


def test_pictures_of_another_shape_than_their_partner_are_said(folders):
    save(folders / "lines" / "thing0_0.png", np.pad(lines()[0], ((0, 0), (8, 8), (0, 0))))
    (line,) = [line for line in load(folders).info.warnings if "lie on one another" in line]
    assert line.startswith(f"1 of {COUNT} pairs does not") and "thing0_0.png, 16x16, and its source of 32x16" in line
    assert not [line for line in load(folders, fit="stretch").info.warnings if "lie on one another" in line]


def test_sources_that_are_the_images_are_said(folders):
    shutil.rmtree(folders / "lines")
    shutil.copytree(folders / "colour", folders / "lines")
    assert any("exactly like their images" in line for line in load(folders).info.warnings)
    with pytest.raises(ConfigError, match="the images themselves"):
        load(folders, sources=folders / "colour")


def test_sources_inside_the_folder_of_the_images_are_no_images(folders):
    expected = load(folders).info.fingerprint
    (folders / "lines").rename(folders / "colour" / "lines")
    pack = load(folders, sources=folders / "colour" / "lines")
    assert pack.info.fingerprint == expected and pack.info.skipped == ()


def test_images_inside_the_folder_of_the_sources_are_no_sources(folders):
    expected = load(folders).info.fingerprint
    (folders / "colour").rename(folders / "lines" / "colour")
    pack = load(folders, "lines/colour")
    assert pack.info.fingerprint == expected and pack.info.skipped == ()


def test_few_large_groups_leave_little_to_train_on_and_it_is_said(folders):
    for path in [*(folders / "colour").iterdir(), *(folders / "lines").iterdir()]:
        path.rename(path.with_name(f"{int(path.name[5]) % 3}-{path.name}"))
    pack = load(folders, group_by="-")
    assert pack.info.parts == (8, 8, 8)
    assert any(line.startswith("33% are left to train on") for line in pack.info.warnings)


def test_two_domains_have_counts_and_parts_of_their_own(folders):
    for row in range(6):
        (folders / "lines" / f"{name_of(row)}.png").unlink()
    pack = load(folders, unpaired=True)
    assert (len(pack), len(pack.sources)) == (COUNT, COUNT - 6) and not pack.info.paired
    assert np.array_equal(pack.sources, lines()[6:])
    assert pack.info.skipped == ()
    names = [
        {name_of(row + first) for row in rows}
        for first, rows in ((0, pack.rows("held")), (6, pack.source_rows("held")))
    ]
    assert names[0] and names[1] and (names[0] & {name_of(row) for row in range(6, COUNT)}) <= names[1]
    pack.verify()


def test_plain_images_are_held_out_if_it_is_asked_for(folders):
    plain = import_images(folders / "colour", folders / "plain", ImportOptions(SIZE))
    assert plain.info.parts == () and len(plain.rows("train")) == COUNT
    held = import_images(folders / "colour", folders / "held", ImportOptions(SIZE, held=0.2, group_by="_"))
    assert sum(held.info.parts) == COUNT and min(held.info.parts) > 0
    assert load(folders, held=0.0).info.parts == ()


def test_near_twins_across_the_split_are_said(tmp_path):
    for row in range(8):
        for variant in range(3):
            noise = np.random.RandomState(variant).randint(0, 4, (16, 16, 4), np.uint8)
            picture = np.where(discs()[row] > 100, discs()[row] - noise, discs()[row])
            save(tmp_path / "in" / f"{row}_{variant}.png", picture)
    apart = import_images(tmp_path / "in", tmp_path / "apart", ImportOptions(SIZE, held=0.25))
    assert any("held out" in line and "nearly like one that is not" in line for line in apart.info.warnings)
    together = import_images(tmp_path / "in", tmp_path / "together", ImportOptions(SIZE, held=0.25, group_by="_"))
    assert not any("held out" in line for line in together.info.warnings)


def test_too_few_to_hold_any_out_is_said(tmp_path):
    for row in range(2):
        save(tmp_path / "colour" / f"{row}.png", discs()[row])
        save(tmp_path / "lines" / f"{row}.png", lines()[row])
    pack = load(tmp_path)
    assert pack.info.parts == () and any(line.startswith("nothing is held out") for line in pack.info.warnings)


def test_nothing_of_anyones_is_overwritten_and_a_failure_leaves_what_was_there(folders):
    before = load(folders).info.fingerprint
    with pytest.raises(DataError, match="would delete the images"):
        import_images(
            folders / "colour", folders / "lines", ImportOptions(SIZE, sources=folders / "lines", overwrite=True)
        )
    shutil.rmtree(folders / "lines")
    with pytest.raises(DataError, match="no sources at"):
        load(folders)
    (folders / "lines").mkdir()
    with pytest.raises(DataError, match=r"no usable image in .*lines"):
        load(folders)
    assert Pack.open(folders / "pack").info.fingerprint == before


SOURCES = {"sources": "lines"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side_by_side": True, **SOURCES}, "leave out --sources"),
        ({"side_by_side": True, "unpaired": True}, "leave out --unpaired"),
        ({"unpaired": True}, "give --sources FOLDER too"),
        ({"source_side": "left"}, "give --side-by-side too"),
        ({"source_side": "left", **SOURCES}, "give --side-by-side too"),
        ({"side_by_side": True, "source_side": "top"}, "left or right, not top"),
        ({"source_size": SIZE}, "--source-size is of the sources"),
        ({"source_channels": 3}, "--source-channels is of the sources"),
        ({"source_channels": 2, **SOURCES}, "1 or 3 or 4, not 2"),
        ({"sources_licence": "MIT"}, "--sources-licence is of the sources"),
        ({"source_grid": (8, 8), **SOURCES}, "give --grid and --sources too"),
        ({"source_grid": (8, 8), "grid": (8, 8), "side_by_side": True}, "give --grid and --sources too"),
        ({"source_grid": (0, 8), "grid": (8, 8), **SOURCES}, "--source-grid 0x8 has no pixels"),
        ({"group_by": "_"}, "give --held 10% too"),
        ({"group_by": "_", "held": 0.0, **SOURCES}, "give --held 10% too"),
    ],
)
def test_what_does_not_go_together_is_one_line(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        ImportOptions(SIZE, **options)
    assert "\n" not in str(caught.value)
