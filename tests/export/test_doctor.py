"""The doctor looks and never falls ill."""

import importlib.metadata
import sys

from export import doctor


def test_here_everything_is_there():
    found = {check.name: check for check in doctor.checks()}
    assert set(found) == {"torch", "onnx", "onnxscript", "onnxruntime", "tensorrt-rtx"}
    assert all(check.fine and not check.mend for check in found.values())
    assert "CPU" in found["onnxruntime"].found


def test_nothing_is_there(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    checks = doctor.checks()
    assert not any(check.fine for check in checks)
    assert all("pip install" in check.mend for check in checks)


def test_a_broken_onnxruntime_is_reported(monkeypatch):
    import onnxruntime

    def broken():
        raise RuntimeError("libcudart is odd\nvery odd")

    monkeypatch.setattr(onnxruntime, "get_available_providers", broken)
    check = next(check for check in doctor.checks() if check.name == "onnxruntime")
    assert not check.fine
    assert "libcudart is odd" in check.found
    assert "\n" not in check.found
