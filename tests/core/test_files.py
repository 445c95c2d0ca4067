"""Files and directories that appear whole or not at all."""

import hashlib
import os
from pathlib import Path

import pytest

from core.files import new_directory, sha256, write_atomic


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file.txt"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_refused_write_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as error:
        write_atomic(tmp_path / "folder", "x")
    assert error.value.filename == str(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_directory_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with new_directory(target) as temporary:
        (temporary / "inside").write_text("x")
        assert not target.exists()
    assert (target / "inside").read_text() == "x"
    assert os.listdir(tmp_path) == ["made"]


def test_a_directory_whose_making_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_directory(tmp_path / "made") as temporary:
            (temporary / "inside").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == []


def test_an_existing_directory_is_replaced_only_when_asked(tmp_path: Path) -> None:
    target = tmp_path / "made"
    target.mkdir()
    (target / "old").write_text("x")
    with pytest.raises(FileExistsError), new_directory(target):
        pass
    assert os.listdir(target) == ["old"]
    with new_directory(target, replace=True) as temporary:
        (temporary / "new").write_text("x")
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["made"]


def test_the_working_directory_can_be_replaced_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    monkeypatch.chdir(tmp_path / "made")
    with new_directory(Path(), replace=True) as temporary:
        (temporary / "new").write_text("x")
    assert os.listdir(tmp_path) == ["made"]
    assert os.listdir(tmp_path / "made") == ["new"]


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 1000)
    assert sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 1000).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
