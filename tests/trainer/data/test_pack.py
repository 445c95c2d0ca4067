import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DataError
from trainer.data.pack import FORMAT_VERSION, IMAGES, INFO, LABELS, Pack, PackInfo, write_pack

INFO_4 = PackInfo("some", 8, 12, 4)
LABELLED = replace(INFO_4, classes=("cat", "dog"))


def random_images(count=5, shape=(8, 12, 4), seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)
    images[..., -1] |= 1
    return images


@pytest.fixture
def pack(tmp_path):
    return write_pack(tmp_path / "pack", random_images(), [0, 1, 1, 0, 1], LABELLED)


def test_what_is_written_is_read(pack):
    assert np.array_equal(pack.images, random_images())
    assert pack.labels.tolist() == [0, 1, 1, 0, 1]
    assert pack.labels.dtype == np.int64
    assert len(pack) == pack.info.count == 5
    assert isinstance(pack.images, np.memmap)
    pack.verify()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_may_come_one_by_one(tmp_path, channels):
    images = random_images(shape=(8, 12, channels))
    info = replace(INFO_4, channels=channels)
    streamed = write_pack(tmp_path / "a", iter(images), None, info)
    assert np.array_equal(np.load(tmp_path / "a" / IMAGES), images)
    assert streamed.labels is None
    assert streamed.info.fingerprint == write_pack(tmp_path / "b", images, None, info).info.fingerprint


def test_gather_takes_any_order(pack):
    chosen = pack.gather([3, 0, 3])
    assert chosen.flags.c_contiguous and chosen.flags.writeable and chosen.dtype == np.uint8
    assert np.array_equal(chosen, random_images()[[3, 0, 3]])
    assert pack.gather(np.zeros(0, np.int64)).shape == (0, 8, 12, 4)


def test_hidden_colour_does_not_reach_the_disk(tmp_path):
    images = random_images()
    images[:, :4, :, 3] = 0
    pack = write_pack(tmp_path / "pack", images, None, INFO_4)
    assert (pack.images[:, :4] == 0).all()
    assert np.array_equal(pack.images[:, 4:], images[:, 4:])


def test_the_fingerprint_follows_images_labels_classes_and_shape(tmp_path):
    def fingerprint(images, labels, info):
        return write_pack(tmp_path / "pack", images, labels, info, overwrite=True).info.fingerprint

    images = random_images()
    first = fingerprint(images, [0, 1, 1, 0, 1], LABELLED)
    assert first == fingerprint(images, [0, 1, 1, 0, 1], replace(LABELLED, name="other", source="elsewhere"))
    others = {
        fingerprint(images[::-1], [0, 1, 1, 0, 1], LABELLED),
        fingerprint(images, [1, 1, 1, 0, 1], LABELLED),
        fingerprint(images, [0, 1, 1, 0, 1], replace(LABELLED, classes=("cat", "cow"))),
        fingerprint(images.reshape(5, 12, 8, 4), None, replace(INFO_4, height=12, width=8)),
        fingerprint(images, None, INFO_4),
    }
    assert len(others) == 5 and first not in others


def test_an_existing_pack_is_replaced_only_if_asked(tmp_path, pack):
    with pytest.raises(DataError, match=r"exists.*--overwrite"):
        write_pack(pack.path, random_images(2), None, INFO_4)
    assert len(Pack.open(pack.path)) == 5
    assert len(write_pack(pack.path, random_images(2), None, INFO_4, overwrite=True)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_what_is_not_a_pack_is_never_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"dear to someone")
    for destination in (tmp_path / "photos", tmp_path / "photos" / "a.png"):
        with pytest.raises(DataError, match="not a pack"):
            write_pack(destination, random_images(), None, INFO_4, overwrite=True)
    assert (tmp_path / "photos" / "a.png").read_bytes() == b"dear to someone"


def failing():
    yield random_images()[0]
    raise RuntimeError("the power is gone")


