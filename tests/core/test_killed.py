"""A directory that is replaced is the old one or the new one, wherever its maker is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

# Each child is killed before another line of the code that makes the directory, until one lives to its end: between two
# of them lies every call of the system that changes anything.
KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from core import files

place, how = Path(sys.argv[1]), sys.argv[2]
target = place / "made"
if how == "fallback":
    files.exchange = lambda one, other: False
WATCHED = tuple(f"{name}.py" for name in ("files", "exchange", "places", "shutil", "tempfile"))

def whole(path):
    return {name: (path / name).read_text() for name in os.listdir(path)} if path.exists() else None

def make(number):
    if how == "inside":
        os.chdir(target)  # it must stay
    with files.new_directory(target, replace=True) as new:
        (new / "one").write_text(str(number))
        (new / "two").write_text(str(number))

def killed(step, number):
    left = step
    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.endswith(WATCHED):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    child = os.fork()
    if child == 0:
        sys.settrace(trace)
        make(number)
        sys.settrace(None)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

def step_by_step():
    os.umask(0o022)
    target.mkdir()
    old = {}
    if how != "inside":
        make(0)
        old = whole(target)
    for step in range(1, 9999):
        new = {"one": str(step), "two": str(step)}
        alive = not killed(step, step)
        if how == "exchange":
            seen = whole(target)
            assert seen in (old, new), (step, seen)
        files.sweep_around(target)
        seen = whole(target)
        assert seen in (old, new), (step, seen)
        assert os.listdir(place) == ["made"], (step, os.listdir(place))
        if alive:
            assert seen == new
            print(step)
            return
        if how == "inside":
            for name in os.listdir(target):
                (target / name).unlink()
        else:
            old = seen

step_by_step()
"""


@pytest.mark.parametrize("how", ["exchange", "fallback", "inside"])
def test_whoever_is_killed_leaves_the_old_or_the_new(how: str, tmp_path: Path) -> None:
    """Where names cannot be exchanged, and in a folder that must stay, once the next one has swept."""
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, tmp_path, how]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
