import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.server import workspace
from serving.server.locate import find_triton
from serving.server.workspace import SHARED_MEMORY, clean_leftovers, make_workspace, remove_workspace


@pytest.fixture
def made():
    made = make_workspace(find_triton())
    yield made
    if made.root.exists():
        remove_workspace(made)


def test_leftovers_of_the_dead_are_deleted_and_those_of_the_living_are_not(made):
    ours = SHARED_MEMORY / f"{made.shm_prefix}region"
    left = [SHARED_MEMORY / f"ganfoundry-test-{os.getpid()}-{name}" for name in ("lock", "region")]
    for path in (ours, *left):
        path.touch()
    clean_leftovers()
    assert ours.exists()
    assert not any(path.exists() for path in left)
    remove_workspace(made)
    assert not ours.exists()
    assert not made.root.exists()


def test_the_guard_cleans_up_after_a_supervisor_that_was_killed(tmp_path):
    region = SHARED_MEMORY / f"ganfoundry-test-{os.getpid()}-region"
    region.touch()
    (tmp_path / "root").mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as sleeper:
        guard = [sys.executable, str(Path(workspace.__file__).with_name("reaper.py")), str(tmp_path / "root")]
        subprocess.run([*guard, str(region)[:-6]], input=f"0\n{sleeper.pid}\n", text=True, check=True, timeout=30)
        assert sleeper.wait(10) == -9
    assert not region.exists()
    assert not (tmp_path / "root").exists()
