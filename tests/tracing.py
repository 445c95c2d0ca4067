"""PyTorch's exporter takes seconds for each tiny network: what it gave is kept on disk.

A kept graph is found again by the network and its weights, by the sources from which graphs are made, and by the
versions of the packages that make them. Tests of the exporter itself go round it (``traced_anew``).
"""

import hashlib
from collections.abc import Callable
from functools import cache, wraps
from importlib.metadata import version
from pathlib import Path

import onnx

from core.files import write_atomic

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".traced_cache"
SOURCES = ("core/**/*.py", "export/graphs/modules.py", "export/graphs/convert.py")
PACKAGES = ("torch", "onnx", "onnxscript", "onnx-ir")

Tracer = Callable[..., onnx.ModelProto]


def keeping(traced: Tracer) -> Tracer:
    """``export.graphs.convert.traced`` that looks first for what it gave before."""

    @wraps(traced)
    def kept(graph, plain=False) -> onnx.ModelProto:
        file = KEPT / f"{_name(graph, plain)}.onnx"
        if not file.exists():
            KEPT.mkdir(exist_ok=True)
            write_atomic(file, traced(graph, plain).SerializeToString())
        return onnx.load(file)

    return kept


def _name(graph, plain: bool) -> str:
    """The SHA-256 of everything that the traced graph follows from."""
    generator = graph.generator
    said = [_sources(), type(graph).__name__, plain, generator.spec.to_json(), generator.grown_to]
    digest = hashlib.sha256(repr(said).encode())
    for name, value in generator.state_dict().items():
        digest.update(name.encode() + str(value.dtype).encode() + value.numpy().tobytes())
    return digest.hexdigest()


@cache
def _sources() -> str:
    digest = hashlib.sha256(repr([version(package) for package in PACKAGES]).encode())
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()
