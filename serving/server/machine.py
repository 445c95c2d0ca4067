"""What a server needs of this machine beside programs and packages, as rows of ``doctor``'s table."""

import resource
import tempfile
from pathlib import Path

from core.doctor import Check
from core.errors import ServingError
from serving.protocol import proxies
from serving.server import shared_memory
from serving.server.processes import LEAST_FILES
from serving.server.workspace import fault_of_place, find_place

_SHARED_MIB = 256  # enough for most generators; `serve` counts what a repository takes


def checks() -> list[Check]:
    """Shared memory, a place to work in, open files, proxies. Never raises."""
    return [_shared_memory(), _place(), _open_files(), _proxies()]


def _shared_memory() -> Check:
    try:
        there = shared_memory.free()
    except ServingError as error:
        return Check("shared memory", False, str(error), "docker run --shm-size 1g")
    enough = there >= _SHARED_MIB
    return Check("shared memory", enough, f"{there:,} MiB free in {shared_memory.PLACE}", "docker run --shm-size 1g")


def _place() -> Check:
    """Where a server would work, and why it does not where temporary files go."""
    wanted = Path(tempfile.gettempdir())
    fault, mend = fault_of_place(wanted), "set TMPDIR to a folder from which programs start, with a plain name"
    try:
        place = find_place()
    except ServingError as error:
        return Check("place to work in", False, str(error), mend)
    return Check("place to work in", True, f"{place}, for {fault}" if fault else str(place))


def _open_files() -> Check:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = most == resource.RLIM_INFINITY
    found = "any number" if unlimited else f"at most {most:,} in a process"
    return Check("open files", unlimited or most >= LEAST_FILES, found, f"raise 'ulimit -Hn' to {LEAST_FILES} or more")


def _proxies() -> Check:
    """Proxies that programs other than ours would ask for a server on this machine."""
    named = proxies.named()
    fine = not named or proxies.spared({"localhost", "127.0.0.1"})
    mend = "export no_proxy=localhost,127.0.0.1, or give curl --noproxy '*'"
    return Check("proxies", fine, f"{', '.join(named)}, for loopback too" if not fine else "none in the way", mend)
