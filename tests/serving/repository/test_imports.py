"""What it costs to look at a repository: a command that only lists models loads no runtime that could run them."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving import repository

ROOT = Path(repository.__file__).parents[2]
EVERY = [f"serving.repository.{module.name}" for module in pkgutil.iter_modules(repository.__path__)]
# Those of files alone, which read no configuration and no graph.
FILES = [f"serving.repository.{name}" for name in ("layout", "locks", "seal", "versions", "golden", "engines")]


def loaded_by(modules: list[str]) -> set[str]:
    """The packages that Python has loaded once it has imported ``modules`` and nothing else."""
    program = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("modules", [EVERY, ["serving.monitoring.overview", "serving.deploy.writing"]])
def test_nothing_about_a_repository_loads_a_runtime(modules):
    assert not loaded_by(modules) & {"onnxruntime", "torch"}


def test_folders_hashes_and_versions_need_neither_triton_nor_graphs():
    assert not loaded_by(FILES) & {"onnxruntime", "onnx", "tritonclient", "grpc", "google", "torch"}
