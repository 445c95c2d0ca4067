"""Pruning and removing: what was published goes, what anyone else put there stays, and a server goes on."""

import signal
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

import cli
from core.errors import GanfoundryError, ModelNotFound, RepositoryError
from serving import removing
from serving.client.sampler import Sampler
from serving.publishing import publish, rollback
from serving.repository.changes import withdraw
from serving.repository.locks import LOCK
from serving.repository.servable import check_servable
from serving.repository.versions import list_models
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.running import ROOT
from tests.serving.conftest import make_style_bundle


@pytest.fixture
def repository(bundle, tmp_path):
    """``tiny`` with its thin models in four versions, and ``styled`` with its parts in three."""
    place = tmp_path / "repository"
    for _ in range(4):
        publish(bundle, "tiny", place, trial=False)
    styled = make_style_bundle(tmp_path / "styled")
    for _ in range(3):
        publish(styled, "styled", place, thin=False, trial=False)
    return place


def versions(repository):
    return {model.name: model.versions for model in list_models(repository)}


def everything(repository):
    """All that is in it, but for the file that its servers and publishers lock."""
    found = {path.relative_to(repository): path.is_file() and path.read_bytes() for path in repository.rglob("*")}
    return {path: data for path, data in found.items() if path.name != LOCK}


def run(repository, *arguments):
    result = CliRunner().invoke(cli.app, ["models", "--repository", str(repository), *map(str, arguments)])
    if isinstance(result.exception, GanfoundryError):
        raise result.exception
    return result


def test_pruning_keeps_the_newest_of_every_model_and_of_what_belongs_to_it(repository):
    assert run(repository, "--prune", 2).exit_code == 0
    thin = dict.fromkeys(["tiny", *(f"tiny_{part}" for part in ("from_seed", "png"))], (3, 4))
    assert versions(repository) == thin | dict.fromkeys(["styled", "styled_mapping", "styled_synthesis"], (2, 3))
    check_servable(repository)
    assert rollback("tiny", repository, 3, trial=False).version == 5
    assert "nothing to delete" in run(repository, "--prune", 9).output


def test_pruning_one_leaves_the_others(repository):
    before = versions(repository)["tiny"]
    run(repository, "--prune", 2, "--only", "styled")
    assert (versions(repository)["tiny"], versions(repository)["styled"]) == (before, (2, 3))


def test_versions_that_were_set_aside_go_with_those_of_their_age(repository):
    withdraw("styled", 3, repository)
    publish(repository.parent / "styled", "styled", repository, thin=False, trial=False)
    assert (repository / "styled" / ".3.refused").is_dir()
    run(repository, "--prune", 2)
    assert versions(repository)["styled"] == (2, 4)
    assert (repository / "styled" / ".3.refused").is_dir()  # as new as what is kept
    publish(repository.parent / "styled", "styled", repository, thin=False, trial=False)
    run(repository, "--prune", 2)
    assert (versions(repository)["styled"], (repository / "styled" / ".3.refused").exists()) == ((4, 5), False)


def test_removing_takes_all_that_belongs_to_a_model_and_nothing_else(repository):
    said = run(repository, "--remove", "tiny").output
    assert said.count("deleted: ") == 3
    assert set(versions(repository)) == {"styled", "styled_mapping", "styled_synthesis"}
    check_servable(repository)
    assert publish(repository.parent / "styled", "tiny", repository, trial=False).version == 1
    run(repository, "--remove", "tiny", "--remove", "styled")
    assert everything(repository) == {}


def test_the_dry_run_deletes_nothing(repository):
    before = everything(repository)
    assert run(repository, "--prune", 2, "--dry-run").output.count("would delete: ") == 2 * 3 + 3
    assert run(repository, "--remove", "styled", "--dry-run").output.count("would delete: ") == 3
    assert everything(repository) == before
    assert run(repository, "--dry-run").exit_code == 2
    assert run(repository, "--prune", 2, "--remove", "tiny").exit_code == 2
    assert run(repository, "--prune", 1).exit_code == 2


@pytest.mark.parametrize(
    "place", ["1/notes.txt", "1/model.onnx", "1/__pycache__/mine.pyc", "1/SHA256SUMS", ".0.refused/x", "1/folder/x"]
)
def test_where_anything_else_lies_in_a_version_nothing_is_deleted(repository, place):
    path = repository / "tiny" / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = everything(repository)
    for arguments in (("--prune", 2), ("--remove", "tiny")):
        with pytest.raises(RepositoryError, match=r"is not what 'publish' wrote: .*nothing was deleted") as raised:
            run(repository, *arguments)
        assert "\n" not in str(raised.value)
        assert everything(repository) == before


