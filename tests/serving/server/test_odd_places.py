"""Folders whose names a shell, or an ASCII reader, takes for something else; places in which no server can work."""

import os
import tempfile
from pathlib import Path

import pytest

from core.errors import RepositoryError, ServingError
from serving import publishing
from serving.server import workspace
from serving.server.launch import free_ports
from serving.server.locate import find_triton
from serving.server.log_errors import Log
from serving.server.supervisor import Supervisor
from serving.server.workspace import fault_of_place, make_workspace, remove_workspace

NAMES = ["q$(cd;id>pwned)", "`id>pwned`", "a b", "c&d", "e;f", "g'h", 'i"j', "k(1)", "répo", "日本", "x|y", "*", "#a",
         "~", "new\nline", "!b", "{c}", "<d", "-v", "a\\b", "%s", "$HOME", "[e]", os.fsdecode(b"r\xe9po")]  # fmt: skip


@pytest.fixture
def odd(tmp_path):
    """A folder inside one of each such name."""
    odd = tmp_path.joinpath(*NAMES)
    odd.mkdir(parents=True)
    return odd


def test_what_is_published_and_served_may_lie_anywhere(odd, tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    monkeypatch.chdir(odd)
    publishing.publish(bundle, "tiny", odd / "repository", thin=False)
    events = []
    with Supervisor(Path("repository"), free_ports(), on_event=events.append) as supervisor:
        assert supervisor.server.models
    assert [event.kind for event in events] == ["starting", "ready", "stopped"]
    assert not list(tmp_path.rglob("pwned"))


STILLBORN = """
import os
print("no such luck", flush=True)
os._exit(3)
"""


def test_a_stub_that_dies_at_once_is_said_with_its_own_last_words(make_repository, bundle, monkeypatch):
    assemble = workspace._assemble

    def spoilt(root):
        assemble(root)
        (root / "backends" / "onnxruntime" / "model.py").write_text(STILLBORN)

    monkeypatch.setattr(workspace, "_assemble", spoilt)
    repository = make_repository()
    said = "a model's process died as soon as it started: no such luck"
    with pytest.raises(ServingError, match=f"the server did not start: {said}"):
        Supervisor(repository, free_ports()).run()
    with pytest.raises(RepositoryError, match=said):
        publishing.publish(bundle, "other", repository, thin=False)


def test_a_server_works_where_it_can(odd, tmp_path, monkeypatch):
    triton, real = find_triton(), os.statvfs
    flags = {}
    monkeypatch.setattr(
        workspace.os, "statvfs", lambda path: os.statvfs_result(
            (*real(path)[:8], flags.get(str(path), 0), *real(path)[9:])
        )
    )  # fmt: skip
    monkeypatch.setattr(workspace, "_PLACES", (str(tmp_path / "second"),))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "first"))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    assert made_in(triton) == "first"
    flags[str(tmp_path / "first")] = os.ST_NOEXEC
    assert made_in(triton) == "second"
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    assert made_in(triton) == "second"
    (tmp_path / "second").rmdir()
    with pytest.raises(
        ServingError, match=r"no place for a server to work in \(.*shell.*; .*no folder .*\): set TMPDIR"
    ):
        make_workspace(triton)


def made_in(triton):
    made = make_workspace(triton)
    remove_workspace(made)
    return made.root.parent.name


def test_why_a_place_is_none(tmp_path):
    assert fault_of_place(tmp_path) == ""
    assert "a shell would read" in fault_of_place(tmp_path / "a b")
    assert "may be written" in fault_of_place(tmp_path / "nowhere")


def test_the_stub_s_words_are_said_whoever_notices_first(tmp_path):
    """Triton may say that a stub is not healthy before anyone looked whether its process lives."""
    (tmp_path / "log").write_text(
        'I1128 09:40:52.294288 40 python_be.cc:2249] "TRITONBACKEND_ModelInstanceInitialize: other_0_0"\n'
        "no such luck\n"
        "E1128 09:40:54.7 40 model_lifecycle.cc:642] \"failed to load 'other' version 1: Internal: Stub process "
        "'other_0_0' is not healthy.\"\n",
        encoding="utf-8",
    )
    log = Log(tmp_path / "log", tmp_path / "repository", tmp_path / "link")
    assert log.reason() == "a model's process died as soon as it started: no such luck"
