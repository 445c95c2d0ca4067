import json
import shutil
import time
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DataError
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer.data.ours import ours
from trainer.data.pack import FORMAT_VERSION, IMAGES, INFO, LABELS, PARTS, Pack, PackInfo, SourcesInfo, write_pack

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


def test_pairs_are_read_as_they_were_written(tmp_path):
    pack = paired_pack(tmp_path / "pairs", source_side=8, source_channels=1)
    assert pack.sources.shape == (40, 8, 8, 1) and isinstance(pack.sources, np.memmap)
    assert pack.info.sources.count == 40 and pack.info.paired
    assert pack.info.parts == (28, 4, 8)
    assert pack.rows("held").tolist() == pack.source_rows("held").tolist() == list(range(0, 40, 5))
    assert np.array_equal(np.sort(np.concatenate([pack.rows(part) for part in PARTS])), np.arange(40))
    gathered = pack.gather_sources([3, 0, 3])
    assert gathered.flags.c_contiguous and np.array_equal(gathered, pack.sources[[3, 0, 3]])
    pack.verify()


def test_two_domains_have_parts_of_their_own(tmp_path):
    pack = unpaired_pack(tmp_path / "domains", count=20, sources=11)
    assert (len(pack), pack.info.sources.count, pack.info.paired) == (20, 11, False)
    assert (pack.info.parts, pack.info.sources.parts) == ((14, 2, 4), (7, 1, 3))
    assert pack.rows("held").tolist() == [0, 5, 10, 15] and pack.source_rows("held").tolist() == [0, 5, 10]
    pack.verify()


def test_without_parts_everything_is_to_train_on(tmp_path, pack):
    nothing_held = write_pack(tmp_path / "zeros", random_images(), None, INFO_4, parts=[0] * 5)
    for one in (pack, nothing_held):
        assert one.rows("train").tolist() == one.source_rows("train").tolist() == [0, 1, 2, 3, 4]
        assert len(one.rows("validation")) == len(one.rows("held")) == 0
        assert one.rows("held").dtype == np.int64 and one.info.parts == () and one.sources is None
    with pytest.raises(DataError, match=r"no sources.*--sources"):
        pack.gather_sources([0])


def test_the_fingerprint_of_packs_without_sources_is_what_it_was(tmp_path):
    images = random_images(2)
    digest = sha256(images.tobytes() + json.dumps([2, 8, 12, 4]).encode()).hexdigest()
    assert write_pack(tmp_path / "pack", images, None, INFO_4).info.fingerprint == digest


def test_the_fingerprint_follows_sources_and_parts(tmp_path):
    def fingerprint(sources=random_images(seed=1), paired=True, **parts):  # noqa: B008 (never changed)
        info = replace(INFO_4, sources=SourcesInfo(*sources.shape[1:], paired=paired))
        path = tmp_path / "pack"
        return write_pack(path, random_images(), None, info, True, sources=sources, **parts).info.fingerprint

    found = [
        write_pack(tmp_path / "plain", random_images(), None, INFO_4).info.fingerprint,
        write_pack(tmp_path / "held", random_images(), None, INFO_4, parts=[0, 0, 0, 1, 2]).info.fingerprint,
        fingerprint(),
        fingerprint(random_images(seed=1)[::-1]),
        fingerprint(random_images(seed=1).reshape(5, 12, 8, 4)),
        fingerprint(parts=[0, 0, 0, 1, 2]),
        fingerprint(parts=[0, 0, 0, 2, 1]),
        fingerprint(paired=False),
        fingerprint(paired=False, source_parts=[0, 0, 0, 1, 2]),
        fingerprint(paired=False, parts=[0, 0, 0, 1, 2]),
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": random_images(4)}, "one for each"),
        ({"sources": random_images(shape=(8, 8, 4))}, "holds uint8"),
        ({"sources": random_images(), "source_parts": [0] * 5}, "parts of their images"),
        ({"sources": random_images(), "parts": [0, 1]}, "do not fit"),
        ({"sources": random_images(), "parts": [0, 1, 2, 3, 0]}, "do not fit"),
        ({"sources": random_images(), "parts": [2, 1, 2, 2, 1]}, "none is left to train on"),
        ({"sources": None}, "what they are"),
    ],
)
def test_sources_and_parts_that_do_not_fit_are_not_written(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        write_pack(tmp_path / "pack", random_images(), None, replace(INFO_4, sources=SourcesInfo(8, 12, 4)), **changes)
    assert list(tmp_path.iterdir()) == []


def change_sources(path, **changes):
    values = json.loads((path / INFO).read_text())
    change_info(path, sources=values["sources"] | changes)


DAMAGE_OF_PAIRS = {
    "no sources": lambda p: (p / "sources.npy").unlink(),
    "cut sources": lambda p: (p / "sources.npy").write_bytes((p / "sources.npy").read_bytes()[:-1]),
    "no parts": lambda p: (p / "parts.npy").unlink(),
    "other parts": lambda p: np.save(p / "parts.npy", np.zeros(40, np.uint8)),
    "unknown parts": lambda p: np.save(p / "parts.npy", np.full(40, 9, np.uint8)),
    "fewer parts": lambda p: np.save(p / "parts.npy", np.load(p / "parts.npy")[1:]),
    "counts of parts": lambda p: change_info(p, parts=[40]),
    "text as parts": lambda p: change_info(p, parts="train"),
    "fewer sources than images": lambda p: change_sources(p, count=39),
    "five channels": lambda p: change_sources(p, channels=5),
    "unknown fit": lambda p: change_sources(p, fit="foo"),
    "unknown resampling": lambda p: change_sources(p, resample="bicubic"),
    "paired by a word": lambda p: change_sources(p, paired="yes"),
    "unknown field of sources": lambda p: change_sources(p, colour="blue"),
    "sources are a list": lambda p: change_info(p, sources=[1]),
}


@pytest.mark.parametrize("damage", DAMAGE_OF_PAIRS.values(), ids=DAMAGE_OF_PAIRS)
def test_damaged_pairs_are_refused_in_one_line(tmp_path, damage):
    path = paired_pack(tmp_path / "pairs").path
    damage(path)
    with pytest.raises(DataError, match=r"cannot be used: .*import it again$") as caught:
        Pack.open(path)
    assert "\n" not in str(caught.value)


def test_a_changed_source_or_part_is_found(tmp_path):
    path = paired_pack(tmp_path / "pairs").path
    parts = np.load(path / "parts.npy")
    np.save(path / "parts.npy", parts[::-1])
    with pytest.raises(DataError, match="changed"):
        Pack.open(path).verify()
    np.save(path / "parts.npy", parts)
    Pack.open(path).verify()
    with (path / "sources.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(DataError, match="changed"):
        Pack.open(path).verify()


def test_pairs_are_replaced_as_a_pack_is_and_nothing_of_them_is_a_picture(tmp_path):
    path = unpaired_pack(tmp_path / "in" / "domains").path
    assert ours(path, {p.name for p in path.iterdir()} | {"mine.png"}) == {p.name for p in path.iterdir()}
    assert len(write_pack(path, random_images(), None, INFO_4, overwrite=True)) == 5
    unpaired_pack(tmp_path / "in" / "again")
    (tmp_path / "in" / "again" / "mine.png").write_bytes(b"dear to someone")
    with pytest.raises(DataError, match=r"mine\.png in it is not of it"):
        write_pack(tmp_path / "in" / "again", random_images(), None, INFO_4, overwrite=True)
