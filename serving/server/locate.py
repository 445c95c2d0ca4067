"""Finding a tritonserver, and what the one in the nvidia-pytriton wheel needs beside it."""

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import MissingDependency

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBPYTHON = f"libpython{PYTHON}.so.1.0"

# What the releases of nvidia-pytriton bundle; the program itself cannot be asked.
_BUNDLED_VERSIONS = {"0.7.0": "2.51.0"}


@dataclass(frozen=True)
class Triton:
    """A tritonserver program. ``bundled`` means the one in the nvidia-pytriton wheel, which has no ONNX backend."""

    program: Path
    bundled: bool
    version: str


def find_triton(program: Path | None = None) -> Triton:
    """The tritonserver at ``program``, else on PATH, else the bundled one. Raises MissingDependency."""
    if program is not None:
        found = shutil.which(program)
        if found is None:
            raise MissingDependency(f"{program} is not a program: give --tritonserver the path of tritonserver itself")
        return _described(Path(found))
    if on_path := shutil.which("tritonserver"):
        return _described(Path(on_path))
    if (bundled := server_in_wheel() / "bin" / "tritonserver").is_file():
        return _described(bundled)
    raise MissingDependency("there is no tritonserver on PATH or in this environment: pip install 'nvidia-pytriton'")


def find_stub() -> Path:
    """The bundled Python stub for the running Python. Raises MissingDependency if the wheel has none."""
    stub = server_in_wheel() / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
    if not stub.is_file():
        raise MissingDependency(f"nvidia-pytriton brings no stub for Python {PYTHON}: use Python 3.11, 3.12 or 3.13")
    return stub


def find_libpython() -> Path:
    """The shared libpython the stub is linked against. Raises MissingDependency with the command that brings it."""
    for directory in _library_directories():
        if (library := directory / LIBPYTHON).is_file():
            return library
    raise MissingDependency(f"Triton's Python stub needs {LIBPYTHON}: apt-get install libpython{PYTHON}")


def server_in_wheel() -> Path:
    """Where nvidia-pytriton keeps its server, whether it is there or not."""
    found = importlib.util.find_spec("pytriton")
    package = Path(found.origin).parent if found and found.origin else Path(sysconfig.get_path("purelib"), "pytriton")
    return package / "tritonserver"


def _described(program: Path) -> Triton:
    program = program.resolve()
    if program == (server_in_wheel() / "bin" / "tritonserver").resolve():
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

    # Those of the system.
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
