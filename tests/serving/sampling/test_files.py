import errno
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import files as core_files
from core import places
from core.errors import RequestRefused, ServerUnavailable, ServingError
from core.images import encode_png, from_pillow
from core.ours import software
from core.sheets import pixels_of
from serving.protocol.picture_texts import describe, of_seed
from serving.sampling import files
from serving.sampling.files import (
    Keeper,
    Overview,
    Picture,
    make_places,
    older_frames,
    same_picture,
    save_pictures,
    sweep_pictures,
    writing,
)
from tests.serving.conftest import SPEC


def images(seeds, fails_at=None):
    for seed in seeds:
        if seed == fails_at:
            raise ServerUnavailable("gone")
        yield seed, np.random.RandomState(seed % 1000).randint(0, 256, (8, 12, 4), np.uint8)


def save_samples(samples, out, *facts, sheet=None):
    """What ``sample`` does with images of seeds."""
    make_places(out, sheet)
    pictures = (Picture(f"{seed:010d}", image, of_seed({}, seed)) for seed, image in samples)
    return save_pictures(pictures, out, describe(*facts), Keeper())


def test_every_image_is_a_png_that_says_where_it_comes_from(tmp_path):
    seeds = [42, 0, 2**32 - 1]
    paths = save_samples(images(seeds), tmp_path / "new" / "out", SPEC, "tiny", "3", 0.7, "cat")
    assert [path.name for path in paths] == ["0000000042.png", "0000000000.png", "4294967295.png"]
    for path, (seed, image) in zip(paths, images(seeds), strict=True):
        with Image.open(path) as picture:
            assert (from_pillow(picture, 4) == image).all()
            text = picture.text
        assert text.pop("Software").startswith("Ganfoundry ")
        assert text == {
            "Model": "tiny",
            "Version": "3",
            "Seed": str(seed),
            "Truncation": "0.7",
            "Label": "cat",
            "Source": "trained on noise, CC0-1.0",
        }


def test_what_was_complete_is_kept_when_the_server_goes(tmp_path):
    with pytest.raises(ServerUnavailable):
        save_samples(images(range(9), fails_at=4), tmp_path, SPEC, "tiny", "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{seed:010d}.png" for seed in range(4)]


def test_the_same_images_give_the_same_bytes(tmp_path):
    first = save_samples(images([1]), tmp_path / "a", SPEC, "tiny", "1")
    second = save_samples(images([1]), tmp_path / "b", SPEC, "tiny", "1")
    assert first[0].read_bytes() == second[0].read_bytes()


def never():
    pytest.fail("an image was asked for")
    yield


def test_a_sheet_that_is_a_folder_or_an_out_that_is_a_file_is_refused_before_any_image(tmp_path):
    (tmp_path / "file").touch()
    for out, sheet, named in (
        ("out", ".", str(tmp_path)),
        ("file", "sheet.png", "file"),
        ("file/out", "sheet.png", "file"),
        ("out", "file/sheet.png", "file"),
    ):
        with pytest.raises(RequestRefused, match=named) as raised:
            save_samples(never(), tmp_path / out, SPEC, "tiny", "1", sheet=tmp_path / sheet)
        assert "\n" not in str(raised.value)


def test_a_full_disk_is_said_and_what_is_complete_is_kept(tmp_path, monkeypatch):
    written = []

    def until_it_is_full(path, data):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/.tmp")
        core_files.write_atomic(path, data)
        written.append(path)

    monkeypatch.setattr(files, "write_atomic", until_it_is_full)
    with pytest.raises(ServingError, match=f"no room for {tmp_path}: make room .* what is complete is kept"):
        save_samples(images(range(5)), tmp_path, SPEC, "tiny", "1")
    assert sorted(tmp_path.iterdir()) == written


def test_what_may_not_be_read_is_not_swept_and_stops_nobody(tmp_path, monkeypatch):
    left, other = tmp_path / ".a.png.abcd1234.tmp", tmp_path / ".b.png.abcd1234.tmp"
    left.touch()
    other.touch()
    monkeypatch.setattr(Path, "open", lambda path, *_: (_ for _ in ()).throw(PermissionError(path)))
    sweep_pictures(tmp_path)
    assert sorted(tmp_path.iterdir()) == [left, other]
    monkeypatch.undo()
    sweep_pictures(tmp_path)
    assert list(tmp_path.iterdir()) == []


def picture(level=7, shape=(8, 12, 4), **facts):
    """A picture of ours, all of one level."""
    return encode_png(np.full(shape, level, np.uint8), {"Software": software(), **facts})


