"""Files and directories that appear whole or not at all."""

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from core.files import new_directory, new_file, sha256, sweep, write_atomic

ROOT = Path(__file__).parent.parent.parent


def open_below(folder: Path) -> list[Path]:
    """The files in ``folder`` that this process holds open: what else it does meanwhile is nobody's business."""
    found = []
    for handle in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # of the listing itself
            found.append(Path(f"/proc/self/fd/{handle}").readlink())
    return [path for path in found if folder in path.parents]


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


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with new_file(path) as first:
        first.write(b"first")
        with new_file(path) as second:
            second.write(b"sec")
            sweep(path)
            second.write(b"ond")
        assert path.read_bytes() == b"second"
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_whose_writing_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", "old")
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "file") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[1].tar"
    code = (
        "import os, pathlib, sys; from core.files import new_file\n"
        "with new_file(pathlib.Path(sys.argv[1])) as file: file.write(bytes(9999)); file.flush(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], cwd=ROOT).returncode == 9
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".a[1].tar.")
    for other in (".a1.tar.x.tmp", ".a[1].tar", "a[1].tar.x.tmp", ".a[1].json.x.tmp"):
        (tmp_path / other).touch()
    sweep(path)
    assert sorted(os.listdir(tmp_path)) == sorted([".a1.tar.x.tmp", ".a[1].tar", "a[1].tar.x.tmp", ".a[1].json.x.tmp"])


def test_a_file_that_is_swept_before_it_is_locked_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, path = fcntl.flock, tmp_path / "file"

    def swept_first(handle: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        sweep(path)
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", swept_first)
    write_atomic(path, "whole")
    assert not open_below(tmp_path)
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["file"]


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


def test_what_is_not_marked_as_ours_is_not_swept(tmp_path: Path) -> None:
    for name, file in ((".made.abcdefgh.tmp", "mine"), (".made.12345678.tmp", ".ganfoundry"), (".made.old", "mine")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("mine")
    (tmp_path / ".made.87654321.tmp").mkdir()
    (tmp_path / ".made.87654321.tmp" / ".ganfoundry").touch()
    (tmp_path / ".made.87654321.tmp" / "new").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with new_directory(tmp_path / "made"):
        pass
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "made"])


def test_what_another_is_making_is_not_swept(tmp_path: Path) -> None:
    with new_directory(tmp_path / "made") as first:
        (first / "one").write_text("x")
        with new_directory(tmp_path / "made") as second:
            (second / "two").write_text("x")
        (tmp_path / "made" / "two").unlink()
    assert os.listdir(tmp_path / "made") == ["one"]
    assert os.listdir(tmp_path) == ["made"]


def test_an_empty_folder_becomes_the_directory_and_keeps_what_a_desktop_left(tmp_path: Path) -> None:
    target = tmp_path / "made"
    target.mkdir(0o750)
    (target / ".DS_Store").write_text("where icons are")
    with new_directory(target) as new:
        (new / "inside").touch()
    assert sorted(os.listdir(target)) == [".DS_Store", "inside"]
    assert (target / ".DS_Store").read_text() == "where icons are"
    assert target.stat().st_mode & 0o777 == 0o750


def test_a_folder_that_someone_stands_in_is_filled_and_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    with new_directory(Path()) as new:
        (new / "inside").touch()
    assert os.listdir() == ["inside"]
    assert tmp_path.stat().st_ino == before
    with pytest.raises(RuntimeError), new_directory(tmp_path / "other"):
        raise RuntimeError
    assert os.listdir() == ["inside"]


def test_a_link_to_an_empty_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with new_directory(tmp_path / "link") as new:
        (new / "inside").touch()
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "real") == ["inside"]


@pytest.mark.parametrize("can", [True, False])
def test_a_file_is_never_replaced_by_a_directory(tmp_path: Path, can: bool) -> None:
    (tmp_path / "made").write_text("mine")
    with pytest.raises(FileExistsError), new_directory(tmp_path / "made", replace=can):
        pass
    assert (tmp_path / "made").read_text() == "mine"


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 1000)
    assert sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 1000).hexdigest()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """What is flushed and what is renamed, in order: the verb, the name, and how large it was on the disk."""
    seen: list[tuple[str, str, int]] = []

    def note(verb: str, path: Path) -> None:
        seen.append((verb, path.name, path.stat().st_size if path.is_file() else 0))

    def fsync(file: int | BinaryIO) -> None:
        handle = file if isinstance(file, int) else file.fileno()
        note("flush", Path(f"/proc/self/fd/{handle}").readlink())

    rename = Path.rename

    def renamed(path: Path, target: Path) -> None:
        rename(path, target)
        note("rename", target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(Path, "replace", renamed)
    return seen


def test_a_file_is_flushed_whole_before_it_is_named_and_its_name_afterwards(
    tmp_path: Path, events: list[tuple[str, str, int]]
) -> None:
    path = tmp_path / "deep" / "er" / "file"
    with new_file(path) as file:
        file.write(b"12345")
        (hidden,) = os.listdir(path.parent)
        assert hidden.startswith(".file.")
        assert hidden.endswith(".tmp")
    assert events == [("flush", hidden, 5), ("rename", "file", 5), ("flush", "er", 0)]
    assert not open_below(tmp_path)


def test_a_directory_is_flushed_with_all_that_is_in_it(tmp_path: Path, events: list[tuple[str, str, int]]) -> None:
    path = tmp_path / "deep" / "er" / "made"
    with new_directory(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "file").write_bytes(b"123")
        hidden = temporary.parent.name
        assert temporary.parent.parent == path.parent
        assert hidden.startswith(".made.")
        assert hidden.endswith(".tmp")
    assert sorted(events[:3]) == sorted([("flush", "sub", 0), ("flush", "file", 3), ("flush", temporary.name, 0)])
    assert events[3:] == [("rename", "made", 0), ("flush", "er", 0)]
    assert path.stat().st_mode & 0o777 == 0o777 & ~_umask()


def test_the_umask_is_kept(tmp_path: Path) -> None:
    ours = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "x")
        with new_directory(tmp_path / "made"):
            pass
        assert _umask() == 0o027
    finally:
        os.umask(ours)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o750


def test_a_file_system_without_locks_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    write_atomic(tmp_path / "file", "x")
    assert os.listdir(tmp_path) == ["file"]


def test_what_went_wrong_is_said_though_the_unfinished_has_gone_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_file(tmp_path / "file"):
        next(tmp_path.iterdir()).unlink()
        raise KeyError
    with pytest.raises(KeyError), new_directory(tmp_path / "made") as temporary:
        temporary.rmdir()
        raise KeyError


def test_a_file_in_the_place_of_a_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("a file")
    with pytest.raises(FileExistsError), new_directory(tmp_path / "made", replace=True):
        pass
    assert (tmp_path / "made").read_text() == "a file"
    assert os.listdir(tmp_path) == ["made"]


def test_what_was_replaced_may_resist_being_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("busy")

    (tmp_path / "made").mkdir()
    with new_directory(tmp_path / "made", replace=True) as temporary:
        (temporary / "new").touch()
        monkeypatch.setattr(os, "rmdir", refuse)
    monkeypatch.undo()
    assert os.listdir(tmp_path / "made") == ["new"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
