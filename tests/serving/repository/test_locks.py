"""Publishers, one at a time, and servers that wait for them: on NFS too, and where the repository may only be read."""

import errno
import fcntl
import importlib
import os
import sys
import types

import pytest

from serving.repository import locks as module
from serving.repository.locks import LOCK, exclusive, shared
from serving.repository.versions import list_models
from tests.serving.conftest import publish


@pytest.fixture
def as_on_nfs(monkeypatch):
    """flock(2): "In order to place an exclusive lock, fd must be open for writing", a shared one, for reading."""
    lock = fcntl.flock

    def strict(handle, how):
        opened = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE
        if how & fcntl.LOCK_EX and opened == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", strict)


def test_a_server_does_not_look_while_a_publisher_is_at_work(tmp_path, as_on_nfs):
    with exclusive(tmp_path), pytest.raises(BlockingIOError), shared(tmp_path):
        pass
    with shared(tmp_path), shared(tmp_path):  # two servers
        pass
    with exclusive(tmp_path):
        pass


def test_a_publisher_waits_for_a_server_that_loads(tmp_path):
    with shared(tmp_path), (tmp_path / LOCK).open("r+b") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_repository_that_may_only_be_read_is_looked_at_all_the_same(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(module.os, "open", refuse)
    with shared(tmp_path):
        pass
    with pytest.raises(OSError, match="Read-only"), shared(tmp_path / "gone"):
        pass


def test_the_lock_is_taken_for_no_model(bundle, tmp_path, as_on_nfs):
    publish(bundle, "tiny", tmp_path / "repository")
    assert [model.name for model in list_models(tmp_path / "repository")] == ["tiny"]
    assert sorted(path.name for path in (tmp_path / "repository").iterdir()) == [LOCK, "tiny"]


def test_whoever_reads_a_repository_with_a_lock_stops_no_publisher(bundle, tmp_path):
    publish(bundle, "tiny", tmp_path)
    readers = [os.open(path, os.O_RDONLY) for path in (tmp_path, tmp_path / "tiny", tmp_path / "tiny" / "1")]
    for reader in readers:
        fcntl.flock(reader, fcntl.LOCK_SH)
    publish(bundle, "tiny", tmp_path)
    for reader in readers:
        os.close(reader)
    assert list_models(tmp_path)[0].versions == (1, 2)


def test_instances_take_turns_on_nfs_too(tmp_path, monkeypatch, as_on_nfs):
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", types.ModuleType("triton_python_backend_utils"))
    backend = importlib.import_module("serving.in_triton.backends.onnxruntime.model")
    with backend.Turns(tmp_path / "lock"):
        pass
