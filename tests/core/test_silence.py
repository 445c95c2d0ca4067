"""Nothing that libraries would tell others leaves a process of ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper

import core

ROOT = Path(__file__).parent.parent.parent
BACKEND = "serving.in_triton.backends.onnxruntime.model"  # runs in Triton's stub, where core cannot be imported
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ("core", "export", "serving", "trainer")
    for path in (ROOT / room).rglob("*.py")
    if re.search(r"^(import|from) onnxruntime", path.read_text(), re.MULTILINE)
)
SESSION = """
import runpy, sys, types
module, graph = sys.argv[1:]
if module.endswith("backends.onnxruntime.model"):
    sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
    runpy.run_path(module.replace(".", "/") + ".py")
elif module:
    __import__(module)
import onnxruntime
onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = tmp_path_factory.mktemp("graph") / "relu.onnx"
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(helper.make_graph(nodes, "relu", [x], [y]), opset_imports=[opset], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def kept_at_home(module: str, graph: Path, home: Path) -> list[str]:
    """What a process with an empty home directory leaves there that imports ``module`` and makes a session."""
    home.mkdir()
    inherited = {name: value for name, value in os.environ.items() if name not in core.SILENCED}
    subprocess.run(
        [sys.executable, "-c", SESSION, module, str(graph)],
        env=inherited | {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def told_otherwise(graph, tmp_path_factory) -> None:
    """That this ONNX Runtime would tell others, if it were let."""
    if not kept_at_home("", graph, tmp_path_factory.mktemp("homes") / "home"):
        pytest.skip("this ONNX Runtime keeps no telemetry: the one of Linux x86-64 does since 1.31")


@pytest.mark.parametrize("module", MODULES)
def test_a_session_keeps_nothing_at_home(module, graph, told_otherwise, tmp_path):
    assert kept_at_home(module, graph, tmp_path / "home") == []


def test_every_way_to_a_session_is_looked_at():
    assert {"core.onnx.session", BACKEND} <= set(MODULES)


def test_sub_processes_inherit_it():
    assert {name: os.environ[name] for name in core.SILENCED} == core.SILENCED