@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, existing):
    if existing:
        write_pack(tmp_path / "pack", random_images(), None, INFO_4)
    with pytest.raises(RuntimeError):
        write_pack(tmp_path / "pack", failing(), None, INFO_4, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["pack"] * existing
    assert not existing or len(Pack.open(tmp_path / "pack")) == 5


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (random_images(0), None, "at least one"),
        (random_images(shape=(8, 8, 4)), None, "holds uint8"),
        (random_images().astype(np.float32), None, "holds uint8"),
        (random_images(), [0, 1], "do not fit"),
        (random_images(), [0, 1, 2, 0, 0], "do not fit"),
        (random_images(), [0, 1, -1, 0, 0], "do not fit"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path, images, labels, message):
    with pytest.raises(DataError, match=message):
        write_pack(tmp_path / "pack", images, labels, INFO_4 if labels is None else LABELLED)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_pack(tmp_path / "file" / "pack", random_images(), None, INFO_4)


def change_info(path, **changes):
    values = json.loads((path / INFO).read_text())
    (path / INFO).write_text(json.dumps(values | changes))


DAMAGE = {
    "no images": lambda p: (p / IMAGES).unlink(),
    "no labels": lambda p: (p / LABELS).unlink(),
    "cut images": lambda p: (p / IMAGES).write_bytes((p / IMAGES).read_bytes()[:-1]),
    "cut header": lambda p: (p / IMAGES).write_bytes((p / IMAGES).read_bytes()[:20]),
    "empty images": lambda p: (p / IMAGES).write_bytes(b""),
    "other file": lambda p: (p / IMAGES).write_bytes(b"PK\x03\x04 is a zip file"),
    "pickle": lambda p: np.save(p / IMAGES, np.array([{}]), allow_pickle=True),
    "float images": lambda p: np.save(p / IMAGES, random_images().astype(np.float32)),
    "fewer images": lambda p: np.save(p / IMAGES, random_images(3)),
    "other shape": lambda p: np.save(p / IMAGES, random_images(shape=(12, 8, 4))),
    "wrong labels": lambda p: np.save(p / LABELS, np.array([0, 1, 2, 0, 0])),
    "float labels": lambda p: np.save(p / LABELS, np.zeros(5)),
    "no json": lambda p: (p / INFO).write_text("{"),
    "not text": lambda p: (p / INFO).write_bytes(b"\xff\xfe\x00"),
    "a list": lambda p: (p / INFO).write_text("[]"),
    "next version": lambda p: change_info(p, format_version=FORMAT_VERSION + 1),
    "unknown field": lambda p: change_info(p, colour="blue"),
    "text as count": lambda p: change_info(p, count="5"),
    "negative count": lambda p: change_info(p, count=-5),
    "two channels": lambda p: change_info(p, channels=2),
    "numbers as classes": lambda p: change_info(p, classes=[1, 2]),
    "skipped malformed": lambda p: change_info(p, skipped=["a"]),
    "null options": lambda p: change_info(p, options=None),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_pack_is_refused_in_one_line_that_says_what_to_do(pack, damage):
    damage(pack.path)
    with pytest.raises(DataError, match=r"cannot be used: .*import it again$") as caught:
        Pack.open(pack.path)
    assert "\n" not in str(caught.value)


def test_what_is_no_pack_is_said_so(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=r"not a pack.*data import"):
            Pack.open(path)


def test_a_changed_pixel_is_found(pack):
    with (pack.path / IMAGES).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x00")
    with pytest.raises(DataError, match="changed"):
        Pack.open(pack.path).verify()


def test_a_pack_can_be_moved_and_is_not_changed_by_opening(tmp_path, pack):
    moved = shutil.copytree(pack.path, tmp_path / "elsewhere")
    assert Pack.open(moved).info == pack.info


NAMES = st.text(st.characters(codec="utf-8"), max_size=8)


@given(NAMES, st.lists(NAMES, max_size=3), st.lists(st.tuples(NAMES, NAMES), max_size=3))
def test_the_info_survives_json(name, classes, skipped):
    info = PackInfo(name, 8, 8, 3, tuple(classes), skipped=tuple(skipped), options={"grid": "8x8"}, count=2)
    assert PackInfo.from_json(info.to_json()) == info


def test_opening_does_not_read_the_images(tmp_path):
    info = PackInfo("large", 64, 64, 4)
    write_pack(tmp_path / "pack", (np.zeros((64, 64, 4), np.uint8) for _ in range(2500)), None, info)
    start = time.perf_counter()
    Pack.open(tmp_path / "pack")
    assert time.perf_counter() - start < 0.1


def test_a_pack_from_before_is_read_with_its_counts(pack):
    """Cells were counted under other names once, and nobody counted what is distinct."""
    values = json.loads((pack.path / INFO).read_text())
    for name in ("empty", "duplicates", "distinct", "notes"):
        del values[name]
    (pack.path / INFO).write_text(json.dumps({**values, "empty_cells": 3, "duplicate_cells": 4}))
    info = Pack.open(pack.path).info
    assert (info.empty, info.duplicates, info.distinct, info.notes) == (3, 4, 0, ())
