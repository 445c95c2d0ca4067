import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.errors import DataError
from core.images import encode_png
from core.ours import signed_png
from core.sizes import plan_size
from tests.trainer.conftest import tiny_config
from trainer.data import listing
from trainer.data.importing import ImportOptions, import_images
from trainer.data.summary import contact_sheet
from trainer.run import Run

SIZE = plan_size(8, 8)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path, "PNG")


def load(source, tmp_path, **options):
    return import_images(source, tmp_path / "pack", ImportOptions(SIZE, **{"overwrite": True, **options}))


def test_linked_folders_are_followed_once_and_loops_end(tmp_path):
    save(tmp_path / "in" / "a" / "1.png", 1)
    save(tmp_path / "far" / "deep" / "2.png", 2)
    (tmp_path / "in" / "b").symlink_to(tmp_path / "far")
    (tmp_path / "in" / "c").symlink_to(tmp_path / "far" / "deep")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "a" / "self").symlink_to(".")
    pack = load(tmp_path / "in", tmp_path, labels="folders", duplicates="keep")
    assert np.array_equal(pack.images, [picture(1), picture(2)])
    assert pack.info.classes == ("a", "b")
    assert [text for label, text in pack.info.notes if label == "linked folders"] == [
        "1 followed",
        "3 left out: what they lead to is read already",
    ]


def zipped(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def png(seed):
    return encode_png(picture(seed))


def test_a_zip_is_read_like_a_folder_and_nothing_is_written(tmp_path):
    names = {"cat/b.png": png(1), "../../dog/a.png": png(2), "__MACOSX/cat/._b.png": b"x", "cat/notes.txt": b"hello"}
    source = zipped(tmp_path / "set.zip", **names)
    pack = load(source, tmp_path)
    assert np.array_equal(pack.images, [picture(1), picture(2)])
    assert pack.info.skipped == (("cat/notes.txt", "not an image"),)
    assert (pack.info.name, pack.info.source) == ("set", "set.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack", "set.zip"]


def test_bombs_and_damage_in_a_zip_are_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "MOST_UNPACKED", 10_000)
    source = zipped(tmp_path / "set.zip", **{"a.png": png(1), "bomb.png": bytes(10_001)})
    assert load(source, tmp_path).info.skipped == (("bomb.png", "unpacks to 10001 bytes, more than 10000"),)
    data = bytearray(zipped(tmp_path / "other.zip", **{"a.png": png(1), "b.png": png(2)}).read_bytes())
    data[60] ^= 0xFF
    (tmp_path / "other.zip").write_bytes(data)
    (skipped,) = load(tmp_path / "other.zip", tmp_path).info.skipped
    assert skipped[0] == "a.png" and "damaged" in skipped[1]


def test_a_zip_in_a_folder_says_what_to_do(tmp_path):
    save(tmp_path / "in" / "a.png", 1)
    zipped(tmp_path / "in" / "more.zip", **{"b.png": png(2)})
    assert load(tmp_path / "in", tmp_path).info.skipped == (
        ("more.zip", "an archive: unpack it, or import it by itself"),
    )


def make_run(root):
    """A run with its pictures, as 'train' leaves it."""
    run = Run(root)
    run.prepare()
    run.config.write_text(tiny_config().to_json())
    run.append_log({"images": 8})
    for path in (run.preview(8), root / "progress.png", root / "losses.png"):
        path.write_bytes(png(len(path.name)))
    (run.checkpoints / "000000008").mkdir()
    (run.checkpoints / "000000008" / "weights.bin").write_bytes(b"x")


def test_what_this_program_made_is_not_learned_from(tmp_path):
    source = tmp_path / "in"
    save(source / "a.png", 1)
    load(source, tmp_path)
    import_images(source, source / "pack", ImportOptions(SIZE))
    make_run(source / "run")
    for place in (source / "pack" / "sheet.png", source / "anywhere.png"):
        page = contact_sheet(load(source, tmp_path))
        place.write_bytes(signed_png(page))
    (source / "sample.png").write_bytes(encode_png(picture(5), {"Software": "Ganfoundry 0.1", "Seed": "5"}))
    Image.fromarray(picture(6)).save(source / "walk.gif", comment="Software: Ganfoundry 0.1; Seeds: 3-9")
    pack = load(source, tmp_path)
    assert np.array_equal(pack.images, [picture(1)])
    assert not pack.info.skipped
    ((label, said),) = pack.info.notes
    assert label == "left out" and said.startswith("13 made by Ganfoundry itself")


def test_a_person_s_pictures_are_taken_whatever_they_are_called(tmp_path):
    """Also beside a run, and in a folder that only looks like one."""
    names = ["sheet.png", "samples/000000001.png", "dataset/images.npy.png"]
    for seed, name in enumerate(names):
        save(tmp_path / "in" / name, seed)
    (tmp_path / "in" / "config.json").write_text(json.dumps({"preset": "mine"}))
    assert len(load(tmp_path / "in", tmp_path)) == 3
    (tmp_path / "in" / "config.json").unlink()
    make_run(tmp_path / "in")
    save(tmp_path / "in" / "samples" / "1.png", 9)
    assert len(load(tmp_path / "in", tmp_path)) == 3  # sheet.png, dataset/…, samples/1.png


def test_overwriting_a_pack_inside_its_source_changes_nothing(tmp_path):
    save(tmp_path / "in" / "a.png", 1)
    options = ImportOptions(SIZE, overwrite=True)
    first = import_images(tmp_path / "in", tmp_path / "in" / "pack", options)
    (tmp_path / "in" / "pack" / "sheet.png").write_bytes(signed_png(contact_sheet(first)))
    again = import_images(tmp_path / "in", tmp_path / "in" / "pack", options)
    assert (again.info.fingerprint, len(again)) == (first.info.fingerprint, 1)


def test_a_source_of_nothing_but_ours_says_so(tmp_path):
    make_run(tmp_path / "run")
    with pytest.raises(DataError, match=r"no usable image .*made by Ganfoundry itself"):
        load(tmp_path / "run", tmp_path)
