import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from core.errors import ConfigError, DataError
from core.sizes import plan_size
from trainer.data.idx import find_idx, read_images, read_labels
from trainer.data.importing import ImportOptions, import_images

DIGITS = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
LABELS = np.array([7, 2, 2, 0, 9, 7], np.uint8)
OPTIONS = ImportOptions(plan_size(28, 28))


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_set(folder, prefix="train", zipped=("", ""), images=DIGITS, labels=LABELS):
    write(folder / f"{prefix}-labels-idx1-ubyte{zipped[1]}", idx(labels))
    return write(folder / f"{prefix}-images-idx3-ubyte{zipped[0]}", idx(images))


@pytest.mark.parametrize("zipped", [("", ""), (".gz", ".gz"), ("", ".gz"), (".gz", "")])
@pytest.mark.parametrize("whole_folder", [True, False])
def test_images_and_labels(tmp_path, zipped, whole_folder):
    images = write_set(tmp_path / "in", zipped=zipped)
    pack = import_images(images.parent if whole_folder else images, tmp_path / "out", OPTIONS)
    assert np.array_equal(pack.images[..., 0], DIGITS)
    assert pack.info.channels == 1
    assert pack.info.classes == ("0", "2", "7", "9")
    assert [pack.info.classes[label] for label in pack.labels] == [str(label) for label in LABELS]


def test_a_folder_with_both_sets_gives_the_training_set(tmp_path):
    write_set(tmp_path / "in", "t10k", images=DIGITS[:2], labels=LABELS[:2])
    write_set(tmp_path / "in", "train")
    assert len(import_images(tmp_path / "in", tmp_path / "out", OPTIONS)) == 6


def test_several_other_sets_have_to_be_named(tmp_path):
    for prefix in ("letters", "digits"):
        write_set(tmp_path, prefix)
    with pytest.raises(DataError, match="name one file"):
        find_idx(tmp_path)


def test_without_a_labels_file_there_are_no_classes(tmp_path):
    path = write(tmp_path / "in" / "anything.bin", idx(DIGITS))
    pack = import_images(path, tmp_path / "out", OPTIONS)
    assert pack.labels is None and pack.info.classes == ()
    assert len(pack) == 6


def test_ten_and_more_classes_are_in_the_order_of_the_numbers(tmp_path):
    labels = np.arange(6, dtype=np.uint8) * 4
    write_set(tmp_path / "in", labels=labels)
    pack = import_images(tmp_path / "in", tmp_path / "out", OPTIONS)
    assert pack.info.classes == ("0", "4", "8", "12", "16", "20")
    assert pack.labels.tolist() == [0, 1, 2, 3, 4, 5]


def test_other_sizes_are_fitted(tmp_path):
    write_set(tmp_path / "in")
    pack = import_images(tmp_path / "in", tmp_path / "out", ImportOptions(plan_size(32, 32), resample="nearest"))
    assert np.array_equal(pack.images[:, 2:30, 2:30, 0], DIGITS)


def test_progress_counts_images(tmp_path):
    seen = []
    import_images(write_set(tmp_path / "in"), tmp_path / "out", OPTIONS, lambda *step: seen.append(step))
    assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("options", [{"grid": (7, 7)}, {"labels": "folders"}])
def test_options_for_pictures_are_refused(tmp_path, options):
    with pytest.raises(ConfigError, match="idx"):
        import_images(write_set(tmp_path / "in"), tmp_path / "out", ImportOptions(plan_size(28, 28), **options))


def header(*sizes, kind=8):
    return bytes([0, 0, kind, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


DAMAGED = {
    "cut header": header(6, 28, 28)[:9],
    "floats": header(6, 28, 28, kind=0x0D) + DIGITS.tobytes(),
    "two dimensions": header(6, 784) + DIGITS.tobytes(),
    "cut": idx(DIGITS)[:-1],
    "trailing bytes": idx(DIGITS) + b"more",
    "half": idx(DIGITS)[:2000],
    "no images": header(0, 28, 28),
    "no pixels": header(6, 0, 28),
    "absurd count": header(2**32 - 1, 28, 28) + DIGITS.tobytes(),
    "absurd size": header(1, 2**32 - 1, 2**32 - 1) + DIGITS.tobytes(),
    "large image": header(1, 9000, 9000) + DIGITS.tobytes(),
    "absurd everything": header(2**32 - 1, 2**32 - 1, 2**32 - 1),
    "large count": header(20_000_000, 28, 28) + DIGITS.tobytes(),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_damage_is_refused_before_memory_is_taken(tmp_path, data, name):
    path = write(tmp_path / "in" / name, data)
    tracemalloc.start()
    with pytest.raises(DataError, match="fetch it again") as caught:
        import_images(path, tmp_path / "out", OPTIONS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 2_000_000
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_gzip_that_claims_to_fill_the_disk_is_refused_unread(tmp_path):
    path = write(tmp_path / "images.gz", header(2**32 - 1, 28, 28) + DIGITS.tobytes())
    with pytest.raises(DataError, match="cannot hold"):
        read_images(path)


@pytest.mark.parametrize("kept", [5, 100, 2000])
def test_a_cut_gzip_is_refused(tmp_path, kept):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(DIGITS))[:kept])
    with pytest.raises(DataError, match="fetch it again"):
        import_images(path, tmp_path / "out", OPTIONS)


def test_a_damaged_gzip_is_refused(tmp_path):
    data = bytearray(gzip.compress(idx(DIGITS)))
    data[1000] ^= 0xFF
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(data)
    with pytest.raises(DataError, match="fetch it again"):
        import_images(tmp_path, tmp_path / "out", OPTIONS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx(LABELS[:5]), "5 labels for 6 images"),
        (idx(LABELS)[:-1], "cannot hold"),
        (idx(DIGITS), "not an idx file"),
        (b"", "not an idx file"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, data, message):
    path = write(tmp_path / "labels", data)
    with pytest.raises(DataError, match=message):
        read_labels(path, 6)


def test_images_are_read_one_by_one(tmp_path):
    path = write(tmp_path / "images.gz", idx(np.zeros((4000, 28, 28), np.uint8)))
    tracemalloc.start()
    count, images = read_images(path)
    assert sum(1 for _ in images) == count == 4000
    assert tracemalloc.get_traced_memory()[1] < 500_000
    tracemalloc.stop()
