"""What this machine has for serving, as rows of ``doctor``'s table."""

from collections.abc import Callable

from core.doctor import Check, package
from core.errors import MissingDependency
from core.system import runs_triton
from serving.server.locate import PYTHON, find_libpython, find_stub, find_triton

_BUNDLED = "pip install -c constraints.txt '.[serve]'"


def checks() -> list[Check]:
    """The server, what its Python stub needs, and the libraries of ours. Never raises.

    Where no Triton runs, only what samples from a bundle.
    """
    if not runs_triton():
        return [Check("server", True, "Triton runs on Linux only; 'sample BUNDLE' needs none"), _onnxruntime()]
    return [
        _triton(),
        _found("Triton's Python stub", find_stub, _BUNDLED),
        _found("libpython for the stub", find_libpython, f"apt-get install libpython{PYTHON}"),
        _numpy(),
        package("tritonclient", "serve"),
        _onnxruntime(),
        *_machine(),
    ]


def _machine() -> list[Check]:
    """What else a server needs of this machine; nothing where the packages that know are missing, as is said above."""
    try:
        from serving.server import machine
    except ImportError:
        return []
    return machine.checks()


def _triton() -> Check:
    try:
        triton = find_triton()
    except MissingDependency as error:
        return Check("tritonserver", False, str(error), _BUNDLED)
    which = "bundled with nvidia-pytriton" if triton.bundled else "with backends of its own"
    return Check("tritonserver", True, f"{triton.version}, {which}: {triton.program}")


def _found(name: str, find: Callable[[], object], mend: str) -> Check:
    try:
        return Check(name, True, str(find()))
    except MissingDependency as error:
        return Check(name, False, str(error), mend)


def _numpy() -> Check:
    found = package("numpy", "serve")
    bundled = package("nvidia-pytriton", "serve").fine
    if bundled and found.fine and int(found.found.partition(".")[0]) >= 2:
        trap = f"{found.found}: numpy 2 corrupts tensors in Triton's Python stub"
        return Check("numpy for the stub", False, trap, "pip install 'numpy<2'")
    return Check("numpy for the stub", found.fine, found.found, found.mend)


def _onnxruntime() -> Check:
    try:
        import onnxruntime
    except Exception as error:  # its libraries fail to load in many ways
        return Check("onnxruntime", False, f"cannot be imported ({error})", _BUNDLED)
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return Check("onnxruntime", True, f"{onnxruntime.__version__}: {providers}")
