"""The manifest and the golden images, without a graph: exporting and serving rely on these."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bundle import (
    GOLDEN,
    GRAPH,
    MANIFEST,
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


@given(
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists)
    ),
    st.text(),
)
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


@given(
    st.text()
    | st.recursive(st.none() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(json.dumps)
)
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


def test_levels_apart():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    other = images.copy()
    other[0, 1, 1, 2] = 255
    assert levels_apart(images, images) == 0
    assert levels_apart(images, other) == levels_apart(other, images) == 255
    assert levels_apart(images, images[:, :1]) == 256
    assert levels_apart(images, images.astype(np.float32)) == 256
    assert levels_apart(images[:0], images[:0]) == 0
