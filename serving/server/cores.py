"""How many cores this process may use: a container often sees all of a machine's, and is given a few."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "GANFOUNDRY_CORES"  # by which the backend in the bundled server, which knows nothing of ours, is told
_ROOT = Path("/")


def usable_cores() -> int:
    """Cores that this process may use, hyper-threads counted once, and no more than its cgroups pay for."""
    return max(math.ceil(min(_physical_cores(), quota())), 1)


def quota(root: Path = _ROOT) -> float:
    """Cores that the cgroups around this process pay for, by Linux' versions 1 and 2 of them; endless without a limit.

    Files are looked for below ``root``.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    return min((_paid(place) for line in lines for place in _places(root / "sys/fs/cgroup", line)), default=math.inf)


def _places(mounted: Path, line: str) -> Iterator[Path]:
    """The folders of one cgroup, as a line of /proc/self/cgroup has it, and of those around it.

    A container sees its own at the top, where the line may say otherwise.
    """
    _, controllers, path = line.split(":", 2)
    if controllers and "cpu" not in controllers.split(","):
        return
    top = mounted / controllers
    place = top / path.lstrip("/")
    while place != top and top in place.parents:
        yield place
        place = place.parent
    yield top


def _paid(place: Path) -> float:
    if (both := _text(place / "cpu.max")) is not None:  # version 2
        quota_us, period_us = both.split()
        return math.inf if quota_us == "max" else int(quota_us) / int(period_us)
    quota_us, period_us = _text(place / "cpu.cfs_quota_us") or "-1", _text(place / "cpu.cfs_period_us") or "100000"
    return math.inf if int(quota_us) < 0 else int(quota_us) / int(period_us)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _physical_cores() -> int:
    usable = os.sched_getaffinity(0)
    topology = (f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list" for cpu in usable)
    siblings = {_text(_ROOT / path) for path in topology}
    return len(usable) if None in siblings else len(siblings)
