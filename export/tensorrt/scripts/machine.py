"""The GPU of this machine and memory on it, through CUDA's driver, and what an engine's manifest says of both.

Stands by itself beside build_engine.py and verify_engine.py: Python's own library and NumPy, nothing to install.
"""

import ctypes
import hashlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
PLAN = HERE / "profiles.json"  # what to build and how far the images may be off
ENGINES = HERE.parent.with_name(f"{HERE.parent.name}.engines")  # beside the bundle, which is sealed
FACTS = ("gpu", "compute_capability", "tensorrt", "onnx_sha256")  # an engine fits where all of these are the same

_MAJOR, _MINOR = 75, 76  # of the compute capability, among CUdevice_attribute


class Refused(Exception):
    """What a person can mend, in one line."""


def needed(package: str) -> Any:
    """The Python package of that name; without it, one line that says so is the end."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        sys.exit(f"error: Python has no {package} here: pip install {package}")


class Cuda:
    """The first CUDA device that can be seen (CUDA_VISIBLE_DEVICES says which those are)."""

    def __init__(self) -> None:
        name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
        try:
            self._driver = ctypes.CDLL(name)
        except OSError:
            raise Refused("this machine has no CUDA driver: run this where the GPU is") from None
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._device = device

    def facts(self) -> dict[str, str]:
        """The GPU's name and compute capability, and the driver's version."""
        name, driver = ctypes.create_string_buffer(256), ctypes.c_int()
        self._call("cuDeviceGetName", name, len(name), self._device)
        self._call("cuDriverGetVersion", ctypes.byref(driver))
        capability = ".".join(str(self._attribute(which)) for which in (_MAJOR, _MINOR))
        return {"gpu": name.value.decode(), "compute_capability": capability, "cuda_driver": str(driver.value)}

    def allocate(self, size: int) -> int:
        """The address of ``size`` bytes on the device."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        return address.value

    def upload(self, address: int, values: "NDArray[Any]") -> None:
        """Copy contiguous ``values`` to the device."""
        source = values.ctypes.data_as(ctypes.c_void_p)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, ctypes.c_size_t(values.nbytes))

    def download(self, address: int, values: "NDArray[Any]") -> None:
        """Fill contiguous ``values`` from the device, once all that was asked of it is done."""
        self._call("cuCtxSynchronize")
        target = values.ctypes.data_as(ctypes.c_void_p)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), ctypes.c_size_t(values.nbytes))

    def free(self, address: int) -> None:
        """Give ``allocate``'s memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def _attribute(self, which: int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), which, self._device)
        return value.value

    def _call(self, function: str, *arguments: object) -> None:
        if status := getattr(self._driver, function)(*arguments):
            raise Refused(f"{function} failed with CUDA error {status}")


def read_plan() -> dict[str, Any]:
    """``profiles.json``. Raises Refused if it is not there or not JSON."""
    try:
        plan: dict[str, Any] = json.loads(PLAN.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{PLAN} cannot be read ({error}): copy the whole bundle") from None
    return plan


def graph_of(plan: dict[str, Any], precision: str) -> tuple[Path, str]:
    """The ONNX file of a precision and its sha256, which must be that of the export."""
    if precision not in plan["graphs"]:
        raise Refused(f"the bundle has no {precision}: choose from {', '.join(plan['graphs'])}")
    path = (HERE / plan["graphs"][precision]["file"]).resolve()
    try:
        found = sha256(path.read_bytes())
    except OSError:
        raise Refused(f"{path} is missing: copy the whole bundle") from None
    if found != plan["graphs"][precision]["sha256"]:
        raise Refused(f"{path} was changed after the export: copy the bundle again")
    return path, found


def misfit(manifest: dict[str, Any], here: dict[str, str]) -> str | None:
    """What of ``FACTS`` differs between an engine's manifest and this machine; None if it fits."""
    for name in FACTS:
        if manifest.get(name) != here[name]:
            return f"it was built for {name} {manifest.get(name)}, and here that is {here[name]}"
    return None


def sha256(data: bytes) -> str:
    """As 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def run(main: Callable[[], None]) -> None:
    """Call ``main`` and exit: 0 done, 1 with one line of what is wrong."""
    try:
        main()
    except Refused as error:
        sys.exit(f"error: {error}")
