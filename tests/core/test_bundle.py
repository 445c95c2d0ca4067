"""The manifest and the golden images, without a graph: exporting and serving rely on these."""

import hashlib
import json
import os
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bundle import (
    CARD,
    FORMAT_VERSION,
    FP16,
    GOLDEN,
    GRAPH,
    INT8,
    LARGEST_MANIFEST,
    MANIFEST,
    MAPPING,
    SHEET,
    SUMS,
    SYNTHESIS,
    Manifest,
    read_bundle,
    read_manifest,
    write_manifest,
)
from core.difference import MOST_LEVELS
from core.errors import BundleError
from core.files import sha256
from core.golden import LARGEST_GOLDEN, Golden
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
    assert len(str(caught.value)) == len(f"{bundle / MANIFEST}: ") + 300


def test_an_error_that_quotes_lines_is_one_line(bundle):
    (bundle / MANIFEST).write_text(json.dumps({**json.loads((bundle / MANIFEST).read_text()), "two\nlines": 1}))
    with pytest.raises(BundleError, match="unexpected keyword argument 'two lines'"):
        read_manifest(bundle)


def test_a_folder_in_the_place_of_a_file(bundle):
    (bundle / GRAPH).unlink()
    (bundle / GRAPH).mkdir()
    with pytest.raises(BundleError, match=GRAPH):
        read_bundle(bundle)


def test_what_bundles_out_there_are_called_and_limited_to():
    assert (FORMAT_VERSION, MANIFEST, SUMS) == (1, "manifest.json", "SHA256SUMS")
    assert (GRAPH, MAPPING, SYNTHESIS) == ("generator.onnx", "mapping.onnx", "synthesis.onnx")
    assert (FP16, INT8) == ("generator.fp16.onnx", "generator.int8.onnx")
    assert (GOLDEN, CARD, SHEET) == ("golden.npz", "CARD.md", "sheet.png")
    assert (LARGEST_MANIFEST, LARGEST_GOLDEN, MOST_LEVELS) == (16_777_216, 1_610_612_736, 1)


def test_the_seal_is_the_hash_of_the_text_without_it(bundle):
    text = (bundle / MANIFEST).read_text()
    values = json.loads(text)
    bare = json.dumps({**values, "seal": ""}, indent=2) + "\n"
    assert values["seal"] == hashlib.sha256(bare.encode()).hexdigest()
    assert text == json.dumps(values, indent=2) + "\n"


def sealed(**changes) -> str:
    """A manifest with some fields changed and a seal that fits."""
    values = json.loads(Manifest(SPEC, {GRAPH: "0", GOLDEN: "1"}, 18).to_json())
    text = json.dumps({**values, **changes, "seal": ""})
    return text.replace('"seal": ""', f'"seal": "{hashlib.sha256(text.encode()).hexdigest()}"', 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": [GRAPH, GOLDEN]},
        {"files": {GRAPH: 0, GOLDEN: "1"}},
        {"tools": ["torch"]},
        {"tools": {"torch": 2}},
        {"verification": [1]},
        {"judged": [1]},
        {"judged": {"kid": [0.1]}},
        {"checkpoint_sha256": 1},
        {"seed_algorithm": None},
        {"opset": "18"},
        {"opset": None},
    ],
)
def test_a_sealed_manifest_of_wrong_types_is_refused(changes):
    with pytest.raises(BundleError, match="wrong type"):
        Manifest.from_json(sealed(**changes))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/etc/passwd", "outside"),
        ("../x", "outside"),
        ("a/../../x", "outside"),
        ("a\nb", "outside"),
        ("a\\b", "outside"),
        ("c:x", "outside"),
        ("a//b", "not a file of a bundle"),
        ("./a", "not a file of a bundle"),
        ("a/", "not a file of a bundle"),
        (".", "not a file of a bundle"),
        ("", "not a file of a bundle"),
        (MANIFEST, "not a file of a bundle"),
        (SUMS, "not a file of a bundle"),
        ("x" * 201, "not a file of a bundle"),
    ],
)
def test_a_sealed_manifest_names_only_files_inside(name, says):
    with pytest.raises(BundleError, match=says):
        Manifest.from_json(sealed(files={GRAPH: "0", GOLDEN: "1", name: "2"}))


@pytest.mark.parametrize(("files", "first"), [({GRAPH: "0"}, GOLDEN), ({GOLDEN: "1"}, GRAPH), ({}, GRAPH)])
def test_a_sealed_manifest_has_a_graph_and_golden_images(files, first):
    with pytest.raises(BundleError, match=f"does not list {first}"):
        Manifest.from_json(sealed(files=files))


def test_what_a_sealed_manifest_may_hold():
    judged = {"kid": 0.012, "images": 500, "data": "sprites", "deviation": None}
    manifest = Manifest.from_json(sealed(files={GRAPH: "0", GOLDEN: "1", "x" * 200: "2"}, judged=judged))
    assert manifest.judged == judged


def test_half_a_character_is_refused_like_any_other_text():
    text = Manifest(SPEC, {GRAPH: "0", GOLDEN: "1"}, 18, {"torch": "?"}).to_json()
    with pytest.raises(BundleError, match="changed"):
        Manifest.from_json(text.replace("?", "\ud800"))


def test_sums_are_in_the_order_of_names(bundle):
    (bundle / SHEET).write_bytes(b"sheet")
    write_manifest(bundle, spec=SPEC, opset=18)
    names = [line.split("  ")[1] for line in (bundle / SUMS).read_text().splitlines()]
    assert names == sorted([GRAPH, GOLDEN, "extra/notes.txt", SHEET, MANIFEST])


def test_a_manifest_may_be_as_large_as_the_limit(bundle, monkeypatch):
    size = (bundle / MANIFEST).stat().st_size
    monkeypatch.setattr("core.bundle.LARGEST_MANIFEST", size)
    read_bundle(bundle)
    monkeypatch.setattr("core.bundle.LARGEST_MANIFEST", size - 1)
    with pytest.raises(BundleError, match="no readable"):
        read_bundle(bundle)


def test_a_bundle_may_be_reached_by_a_link_but_hold_none(bundle, tmp_path_factory):
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(bundle)
    read_bundle(link)
    (bundle / GRAPH).rename(link.parent / "graph")
    (bundle / GRAPH).symlink_to(link.parent / "graph")
    for path in (bundle, link):
        with pytest.raises(BundleError, match=f"lacks {GRAPH}"):
            read_bundle(path)


def cached(bundle, root):
    """As Hugging Face's cache has it: snapshots of links into one folder, by hash."""
    blobs, snapshot = root / "blobs", root / "snapshots" / "abc"
    blobs.mkdir()
    for path in [path for path in bundle.rglob("*") if path.is_file()]:
        link = snapshot / path.relative_to(bundle)
        link.parent.mkdir(parents=True, exist_ok=True)
        (blobs / sha256(path)).write_bytes(path.read_bytes())
        link.symlink_to(os.path.relpath(blobs / sha256(path), link.parent))
    return snapshot


def test_a_bundle_of_links_into_a_cache_is_one(bundle, tmp_path_factory):
    snapshot = cached(bundle, tmp_path_factory.mktemp("models--us--sprites"))
    assert read_bundle(snapshot) == read_bundle(bundle)
    secret = snapshot.parents[1] / "secret"
    (snapshot / GRAPH).resolve().rename(secret)
    (snapshot / GRAPH).unlink()
    (snapshot / GRAPH).symlink_to(secret)  # right to the byte, and yet outside
    with pytest.raises(BundleError, match=f"lacks {GRAPH}"):
        read_bundle(snapshot)
