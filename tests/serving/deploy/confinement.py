"""A container without Docker: namespaces, a read-only root of its own, a user without rights, the limits of a cgroup.

unshare … python confinement.py SPEC.json        runs the program that the specification names
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")
UNPRIVILEGED = (
    *("/usr/bin/setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"),
    *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
)
CGROUPS = Path("/sys/fs/cgroup")
UP, SET_FLAGS = 1, 0x8914  # IFF_UP, SIOCSIFFLAGS
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


@dataclass(frozen=True)
class Container:
    """``binds`` are read-only, by where they are seen; ``tmpfs`` the options of what can be written to."""

    command: list[str]
    binds: dict[str, str]
    tmpfs: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    cores: float = 1
    memory: int = 1 << 30
    processes: int = 1024


def why_not() -> str | None:
    """Why there can be no container here, or None."""
    needed = ("unshare", "nsenter", "setpriv", "mount")
    if missing := [name for name in needed if shutil.which(name) is None]:
        return f"{missing[0]} is not installed (apt-get install util-linux)"
    if Path("/tmp") in Path(sys.executable).absolute().parents:
        return "Python lies in /tmp, and a container has a /tmp of its own: clone elsewhere"
    if os.geteuid() != 0:
        return "a container of namespaces and cgroups takes root"
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], capture_output=True, check=False)
    if tried.returncode:
        return "this machine allows no namespaces"
    try:
        with cgroup(1, 1 << 30, 64):
            return None
    except OSError:
        return "this machine allows no cgroups"


@contextlib.contextmanager
def cgroup(cores: float, memory: int, processes: int) -> Iterator[list[Path]]:
    """The folders of a cgroup with these limits: one, or in the first version one for each controller."""
    unified = (CGROUPS / "cgroup.controllers").exists()
    quota = int(cores * 100_000)
    limits = {
        "cpu": ("cpu.max", f"{quota} 100000") if unified else ("cpu.cfs_quota_us", str(quota)),
        "memory": ("memory.max" if unified else "memory.limit_in_bytes", str(memory)),
        "pids": ("pids.max", str(processes)),
    }
    name = f"ganfoundry-test-{os.getpid()}-{time.monotonic_ns()}"
    places = {kind: CGROUPS / name if unified else CGROUPS / kind / name for kind in limits}
    try:
        for place in set(places.values()):
            place.mkdir()
        for kind, (file, value) in limits.items():
            (places[kind] / file).write_text(value)
        yield list(dict.fromkeys(places.values()))
    finally:
        for place in set(places.values()):
            with contextlib.suppress(OSError):
                place.rmdir()


@dataclass(frozen=True)
class Inside:
    """A running container: the first process in it, and the folders of its cgroup."""

    starter: "subprocess.Popen[bytes]"
    cgroups: list[Path]
    log: Path

    @property
    def pid(self) -> int:
        """What the command became: the child of the first process, which is the child of the starter."""
        for _ in range(200):
            if (first := child_of(self.starter.pid)) and (program := child_of(first)):
                return program
            assert self.starter.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    @property
    def root(self) -> Path:
        """Its files, as they are seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it, with no more rights than it has."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--ipc", "--root", "--wd"]
        join = "".join(f"echo 0 > {place}/cgroup.procs && " for place in self.cgroups)
        line = ["/bin/sh", "-c", f'{join}exec "$@"', "sh", *enter, *UNPRIVILEGED, *command]
        env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", **environment}
        return subprocess.run(line, env=env, capture_output=True, text=True, timeout=120, check=False)

    def status(self, name: str) -> list[str]:
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(line.split()[1:] for line in lines if line.startswith(f"{name}:"))

    def processes(self) -> int:
        """Threads of everything in it."""
        (folder,) = [each for each in self.cgroups if (each / "pids.current").exists()]
        return int((folder / "pids.current").read_text())

    def wait_until(self, probe: list[str], seconds: float = 120) -> None:
        limit = time.monotonic() + seconds
        while self.run(*probe).returncode:
            assert self.starter.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            time.sleep(0.2)


@contextlib.contextmanager
def start(container: Container, work: Path) -> Iterator[Inside]:
    """Run it; whatever is left of it at the end is killed."""
    log = work / "container.log"
    (work / "root").mkdir(parents=True, exist_ok=True)
    with cgroup(container.cores, container.memory, container.processes) as cgroups, log.open("wb") as output:
        spec = work / "container.json"
        spec.write_text(
            json.dumps({**asdict(container), "root": str(work / "root"), "cgroups": list(map(str, cgroups))})
        )
        line = ["unshare", *NAMESPACES, "--fork", "--kill-child", sys.executable, "-I", __file__, str(spec)]
        starter = subprocess.Popen(line, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            yield Inside(starter, cgroups, log)
        finally:
            starter.kill()  # and with it the first process of the namespace, and with that the kernel ends all others
            starter.wait()
            while any((place / "cgroup.procs").read_text() for place in cgroups):
                time.sleep(0.05)


def child_of(pid: int) -> int:
    """A child of a process; 0 while there is none."""
    try:
        return int((Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split() or [0])[0])
    except FileNotFoundError:
        return 0


def confine(spec: dict) -> None:
    """Shut this process in, run the command, and end as it does.

    The first process of the namespace stays root's: one that gives up its rights does not end with its parent.
    """
    for place in spec["cgroups"]:
        (Path(place) / "cgroup.procs").write_text("0")  # this process
    root = Path(spec["root"])
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", root)
    furnish(root, spec)
    mount("-o", "remount,ro", root)
    raise_loopback()
    os.chroot(root)
    os.chdir("/")
    program = subprocess.Popen([*UNPRIVILEGED, *spec["command"]], env=spec["environment"])
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    sys.exit(abs(program.wait()))


def furnish(root: Path, spec: dict) -> None:
    """The system's folders and those of the specification, read-only, and what can be written to."""
    for name in ("bin", "sbin", "lib", "lib64", "usr", "etc"):
        source = Path("/", name)
        if source.is_symlink():
            (root / name).symlink_to(source.readlink())
        elif source.exists():
            bind(source, root / name)
    for device in DEVICES:
        bind(Path(device), root / device[1:], "rw")
    for seen, source in sorted({**spec["binds"], str(CGROUPS): str(CGROUPS)}.items()):
        bind(Path(source), root / seen[1:])
    (root / "proc").mkdir()
    mount("-t", "proc", "proc", root / "proc")
    for seen, options in spec["tmpfs"].items():
        (root / seen[1:]).mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "-o", options, "tmpfs", root / seen[1:])


def bind(source: Path, target: Path, how: str = "ro") -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount("--rbind" if source == CGROUPS else "--bind", source, target)
    mount("-o", f"remount,bind,{how},nosuid", target)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", UP))


if __name__ == "__main__":
    confine(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
