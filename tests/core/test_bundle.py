"""The manifest and the golden images, without a graph: exporting and serving rely on these."""

import io
import json
import os
import subprocess
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bundle import (
    GOLDEN,
    GRAPH,
    LARGEST_GOLDEN,
    LARGEST_MANIFEST,
    MANIFEST,
    SUMS,
    Golden,
    Manifest,
    levels_apart,
    read_bundle,
    read_manifest,
    write_manifest,
)
from core.errors import BundleError
from core.spec import GeneratorSpec, Provenance

SPEC = GeneratorSpec(
    "dcgan", 32, 32, 4, 8, classes=("chat", "чайка"), options={"width": 2}, provenance=Provenance(data_name="é")
)


def golden(count: int = 3) -> Golden:
    images = np.arange(count * 32 * 32 * 4, dtype=np.uint32).astype(np.uint8).reshape(count, 32, 32, 4)
    return Golden({"z": np.zeros((count, 8), np.float32), "truncation": np.ones((count, 1), np.float32)}, images)


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / GRAPH).write_bytes(b"graph")
    (tmp_path / GOLDEN).write_bytes(golden().to_bytes())
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "notes.txt").write_text("notes")
    write_manifest(tmp_path, spec=SPEC, opset=18, tools={"torch": "2"}, verification={"levels": 1, "pixels": 0.1})
    return tmp_path


def test_what_is_written_is_read(bundle):
    manifest = read_bundle(bundle)
    assert manifest.spec == SPEC
    assert set(manifest.files) == {GRAPH, GOLDEN, "extra/notes.txt"}
    assert manifest.verification == {"levels": 1, "pixels": 0.1}
    assert Manifest.from_json(manifest.to_json()) == manifest


words = st.sampled_from(["", '"', "\\", '"seal": ""', "é", "\n", "\ud800", "\U0001f600"]) | st.text(max_size=8)
values = st.none() | st.booleans() | st.floats(allow_nan=False) | words
nested = values | st.lists(values | st.lists(values, max_size=2), max_size=3)


@settings(max_examples=50)
@given(st.dictionaries(words, words, max_size=3), st.dictionaries(words, nested, max_size=3), words)
def test_any_manifest_survives_json(tools, verification, text):
    files = {GRAPH: "0", GOLDEN: "1", "seal": "", 'a "seal": "": b': ""}
    manifest = Manifest(SPEC, {k: v for k, v in files.items() if ":" not in k}, 18, tools, verification, text)
    assert Manifest.from_json(manifest.to_json()) == manifest


@given(st.data())
def test_any_change_of_the_text_breaks_the_seal(data):
    text = Manifest(SPEC, {GRAPH: "0", GOLDEN: "1"}, 18, {"torch": "2"}).to_json()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != text[at]))
    with pytest.raises(BundleError):
        Manifest.from_json(text[:at] + other + text[at + 1 :])


@given(st.text() | (nested | st.dictionaries(words, nested, max_size=3)).map(json.dumps))
def test_any_other_text_is_refused(text):
    with pytest.raises(BundleError):
        Manifest.from_json(text)


def test_line_endings_are_part_of_the_text(bundle):
    text = (bundle / MANIFEST).read_bytes()
    (bundle / MANIFEST).write_bytes(text.replace(b"\n", b"\r\n"))
    with pytest.raises(BundleError, match=MANIFEST):
        read_manifest(bundle)


def test_a_changed_or_missing_file_is_named(bundle):
    (bundle / "extra" / "notes.txt").write_text("other notes")
    with pytest.raises(BundleError, match=r"notes\.txt was changed"):
        read_bundle(bundle)
    (bundle / "extra" / "notes.txt").unlink()
    with pytest.raises(BundleError, match=r"lacks extra/notes\.txt"):
        read_bundle(bundle)


def test_a_file_nobody_listed_is_nobody_s_business(bundle):
    (bundle / "engine.plan").write_text("built on the target")
    read_bundle(bundle)


def test_the_sums_are_those_coreutils_checks(bundle):
    done = subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert set(done.stdout.splitlines()) == {f"{name}: OK" for name in names - {SUMS}}


def test_a_manifest_deeper_inside_is_a_file_like_others(bundle):
    (bundle / "extra" / MANIFEST).write_text("{}")
    manifest = write_manifest(bundle, spec=SPEC, opset=18)
    assert f"extra/{MANIFEST}" in manifest.files
    (bundle / "extra" / MANIFEST).write_text("[]")
    with pytest.raises(BundleError, match=f"extra/{MANIFEST} was changed"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "change", [str.upper, str.rstrip, lambda t: t + "\n", lambda t: "", lambda t: t.replace("  ", " *")]
)
def test_sums_that_say_anything_else(bundle, change):
    text = (bundle / SUMS).read_text()
    (bundle / SUMS).write_text(change(text))
    with pytest.raises(BundleError, match=SUMS):
        read_bundle(bundle)


def test_sums_that_are_missing(bundle):
    (bundle / SUMS).unlink()
    with pytest.raises(BundleError, match=SUMS):
        read_bundle(bundle)


@pytest.mark.parametrize("name", [MANIFEST, SUMS])
@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), LARGEST_MANIFEST + 1),
        lambda path: path.write_bytes(b"\xff" * 100),
    ],
    ids=["device", "loop", "folder", "pipe", "huge", "bytes"],
)
def test_what_is_no_small_text_is_not_read(bundle, name, make):
    (bundle / name).unlink()
    make(bundle / name)
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


def test_an_error_never_quotes_a_whole_hostile_file(bundle):
    values = {**json.loads((bundle / MANIFEST).read_text()), "x" * 100_000: 1}
    (bundle / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(BundleError) as caught:
        read_manifest(bundle)
    assert len(str(caught.value)) < 1000


def test_a_folder_in_the_place_of_a_file(bundle):
    (bundle / GRAPH).unlink()
    (bundle / GRAPH).mkdir()
    with pytest.raises(BundleError, match=GRAPH):
        read_bundle(bundle)


def test_golden_images_survive_their_file(bundle):
    read = Golden.read(bundle / GOLDEN)
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
    monkeypatch.setattr("core.bundle.LARGEST_GOLDEN", 3 * side * side - 1)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(BundleError, match="larger than"):
        Golden.read(tmp_path / GOLDEN)


def test_levels_apart():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    other = images.copy()
    other[0, 1, 1, 2] = 255
    assert levels_apart(images, images) == 0
    assert levels_apart(images, other) == levels_apart(other, images) == 255
    assert levels_apart(images, images[:, :1]) == 256
    assert levels_apart(images, images.astype(np.float32)) == 256
    assert levels_apart(images[:0], images[:0]) == 0