def animation(*levels, kind="GIF"):
    """A GIF or WebP of grey frames."""
    first, *others = (Image.new("L", (4, 4), level) for level in levels)
    buffer = io.BytesIO()
    lossless = {"lossless": True} if kind == "WEBP" else {}
    first.save(buffer, kind, save_all=True, append_images=others, duration=50, **lossless)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("there", "data", "same"),
    [
        (picture(7), picture(7), True),
        (picture(7), picture(7, Seed="3"), True),  # other bytes
        (picture(7), picture(6), True),  # as another batch may round
        (picture(7), picture(5), False),
        (picture(7), picture(7, (12, 8, 4)), False),
        (picture(255), picture(255, (8, 12, 3)), False),  # opaque, in RGBA and in RGB
        (animation(0, 90, 180), animation(0, 90, 180), True),
        (animation(0, 90, 180, kind="WEBP"), animation(0, 90, 181, kind="WEBP"), True),
        (animation(0, 90, 180, kind="WEBP"), animation(0, 90, 182, kind="WEBP"), False),  # the last frame
        (animation(0, 90, 180, kind="WEBP"), animation(0, 90, kind="WEBP"), False),
        (picture(7)[:60], picture(7), False),
        (b"", picture(7), False),
    ],
)
def test_pictures_are_the_same_within_a_level_in_every_frame(tmp_path, there, data, same):
    path = tmp_path / "picture"
    path.write_bytes(there)
    assert same_picture(path, data) is same