@pytest.mark.parametrize("place", ["README.md", "configs/mine.pbtxt", "configs/notes", "plans/x", "configs/cpu.pbtxt"])
def test_where_anything_else_lies_in_a_model_it_is_not_removed(repository, place):
    path = repository / "tiny" / place
    path.parent.mkdir(exist_ok=True)
    path.write_text('name: "mine"')
    before = everything(repository)
    with pytest.raises(RepositoryError, match="is not what 'publish' wrote"):
        run(repository, "--remove", "tiny")
    assert everything(repository) == before
    run(repository, "--prune", 2)  # which leaves that where it is
    assert path.read_text() == 'name: "mine"'


def test_what_desktops_and_servers_leave_goes_along(repository):
    for place in (".DS_Store", "1/.DS_Store", "configs/Thumbs.db"):
        (repository / "tiny" / place).write_text("icons")
    cache = repository / "tiny_png" / "1" / "__pycache__"
    cache.mkdir()
    (cache / "model.cpython-311.pyc").touch()
    run(repository, "--remove", "tiny")
    assert "tiny" not in versions(repository)


def test_what_is_not_from_publish_is_no_model_to_remove(repository, tmp_path):
    theirs = repository / "theirs" / "1"
    theirs.mkdir(parents=True)
    (theirs.parent / "config.pbtxt").write_text(
        'name: "theirs" input { name: "x" dims: 1 } output { name: "y" dims: 1 }'
    )
    (repository / "link").symlink_to(repository / "styled")
    for name in ("theirs", "link", "tiny_png", "nothing", "../styled", "."):
        with pytest.raises(RepositoryError, match=r"has no model .* from 'publish'"):
            run(repository, "--remove", name)
    run(repository, "--prune", 2)
    assert theirs.is_dir()
    with pytest.raises(RepositoryError, match="has no models: add one"):
        run(tmp_path / "nowhere", "--prune", 2)


def test_whoever_is_killed_leaves_whole_versions_and_the_next_publisher_clears_up(repository, bundle):
    for after in (1, 3):
        killed = (
            "import os, pathlib, sys; from serving.removing import remove; moved = []; rename = pathlib.Path.rename\n"
            "def count(self, target):\n"
            "    moved.append(rename(self, target)); len(moved) == int(sys.argv[2]) and os.kill(os.getpid(), 9)\n"
            "pathlib.Path.rename = count; remove(['tiny'], pathlib.Path(sys.argv[1]))"
        )
        done = subprocess.run([sys.executable, "-c", killed, repository, str(after)], cwd=ROOT)
        assert done.returncode == -signal.SIGKILL
        left = versions(repository)
        assert sum(name.startswith("tiny") for name in left) == 3 - after
        check_servable(repository)
        if after < 3:
            assert len(removing.remove(["tiny"], repository)) == 3 - after
        publish(bundle, "tiny", repository, trial=False)
        assert [path for path in repository.parent.iterdir() if "publishing" in path.name] == []


def test_a_server_goes_on_while_versions_are_pruned_and_models_removed(bundle, tmp_path):
    repository = tmp_path / "repository"
    for name in ("tiny", "tiny", "tiny", "other"):
        publish(bundle, name, repository, thin=False, trial=False)
    events, images, stop = [], [], threading.Event()

    def load(url):
        with Sampler("tiny", url, batch=1) as sampler:
            while not stop.is_set():
                images.extend(sampler.sample(range(20)))

    with Supervisor(repository, free_ports(), on_event=events.append) as supervisor:
        thread = threading.Thread(target=load, args=(supervisor.url,))
        thread.start()
        try:
            run(repository, "--prune", 2)
            run(repository, "--remove", "other")
            wait_for(lambda: any(event.kind == "gone" for event in events))
            done = len(images)
            wait_for(lambda: len(images) > done)
            with pytest.raises(ModelNotFound, match="has no model 'other'"):
                Sampler("other", supervisor.url)
        finally:
            stop.set()
            thread.join()
    assert {event.kind for event in events} <= {"starting", "ready", "loaded", "gone", "stopped", "stopping"}, events


def wait_for(condition):
    ended = threading.Event()
    for _ in range(600):
        if condition():
            return
        ended.wait(0.05)
    pytest.fail("it did not happen")
