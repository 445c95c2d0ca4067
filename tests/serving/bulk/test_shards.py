"""Shards as files: the same bytes for the same order, and nothing taken for finished that is not."""

import errno
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import RequestRefused, ServerUnavailable, ServingError
from core.files import sha256
from core.images import from_pillow
from core.latents import ALGORITHM
from serving.bulk.shards import (
    FORMAT_VERSION,
    MOST_SHARDS,
    BulkOrder,
    Manifest,
    State,
    check_folder,
    read_manifest,
    state_of,
    write_shard,
)
from serving.protocol.picture_texts import describe
from tests.serving.conftest import SPEC

ORDER = BulkOrder("tiny", "3", "ab" * 32, "0-9,20-22", shards=4, truncation=0.7, label=None, batch=16)
NAME = "tiny-v3-00001-of-00004"
SEEDS = [3, 4, 5]


def image_of(seed):
    return np.random.RandomState(seed).randint(0, 256, (8, 12, 4), np.uint8)


def samples(seeds=SEEDS, fails_at=None, error=ServerUnavailable):
    for seed in seeds:
        if seed == fails_at:
            raise error("gone")
        yield seed, image_of(seed)


@pytest.fixture
def out(tmp_path):
    """A folder with shard 1 of 4 in it."""
    write_shard(ORDER, 1, tmp_path / "out", SPEC, samples())
    return tmp_path / "out"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_shard_is_a_tar_in_the_webdataset_layout_that_depends_on_nothing_but_the_order(out):
    with tarfile.open(out / f"{NAME}.tar") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [f"{seed:010d}.png" for seed in SEEDS]
        for member, seed in zip(members, SEEDS, strict=True):
            assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
            assert (member.uname, member.gname, member.type) == ("", "", tarfile.REGTYPE)
            with Image.open(tar.extractfile(member)) as picture:
                assert (from_pillow(picture, 4) == image_of(seed)).all()
                assert picture.text["Seed"] == str(seed)
                assert set(picture.text) == {"Software", "Model", "Version", "Truncation", "Source", "Seed"}


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar here")
def test_other_programs_read_it(out):
    done = subprocess.run(["tar", "-tf", out / f"{NAME}.tar"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [f"{seed:010d}.png" for seed in SEEDS]


def test_the_manifest_says_what_came(out):
    manifest = json.loads((out / f"{NAME}.json").read_text())
    assert manifest["order"]["seeds"] == "0-9,20-22"
    assert (manifest["seeds"], manifest["count"], manifest["shard"]) == ("3-5", 3, 1)
    assert manifest["tar_bytes"] == (out / f"{NAME}.tar").stat().st_size
    assert manifest["tar_sha256"] == sha256(out / f"{NAME}.tar")
    assert manifest["generator"]["licence"] == "CC0-1.0"
    assert (manifest["generator"]["height"], manifest["generator"]["width"]) == (8, 12)
    assert re.fullmatch(r"ganfoundry [\d.]+, pillow [\d.]+", manifest["software"])


def test_the_manifest_by_hand(out):
    """Its bytes too: people compare folders with diff."""
    tar = (out / f"{NAME}.tar").read_bytes()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("ganfoundry", "pillow")]
    expected = {
        "count": 3,
        "format_version": 1,
        "generator": {
            "attribution": "",
            "channels": 4,
            "family": "tiny",
            "height": 8,
            "licence": "CC0-1.0",
            "seed_algorithm": ALGORITHM,
            "trained_on": "noise",
            "width": 12,
        },
        "order": {
            "batch": 16,
            "bundle_sha256": "ab" * 32,
            "label": None,
            "model": "tiny",
            "seeds": "0-9,20-22",
            "shards": 4,
            "truncation": 0.7,
            "version": "3",
        },
        "pixels_sha256": hashlib.sha256(b"".join(image_of(seed).tobytes() for seed in SEEDS)).hexdigest(),
        "seeds": "3-5",
        "shard": 1,
        "software": ", ".join(versions),
        "tar_bytes": len(tar),
        "tar_sha256": hashlib.sha256(tar).hexdigest(),
    }
    assert (out / f"{NAME}.json").read_text() == json.dumps(expected, indent=2) + "\n"


def test_names_that_are_not_plain_are_written_as_they_are():
    manifest = Manifest(replace(ORDER, label="Käfer"), 1, "0-3", 4, 99, "aa", "bb", {}, "ganfoundry")
    assert '"label": "Käfer"' in manifest.to_json()


def test_every_member_is_whole_blocks_and_two_empty_ones_end_the_tar(out):
    """By the format: a header of 512 bytes, then the data, filled up to a multiple of 512."""
    data = (out / f"{NAME}.tar").read_bytes()
    with tarfile.open(out / f"{NAME}.tar") as tar:
        sizes = [member.size for member in tar.getmembers()]
        assert tar.pax_headers == {}
        assert all(member.size % 512 for member in tar.getmembers())
    assert len(data) == sum(512 + size + -size % 512 for size in sizes) + 1024
    assert data[-1024:] == bytes(1024)
    assert data[257:265] == b"ustar\x0000"


def test_data_of_whole_blocks_is_not_filled_up(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.bulk.shards.encode_png", lambda image, text: bytes(1024))
    write_shard(ORDER, 1, tmp_path, SPEC, samples())
    assert (tmp_path / f"{NAME}.tar").stat().st_size == 3 * (512 + 1024) + 1024


def test_what_is_written_into_each_image(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr("serving.bulk.shards.encode_png", lambda image, text: told.append(text) or b"png")
    labelled = replace(ORDER, label="cat")
    write_shard(labelled, 1, tmp_path / "labelled", SPEC, samples())
    facts = describe(SPEC, "tiny", "3", 0.7, "cat")
    assert told == [{**facts, "Seed": str(seed)} for seed in SEEDS]


def test_shares_and_names_of_an_order():
    assert [list(ORDER.seeds_of(shard)) for shard in range(4)] == [
        [range(3)],
        [range(3, 6)],
        [range(6, 9)],
        [range(9, 10), range(20, 23)],
    ]
    assert ORDER.name(1) == NAME
    assert (MOST_SHARDS, FORMAT_VERSION) == (99_999, 1)
    assert replace(ORDER, shards=MOST_SHARDS).name(99_998) == "tiny-v3-99998-of-99999"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "3",
        "null",
        "{}",
        '{"format_version": 1}',
        '{"format_version": 1, "order": 3}',
        '{"format_version": 1, "order": {}}',
        '{"format_version": 1, "order": {"colour": 1}}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_what_is_no_whole_manifest(tmp_path, content):
    (tmp_path / "m.json").write_text(content)
    assert read_manifest(tmp_path / "m.json") is None
    assert read_manifest(tmp_path / "nowhere.json") is None


def test_a_manifest_that_is_not_utf_8_is_none(tmp_path):
    (tmp_path / "m.json").write_bytes(b'{"format_version": 1, "x": "\xff"}')
    assert read_manifest(tmp_path / "m.json") is None


def test_what_differs_is_said_in_forty_characters(out):
    other = replace(ORDER, label="x" * 40, bundle_sha256="y" * 41)
    with pytest.raises(RequestRefused) as refused:
        check_folder(other, out)
    ours = "ab" * 20 + "…"
    assert f"(bundle_sha256 {ours}, not {'y' * 40}…; label none, not {'x' * 40})" in str(refused.value)


def test_any_whole_manifest_of_the_folder_speaks_for_all(out):
    """Those before it that are damaged, and other files, do not."""
    (out / "a-v1-00000-of-00004.json").write_text("{")
    (out / "z-of-z.json").write_text('{"format_version": 2}')  # after one that is whole, so not looked at
    check_folder(ORDER, out)
    (out / "b-of-b.json").write_text('{"format_version": 2}')
    with pytest.raises(RequestRefused, match="another version"):
        check_folder(ORDER, out)


def test_a_folder_in_the_place_of_a_tar_is_damage(out):
    (out / f"{NAME}.tar").unlink()
    (out / f"{NAME}.tar").mkdir()
    assert state_of(ORDER, 1, out) == "damaged"
    assert list(map(str, State)) == ["absent", "damaged", "finished"]


def test_the_first_manifest_by_name_speaks_in_whatever_order_the_disk_lists_them(out, monkeypatch):
    (out / "z-of-z.json").write_text('{"format_version": 2}')
    listed = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: sorted(listed(self, pattern), reverse=True))
    check_folder(ORDER, out)


def test_images_may_lie_in_memory_in_any_order(out, tmp_path):
    turned = ((seed, np.asfortranarray(image)) for seed, image in samples())
    write_shard(ORDER, 1, tmp_path / "other", SPEC, turned)
    assert files(tmp_path / "other") == files(out)


text = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.builds(BulkOrder, text, text, text, text, st.integers(1), st.floats(-2, 2), st.none() | text, st.integers(1)))
def test_manifests_come_back_as_they_were(tmp_path_factory, order):
    manifest = Manifest(order, 1, "0-3", 4, 99, "aa", "bb", {"family": "dcgan"}, "ganfoundry")
    path = tmp_path_factory.getbasetemp() / "manifest.json"
    path.write_text(manifest.to_json(), encoding="utf-8")
    assert read_manifest(path) == manifest


def test_the_same_order_gives_the_same_bytes_in_another_folder(out, tmp_path):
    write_shard(ORDER, 1, tmp_path / "other", SPEC, samples())
    assert files(tmp_path / "other") == files(out)


def test_an_image_that_differs_in_one_value_is_seen(out, tmp_path):
    different = ((seed, image ^ np.uint8(seed == 4)) for seed, image in samples())
    write_shard(ORDER, 1, tmp_path / "other", SPEC, different)
    ours, theirs = (json.loads((folder / f"{NAME}.json").read_text()) for folder in (out, tmp_path / "other"))
    assert {key for key in ours if ours[key] != theirs[key]} >= {"pixels_sha256", "tar_sha256"}


def test_a_shard_is_finished_only_when_both_files_are_whole(out, tmp_path):
    assert state_of(ORDER, 0, out) is State.ABSENT
    assert state_of(ORDER, 1, out) is State.FINISHED
    whole = files(out)
    for name, data in whole.items():
        for cut in {*range(0, len(data), 97), len(data) - 2}:
            (out / name).write_bytes(data[:cut])
            assert state_of(ORDER, 1, out) is State.DAMAGED, (name, cut)
        (out / name).write_bytes(data)
    tar = bytearray(whole[f"{NAME}.tar"])
    tar[700] ^= 1
    (out / f"{NAME}.tar").write_bytes(tar)
    assert state_of(ORDER, 1, out) is State.DAMAGED
    (out / f"{NAME}.tar").unlink()
    assert state_of(ORDER, 1, out) is State.DAMAGED
    write_shard(ORDER, 1, out, SPEC, samples())
    assert files(out) == whole
    (out / f"{NAME}.json").unlink()
    assert state_of(ORDER, 1, out) is State.ABSENT, "a tar alone is a leftover"


def test_a_manifest_under_another_shards_name_is_not_its(out):
    for end in ("json", "tar"):
        (out / f"{NAME}.{end}").rename(out / f"tiny-v3-00002-of-00004.{end}")
    assert state_of(ORDER, 2, out) is State.DAMAGED


@pytest.mark.parametrize("error", [ServerUnavailable, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_writing_leaves_what_was_there(out, error):
    before = files(out)
    for shard, seeds in ((1, SEEDS), (2, [6, 7, 8, 9])):
        for at in seeds:
            with pytest.raises(error):
                write_shard(ORDER, shard, out, SPEC, samples(seeds, at, error))
            assert files(out) == before


@pytest.mark.parametrize("end", ["tar", "json"])
def test_what_is_somebody_elses_is_not_replaced(tmp_path, end):
    theirs = tmp_path / f"{NAME}.{end}"
    for kept in (b"notes", b"0000000003.png of mine" + bytes(9000), b'{"count": 3}'):
        theirs.write_bytes(kept)
        with pytest.raises(RequestRefused, match=rf"{end} is there, and Ganfoundry did not make it"):
            write_shard(ORDER, 1, tmp_path, SPEC, never())
        assert files(tmp_path) == {theirs.name: kept}


def never():
    pytest.fail("an image was asked for")
    yield


def test_what_a_killed_writer_left_is_swept_by_the_next(out):
    (out / f".{NAME}.tar.abcd1234.tmp").write_bytes(b"half")
    (out / f".{NAME}.json.abcd1234.tmp").write_bytes(b"half")
    write_shard(ORDER, 1, out, SPEC, samples())
    assert set(files(out)) == {f"{NAME}.tar", f"{NAME}.json"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bundle_sha256": "cd" * 32}, "bundle_sha256 abab"),
        ({"version": "4"}, "version 3, not 4"),
        ({"seeds": "0-9,20-23"}, "seeds 0-9,20-22, not 0-9,20-23"),
        ({"shards": 5}, "shards 4, not 5"),
        ({"truncation": 0.70001}, "truncation 0.7, not 0.70001"),
        ({"label": "cat"}, "label none, not cat"),
        ({"batch": 8}, "batch 16, not 8"),
        ({"model": "other", "batch": 8}, "model tiny, not other; batch 16, not 8"),
    ],
)
def test_a_folder_holds_one_order(out, change, said):
    before, other = files(out), replace(ORDER, **change)
    with pytest.raises(RequestRefused, match=rf"{NAME}\.json is of another order \({said}.*choose another --out"):
        check_folder(other, out)
    with pytest.raises(RequestRefused, match="choose another --out"):
        write_shard(other, 0, out, SPEC, samples([0, 1, 2]))
    if other.name(1) == NAME:
        with pytest.raises(RequestRefused, match="choose another --out"):
            state_of(other, 1, out)
    assert files(out) == before


def test_a_manifest_of_a_later_format_is_not_taken_for_damage(out):
    path = out / f"{NAME}.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(RequestRefused, match="another version of Ganfoundry"):
        state_of(ORDER, 1, out)


def test_files_of_others_are_left_alone(out):
    for name, content in (("a-of-b.json", "[1]"), ("c-of-d.json", "\x00"), ("notes.txt", "x")):
        (out / name).write_text(content)
    check_folder(ORDER, out)
    check_folder(ORDER, out / "nowhere")
    with pytest.raises(RequestRefused):
        check_folder(replace(ORDER, batch=1), out)


def test_a_disk_that_is_full_is_said_in_a_line_and_keeps_what_is_finished(out, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = files(out)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ServingError, match=f"no room for {out}: make room .* what is complete is kept"):
        write_shard(ORDER, 0, out, SPEC, samples([0, 1, 2]))
    assert files(out) == before