def test_pictures_too_large_to_look_at_are_the_same_where_their_bytes_are(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(picture(7))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # what Pillow takes for an attack is twice as many
    for most, same in ((96, True), (95, False)):
        monkeypatch.setattr(files, "_LARGE", most)
        assert same_picture(path, picture(6)) is same
        assert same_picture(path, picture(7))
    assert not same_picture(tmp_path / "absent.png", picture(7))


def test_a_picture_of_another_kind_is_another(tmp_path):
    path = tmp_path / "picture.png"
    Image.new("RGB", (12, 8), (7, 7, 7)).save(path, "BMP")
    assert not same_picture(path, picture(7, (8, 12, 3)))
    Image.new("RGB", (12, 8), (7, 7, 7)).save(path, "PNG")
    assert same_picture(path, picture(7, (8, 12, 3)))


def test_a_picture_is_replaced_by_itself_or_where_it_is_said_and_once_a_command(tmp_path):
    path = tmp_path / "a.png"
    Keeper().save(path, picture(7))
    Keeper().save(path, picture(7, Seed="1"))
    assert b"Seed" in path.read_bytes()
    with pytest.raises(RequestRefused, match=r"a\.png is there and is another picture: .*--out or --names"):
        Keeper().save(path, picture(9))
    keeper = Keeper(overwrite=True)
    keeper.save(path, picture(9))
    keeper.save(path, picture(9))
    with pytest.raises(RequestRefused, match="would be two pictures of this command"):
        keeper.save(path, picture(11))
    Image.new("L", (1, 1)).save(path)
    with pytest.raises(RequestRefused, match=r"a\.png is there, and Ganfoundry did not make it: move it"):
        Keeper(overwrite=True).save(path, picture(9))


def test_every_picture_has_its_file_which_may_be_another_s(tmp_path):
    paths = save_samples(images([3, 3, 4]), tmp_path / "out", SPEC, "tiny", "1")
    assert [path.name for path in paths] == ["0000000003.png", "0000000003.png", "0000000004.png"]


def test_what_is_beside_pictures_is_made_of_all_and_looked_at_before_anything_is_written(tmp_path, monkeypatch):
    out, beside, made = tmp_path / "out", tmp_path / "beside.png", []

    def make(cells):
        made.append(cells)
        yield encode_png(np.concatenate([pixels_of(cell) for cell in cells]), {"Software": software()})

    def save(seeds, overwrite=False):
        make_places(out)
        pictures = (Picture(f"{seed}", image, {}) for seed, image in images(seeds))
        facts = {"Software": software()}
        return save_pictures(pictures, out, facts, Keeper(overwrite), Overview([beside], make), Overview([], make))

    assert save([1, 2]) == [out / "1.png", out / "2.png"]
    assert made == [[out / "1.png", out / "2.png"]]  # none is held where nothing is there
    assert (pixels_of(beside) == np.concatenate([image for _, image in images([1, 2])])).all()
    with pytest.raises(RequestRefused, match=r"beside.png is there and is another picture"):
        save([3, 4])
    assert {path.name for path in out.iterdir()} == {"1.png", "2.png"}
    assert save([1, 2]) == [out / "1.png", out / "2.png"]
    assert save([5, 6], overwrite=True) == [out / "5.png", out / "6.png"]
    monkeypatch.setattr(
        files, "MOST_HELD", 1
    )  # more than that are written, and what is beside them is kept all the same
    with pytest.raises(RequestRefused, match=r"beside.png is there and is another picture"):
        save([7, 8])
    assert {path.name for path in out.iterdir()} == {f"{seed}.png" for seed in (1, 2, 5, 6, 7, 8)}
    assert (pixels_of(beside) == np.concatenate([image for _, image in images([5, 6])])).all()


def test_facts_are_those_that_there_are():
    facts = {"Software": software(), "Model": "m", "Version": "2"}
    bare = replace(SPEC, provenance=replace(SPEC.provenance, data_licence=""))
    assert describe(bare, "m", "2") == {**facts, "Truncation": "1"}
    assert describe(bare, "m", "2", 0.25) == {**facts, "Truncation": "0.25"}
    assert describe(bare, "m", "2", "0.70", "") == {**facts, "Truncation": "0.70", "Label": ""}
    assert describe(SPEC, "m", "2")["Source"] == "trained on noise, CC0-1.0"


@pytest.mark.parametrize(("first", "second"), [("a", "A"), ("A", "a")])
def test_two_pictures_that_some_disk_takes_for_one_are_refused_on_every_disk(tmp_path, first, second):
    keeper = Keeper(overwrite=True)
    keeper.save(tmp_path / f"{first}.png", picture(9))
    (tmp_path / f"{second}.png").write_bytes(picture(200))  # on a disk that takes it for the same, it would be there
    with pytest.raises(RequestRefused, match="would be two pictures of this command"):
        keeper.save(tmp_path / f"{second}.png", picture(11))


def test_frames_that_are_there_are_named_and_what_is_none_is_refused(tmp_path):
    for name, facts in (("f2", {"Frame": "2"}), ("f3", {"Frame": "3"}), ("x", {})):
        (tmp_path / f"{name}.png").write_bytes(picture(**facts))
    assert older_frames(["f1", "f2", "f3"], tmp_path) == [tmp_path / "f2.png", tmp_path / "f3.png"]
    with pytest.raises(RequestRefused, match=r"x\.png is named as a frame and is none"):
        older_frames(["f2", "x"], tmp_path)
    Image.new("L", (1, 1)).save(tmp_path / "y.png")
    with pytest.raises(RequestRefused, match="did not make it"):
        older_frames(["y"], tmp_path)


def test_what_a_killed_writer_of_pictures_left_is_known_by_its_name_and_its_beginning(tmp_path):
    whole = b"\x89PNG Software\0Ganfoundry"
    ours = {".a.png.abcd1234.tmp": b"", ".b\n.png.abcd_234.tmp": whole, ".c.png.abcd1234.tmp": b"x" * 4077 + whole[5:]}
    theirs = {
        ".d.png.abcd123.tmp": b"",
        ".e.png.ABCD1234.tmp": b"",
        ".f.jpg.abcd1234.tmp": b"",
        ".g.png.abcd1234.tmp": b"Ganfoundry",
        ".h.png.abcd1234.tmp": b"Software\0 of others",
        ".i.png.abcd1234.tmp": b"x" * 4078 + whole[5:],
    }
    for name, data in {**ours, **theirs}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / ".k.png.abcd1234.tmp").mkdir()
    os.mkfifo(tmp_path / ".m.png.abcd1234.tmp")  # whoever opened it would wait for ever
    (tmp_path / "aim").touch()
    (tmp_path / ".l.png.abcd1234.tmp").symlink_to(tmp_path / "aim")
    sweep_pictures(tmp_path)
    there = sorted([*theirs, ".k.png.abcd1234.tmp", ".l.png.abcd1234.tmp", ".m.png.abcd1234.tmp", "aim"])
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def test_places_are_made_swept_and_what_is_in_their_way_is_named(tmp_path, monkeypatch):
    out, sheet = tmp_path / "a" / "out", tmp_path / "b" / "c" / "sheet.png"
    make_places(out, None, sheet)
    make_places(out)
    assert out.is_dir()
    assert sheet.parent.is_dir()
    left = [out / ".1.png.abcd1234.tmp", sheet.parent / ".sheet.png.abcd1234.tmp"]
    for path in left:
        path.touch()
    make_places(out, sheet)
    assert not any(path.exists() for path in left)
    with pytest.raises(RequestRefused, match=r"b is a folder: write the name of a file, like .*b.sheet\.png"):
        make_places(out, tmp_path / "b")
    Image.new("L", (1, 1)).save(sheet)
    with pytest.raises(RequestRefused, match=r"sheet\.png is there, and Ganfoundry did not make it"):
        make_places(tmp_path / "not yet", sheet)
    (tmp_path / "file").touch()
    with pytest.raises(RequestRefused, match="file is not a folder and cannot become one: choose another"):
        make_places(tmp_path / "file")
    assert not (tmp_path / "not yet").exists()
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    with pytest.raises(RequestRefused, match=r"far cannot be made \(Read-only file system\): choose another"):
        make_places(tmp_path / "far")


def test_pictures_go_into_a_folder_that_must_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "is_mounted", lambda folder: folder == tmp_path)
    (tmp_path / "other.txt").touch()
    make_places(tmp_path)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no room for here: make room and ask again; what is complete is kept"),
        (errno.EDQUOT, "no room for here: make room and ask again; what is complete is kept"),
        (errno.EACCES, "here cannot be written (Permission denied); what is complete is kept"),
    ],
)
def test_what_the_disk_refuses_is_one_line(number, said):
    with pytest.raises(ServingError) as told, writing(Path("here")):
        raise OSError(number, os.strerror(number), "/somewhere/else")
    assert str(told.value) == said
