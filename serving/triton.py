"""Finding a tritonserver and starting it: the program, what its Python stub needs, its directories and command line."""

import errno
import fcntl
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import MissingDependency, ServingError

HOST = "127.0.0.1"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (where Linux keeps it; Triton's Python backend uses nothing else)
_PREFIX = "ganfoundry-"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBPYTHON = f"libpython{PYTHON}.so.1.0"
EXIT_TIMEOUT = 5  # seconds the server waits for requests in flight when it is asked to stop

# What the releases of nvidia-pytriton bundle; the program itself cannot be asked.
_BUNDLED_VERSIONS = {"0.7.0": "2.51.0"}


@dataclass(frozen=True)
class Ports:
    """Where a server listens, on loopback. ``grpc`` is the one our client uses."""

    grpc: int = 8001
    http: int = 8000
    metrics: int = 8002


@dataclass(frozen=True)
class Triton:
    """A tritonserver program. ``bundled`` means the one in the nvidia-pytriton wheel, which has no ONNX backend."""

    program: Path
    bundled: bool
    version: str


@dataclass(frozen=True)
class Workplace:
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


def find_triton(program: Path | None = None) -> Triton:
    """The tritonserver at ``program``, else on PATH, else the bundled one. Raises MissingDependency."""
    if program is not None:
        found = shutil.which(program)
        if found is None:
            raise MissingDependency(f"{program} is not a program: give --tritonserver the path of tritonserver itself")
        return _described(Path(found))
    if on_path := shutil.which("tritonserver"):
        return _described(Path(on_path))
    if (bundled := _wheel() / "bin" / "tritonserver").is_file():
        return _described(bundled)
    raise MissingDependency("there is no tritonserver on PATH or in this environment: pip install 'nvidia-pytriton'")


def find_stub() -> Path:
    """The bundled Python stub for the running Python. Raises MissingDependency if the wheel has none."""
    stub = _wheel() / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
    if not stub.is_file():
        raise MissingDependency(f"nvidia-pytriton brings no stub for Python {PYTHON}: use Python 3.11, 3.12 or 3.13")
    return stub


def find_libpython() -> Path:
    """The shared libpython the stub is linked against. Raises MissingDependency with the command that brings it."""
    for directory in _library_directories():
        if (library := directory / LIBPYTHON).is_file():
            return library
    raise MissingDependency(f"Triton's Python stub needs {LIBPYTHON}: apt-get install libpython{PYTHON}")


def make_workplace(triton: Triton) -> Workplace:
    """A private temporary directory for servers; with the bundled one, the backends and libraries it needs."""
    root = Path(tempfile.mkdtemp(prefix="ganfoundry-triton-"))
    try:
        if triton.bundled:
            _assemble(root)
    except BaseException:
        shutil.rmtree(root)
        raise
    prefix = f"{_PREFIX}{secrets.token_hex(6)}-"
    return Workplace(root, prefix, _hold(SHARED_MEMORY / f"{prefix}lock"), _guard(root, prefix))


def remove_workplace(workplace: Workplace) -> None:
    """Delete the directory and what the servers left in shared memory. They must have ended."""
    os.close(workplace.lock)
    workplace.guard.communicate()  # it deletes both when its input closes


def note_group(workplace: Workplace, group: int) -> None:
    """Tell the guard which process group to end; 0 for none."""
    assert workplace.guard.stdin is not None
    with suppress(BrokenPipeError):  # someone killed it: we go on without
        print(group, file=workplace.guard.stdin, flush=True)


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


def command(triton: Triton, repository: Path, ports: Ports, workplace: Workplace) -> list[str]:
    """The command line: loopback only, every model loaded at the start, nothing guessed about their configurations."""
    line = [
        str(triton.program),
        f"--model-repository={repository.resolve()}",
        "--disable-auto-complete-config",
        f"--exit-timeout-secs={EXIT_TIMEOUT}",
        f"--backend-config=python,shm-region-prefix-name={workplace.shm_prefix}",
        "--metrics-config=summary_latencies=true",  # since 2.33 (container 23.04)
        "--metrics-config=summary_quantiles=0.5:0.01,0.99:0.001",  # each with the error it may make
    ]
    for service in ("grpc", "http", "metrics"):
        line += [f"--{service}-address={HOST}", f"--{service}-port={getattr(ports, service)}"]
    if triton.bundled:
        line.append(f"--backend-directory={workplace.root / 'backends'}")
    return line


def environment(triton: Triton, workplace: Workplace) -> dict[str, str]:
    """The environment of the server and its stubs: ours, with the libraries and packages the bundled one needs."""
    values = dict(os.environ)
    if not triton.bundled:
        return values
    libraries = [str(workplace.root / "lib"), str(_wheel().parent.parent / "nvidia_pytriton.libs")]
    values["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, *filter(None, [values.get("LD_LIBRARY_PATH")])])
    # The stub ignores PYTHONPATH and PYTHONHOME: it takes the packages of the first python3 on PATH.
    values["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), values.get("PATH", os.defpath)])
    return values


def launch(triton: Triton, repository: Path, ports: Ports, workplace: Workplace) -> "subprocess.Popen[bytes]":
    """Start the server in a process group of its own, which is ended when we are."""
    with workplace.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (a list, no shell)
            command(triton, repository, ports, workplace),
            env=environment(triton, workplace),
            cwd=workplace.root,  # the stub imports from its current directory first
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(workplace.lock,),
        )
    note_group(workplace, process.pid)
    return process


def check_ports(ports: Ports) -> None:
    """Raise ServingError, naming the port and the flag, if one is taken or is none, or two are the same."""
    numbers = {"grpc": ports.grpc, "http": ports.http, "metrics": ports.metrics}
    if len(set(numbers.values())) < len(numbers):
        raise ServingError("the gRPC, HTTP and metrics ports must be three different ones")
    for service, number in numbers.items():
        if not 1 <= number <= 65535:
            raise ServingError(f"{number} is not a port: give --{service}-port a number from 1 to 65535")
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((HOST, number))
            except OSError as error:
                reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
                raise ServingError(
                    f"port {number} {reason}: choose another with --{service}-port, or stop what listens there"
                ) from None


def free_ports() -> Ports:
    """Three ports that nothing listens on at the moment."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()


def _assemble(root: Path) -> None:
    """What the bundled server lacks: its backends in one place, ours among them, and a libpython for its stub."""
    wheel, python, ours = _wheel(), root / "backends" / "python", root / "backends" / "onnxruntime"
    python.mkdir(parents=True)
    for file in (*(wheel / "backends" / "python").glob("*.*"), find_stub()):
        shutil.copy(file, python / file.name)  # Triton refuses links that lead out of the backend directory
    ours.mkdir()
    shutil.copyfile(Path(__file__).parent / "backends" / "onnxruntime" / "model.py", ours / "model.py")
    (root / "lib").mkdir()
    (root / "lib" / LIBPYTHON).symlink_to(find_libpython())


def _guard(root: Path, prefix: str) -> "subprocess.Popen[str]":
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))]
    return subprocess.Popen(  # noqa: S603 (a list, no shell)
        [*program, str(root), str(SHARED_MEMORY / prefix)], stdin=subprocess.PIPE, text=True, start_new_session=True
    )


def _hold(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _wheel() -> Path:
    """Where nvidia-pytriton keeps its server, whether it is there or not."""
    found = importlib.util.find_spec("pytriton")
    package = Path(found.origin).parent if found and found.origin else Path(sysconfig.get_path("purelib"), "pytriton")
    return package / "tritonserver"


def _described(program: Path) -> Triton:
    program = program.resolve()
    if program == (_wheel() / "bin" / "tritonserver").resolve():
        wheel = importlib.metadata.version("nvidia-pytriton")
        return Triton(program, True, _BUNDLED_VERSIONS.get(wheel, f"of nvidia-pytriton {wheel}"))
    try:
        version = program.parent.parent.joinpath("TRITON_VERSION").read_text().strip()
    except OSError:
        version = "unknown"
    return Triton(program, False, version)


def _library_directories() -> Iterable[Path]:
    """Where a libpython of this version may lie, the running Python's own first."""
    if libdir := sysconfig.get_config_var("LIBDIR"):
        yield Path(libdir)
    yield Path(sys.base_prefix, "lib")
    yield from _known_to_the_linker()
    for common in (
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/lib",
    ):
        yield Path(common)


def _known_to_the_linker() -> list[Path]:
    ldconfig = shutil.which("ldconfig") or shutil.which("/sbin/ldconfig")
    if ldconfig is None:
        return []
    listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return [Path(line.rpartition("=> ")[2]).parent for line in listing.splitlines() if LIBPYTHON in line]
