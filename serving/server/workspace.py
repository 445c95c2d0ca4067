"""What the servers of one supervisor share: a private directory, names in shared memory, and a guard that cleans up.

Triton starts the stubs of its Python backend through a shell, with the paths of the model and of the stub in a line
that nobody quotes, and its stubs read paths as ASCII. So the directory has a plain path, and what a server sees of
everything else, the repository above all, is a link in it.
"""

import fcntl
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import ServingError
from serving.server.locate import LIBPYTHON, Triton, find_libpython, find_stub, server_in_wheel
from serving.server.shared_memory import PLACE as SHARED_MEMORY

_PREFIX = "ganfoundry-"
_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (instead of a TMPDIR in which no server can work)
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")  # what no shell takes for anything else
_BACKENDS = Path(__file__).parents[1] / "in_triton" / "backends"


@dataclass(frozen=True)
class Workspace:
    """What the servers of one supervisor share: a private directory for backends, libraries and log, the start of
    their names in shared memory, a lock on those, and the process that ends them should the supervisor be killed.
    """

    root: Path
    shm_prefix: str
    lock: int
    guard: "subprocess.Popen[str]"

    @property
    def log(self) -> Path:
        """What the server wrote to its standard output and error since its last start."""
        return self.root / "server.log"

    def link(self, name: str, to: Path) -> Path:
        """A link to ``to`` in the directory, under a path that a shell, too, takes for what it is."""
        link = self.root / name
        if not link.is_symlink():
            link.symlink_to(to.resolve())
        return link


def make_workspace(triton: Triton) -> Workspace:
    """A private temporary directory for servers; with the bundled one, the backends and libraries it needs.

    Raises ServingError where there is no place for one.
    """
    root = Path(tempfile.mkdtemp(prefix="ganfoundry-triton-", dir=find_place()))
    try:
        if triton.bundled:
            _assemble(root)
    except BaseException:
        shutil.rmtree(root)
        raise
    prefix = f"{_PREFIX}{secrets.token_hex(6)}-"
    return Workspace(root, prefix, _hold(SHARED_MEMORY / f"{prefix}lock"), _guard(root, prefix))


def fault_of_place(folder: Path) -> str:
    """Why a server cannot work in ``folder``; empty if it can."""
    if not _PLAIN.fullmatch(str(folder)):
        return f"{str(folder)!r} holds characters that a shell would read in its own way"
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is no folder that may be written"
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return f"{folder} is mounted noexec, so that no program starts there"
    return ""


def find_place() -> Path:
    """Where temporary files go, or another such place if a server cannot work there."""
    places = dict.fromkeys(map(Path, (tempfile.gettempdir(), *_PLACES)))
    faults = {place: fault_of_place(place) for place in places}
    for place, fault in faults.items():
        if not fault:
            return place
    raise ServingError(f"there is no place for a server to work in ({'; '.join(faults.values())}): set TMPDIR to one")


def remove_workspace(workspace: Workspace) -> None:
    """Delete the directory and what the servers left in shared memory. They must have ended."""
    os.close(workspace.lock)
    workspace.guard.communicate()  # it deletes both when its input closes


def note_group(workspace: Workspace, group: int) -> None:
    """Tell the guard which process group to end; 0 for none."""
    assert workspace.guard.stdin is not None
    with suppress(BrokenPipeError):  # someone killed it: we go on without
        print(group, file=workspace.guard.stdin, flush=True)


def clean_shared_memory(prefix: str, keep: str = "") -> None:
    """Delete the regions whose names start with ``prefix``, but for the one that goes on with ``keep``."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        if not keep or region.name != prefix + keep:
            region.unlink(missing_ok=True)


def clean_leftovers() -> None:
    """Delete what servers of ours left in shared memory when they were killed together with their supervisor.

    Each holds a lock for as long as any process of it lives, so this never touches one that runs.
    """
    for lock in SHARED_MEMORY.glob(f"{_PREFIX}*-lock"):
        try:
            handle = os.open(lock, os.O_RDWR)
        except OSError:
            continue  # gone meanwhile, or another user's

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clean_shared_memory(lock.name.removesuffix("lock"))
        except OSError:
            pass  # it runs
        finally:
            os.close(handle)


def _assemble(root: Path) -> None:
    """What the bundled server lacks: its backends in one place, ours among them, and a libpython for its stub."""
    wheel, python, ours = server_in_wheel(), root / "backends" / "python", root / "backends" / "onnxruntime"
    python.mkdir(parents=True)
    for file in (*(wheel / "backends" / "python").glob("*.*"), find_stub()):
        shutil.copy(file, python / file.name)  # Triton refuses links that lead out of the backend directory
    ours.mkdir()
    shutil.copyfile(_BACKENDS / "onnxruntime" / "model.py", ours / "model.py")
    (root / "lib").mkdir()
    (root / "lib" / LIBPYTHON).symlink_to(find_libpython())
    (root / "libs").symlink_to(wheel.parent.parent / "nvidia_pytriton.libs")


def _guard(root: Path, prefix: str) -> "subprocess.Popen[str]":
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))]
    return subprocess.Popen(  # noqa: S603 (a list, no shell)
        [*program, str(root), str(SHARED_MEMORY / prefix)], stdin=subprocess.PIPE, text=True, start_new_session=True
    )


def _hold(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle
