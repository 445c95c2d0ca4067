"""What is to be known of processes that may vanish at any moment."""

import os
import resource
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from core.errors import ServingError

_STUB = "triton_python_backend_stub"
DEAD = (psutil.STATUS_DEAD, psutil.STATUS_ZOMBIE)


FILES = 4096  # that a server, its stubs and what stands before it may each open, where the system allows so many
LEAST_FILES = 256  # 71 for a generator with its models for thin clients, measured; clients come on top


def raise_file_limit() -> None:
    """Let this process, and those that it starts, open ``FILES`` files, as far as it may say so itself.

    Raises ServingError where that is too few.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if wanted < LEAST_FILES:
        raise ServingError(
            f"a process may open {most} files here, and a server needs {LEAST_FILES}: raise 'ulimit -Hn'"
        )
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def state_of(process: psutil.Process) -> str:
    """The state of a process in psutil's words; dead if it is gone."""
    try:
        return str(process.status()) if process.is_running() else psutil.STATUS_DEAD
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)


def could_run(process: psutil.Process) -> bool:
    """Whether a thread of the process runs, or would if the processors were not busy with something else."""
    for stat in Path(f"/proc/{process.pid}/task").glob("*/stat"):
        with suppress(OSError):  # the thread has ended meanwhile
            if stat.read_text().rpartition(")")[2].split()[0] == "R":  # after the name, which may hold anything
                return True
    return False


def processor_seconds(process: psutil.Process) -> float:
    """Processor time that the process has used, in seconds; 0 if it is gone."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def stubs_among(processes: Iterable[psutil.Process]) -> dict[psutil.Process, tuple[str, str]]:
    """Those of them that are stubs of Triton's Python backend, and which version of which model each runs."""
    return {process: served_by(process) for process in processes if name_of(process).startswith(_STUB[:15])}


def served_by(stub: psutil.Process) -> tuple[str, str]:
    """The model and the version that a stub runs: its first argument is a file of theirs."""
    try:
        version = Path(stub.cmdline()[1]).parent
    except (psutil.NoSuchProcess, IndexError):  # it has ended
        return "", ""
    return version.parent.name, version.name


def name_of(process: psutil.Process) -> str:
    """The name of a process; empty if it is gone."""
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def listening(process: psutil.Process) -> set[int]:
    """The TCP ports a process listens on; none if it is gone."""
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return set()
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


def wait_for(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Wait until none of them runs. A zombie does not: whoever inherited it may take its time to notice."""
    limit = time.monotonic() + seconds
    while any(state_of(process) not in DEAD for process in processes) and time.monotonic() < limit:
        time.sleep(0.01)


def kill_group(group: int) -> None:
    """Kill every process of a group, if there is one."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
