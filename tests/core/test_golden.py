"""Golden images in their file, and what is refused: exporting and serving rely on these."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from core.bundle import (
    GOLDEN,
)
from core.errors import BundleError
from core.golden import LARGEST_GOLDEN, Golden, golden_shapes


def golden(count: int = 3) -> Golden:
    images = np.arange(count * 32 * 32 * 4, dtype=np.uint32).astype(np.uint8).reshape(count, 32, 32, 4)
    return Golden({"z": np.zeros((count, 8), np.float32), "truncation": np.ones((count, 1), np.float32)}, images)


def test_golden_images_survive_their_file(tmp_path):
    (tmp_path / GOLDEN).write_bytes(golden().to_bytes())
    read = Golden.read(tmp_path / GOLDEN)
    assert len(read) == 3
    assert np.array_equal(read.images, golden().images)
    assert read.inputs.keys() == golden().inputs.keys()
    assert golden().to_bytes() == golden().to_bytes()


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"input_z": np.zeros((1, 8))},
        {"image": np.zeros((1, 4, 4, 3))},
        {"image": np.zeros((4, 4, 3), np.uint8)},
        {"image": np.zeros((0, 4, 4, 3), np.uint8)},
        {"image": np.zeros((2, 4, 4, 3), np.uint8), "input_z": np.zeros((1, 8))},
        {"image": np.zeros((2, 4, 4, 3), np.uint8), "input_z": np.float32(1)},
        {"image": np.array([None])},
    ],
)
def test_npz_files_that_are_no_golden_images(tmp_path, arrays):
    np.savez(tmp_path / GOLDEN, **arrays)
    with pytest.raises(BundleError, match=GOLDEN):
        Golden.read(tmp_path / GOLDEN)


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00", golden().to_bytes()[:-100]])
def test_files_that_are_no_npz(tmp_path, data):
    (tmp_path / GOLDEN).write_bytes(data)
    with pytest.raises(BundleError, match=GOLDEN):
        Golden.read(tmp_path / GOLDEN)


def npz(path, **members: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def header(shape, dtype="|u1", version=(1, 0)) -> bytes:
    """Of an array file, without the array."""
    buffer = io.BytesIO()
    write = {(1, 0): np.lib.format.write_array_header_1_0, (2, 0): np.lib.format.write_array_header_2_0}[version]
    write(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "image",
    [
        header((1 << 40, 1, 1, 1)),
        header((1 << 20, 1 << 20, 1 << 20, 4)),
        header((-1, 4, 4, 3)) + bytes(48),
        header((1, 4, 4, 3)) + bytes(47),
        header((1, 4, 4, 3)) + bytes(49),
        header((1, 4, 4, 3), version=(2, 0)) + bytes(48),
        b"\x93NUMPY\x02\x00" + b"\xff" * 3 + b"\x7f" + bytes(1000),
        header((1, 4, 4, 3), dtype="|O"),
    ],
)
def test_arrays_that_claim_more_or_less_than_there_is(tmp_path, image):
    npz(tmp_path / GOLDEN, image=image)
    with pytest.raises(BundleError, match=GOLDEN):
        Golden.read(tmp_path / GOLDEN)


def test_a_file_packed_from_more_than_memory_is_not_unpacked(tmp_path, monkeypatch):
    """Each array is honest and they are small in the file; together they would not be small in memory."""
    side = 1 << 12
    block = header((1, side, side, 1)) + bytes(side * side)
    npz(tmp_path / GOLDEN, image=block, input_z=block, input_y=block)
    assert (tmp_path / GOLDEN).stat().st_size < 100_000
    assert len(Golden.read(tmp_path / GOLDEN)) == 1
    assert LARGEST_GOLDEN > 16 * 2048 * 2048 * 4 * 4
    monkeypatch.setattr("core.golden.LARGEST_GOLDEN", 3 * side * side)
    assert len(golden_shapes(tmp_path / GOLDEN)) == 3
    monkeypatch.setattr("core.golden.LARGEST_GOLDEN", 3 * side * side - 1)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(BundleError, match="larger than"):
        Golden.read(tmp_path / GOLDEN)


def test_shapes_are_read_without_unpacking(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.float32(1), b=np.zeros((3, 0), np.int64), c=np.zeros((2, 5), np.uint8))
    shapes = golden_shapes(tmp_path / "x.npz")
    assert shapes == {"a": ("float32", ()), "b": ("int64", (3, 0)), "c": ("uint8", (2, 5))}


def test_sides_below_zero_do_not_make_up_for_each_other(tmp_path):
    npz(tmp_path / GOLDEN, image=header((-1, -4, 4, 3)) + bytes(48))
    with pytest.raises(ValueError, match="not as large as it says"):
        golden_shapes(tmp_path / GOLDEN)


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_golden_images_are_never_unpickled(tmp_path):
    data = pickle.dumps(Trap(tmp_path / "sprung"))
    data += bytes(-len(data) % 8)  # as many as its objects would take, so that the size gives nothing away
    npz(tmp_path / GOLDEN, image=header((len(data) // 8,), dtype="|O") + data)
    with pytest.raises(BundleError, match=GOLDEN):
        Golden.read(tmp_path / GOLDEN)
    assert not (tmp_path / "sprung").exists()
