import sys
import sysconfig

import pytest

from core.errors import MissingDependency
from serving import doctor
from serving.server import locate, machine
from serving.server.locate import Triton, find_triton


def test_a_program_is_found_where_it_is_said_to_be_then_on_the_path_then_in_the_wheel(tmp_path, monkeypatch):
    assert find_triton().bundled
    program = tmp_path / "triton" / "bin" / "tritonserver"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "triton" / "TRITON_VERSION").write_text("2.60.0\n")
    assert find_triton(program) == Triton(program, False, "2.60.0")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_triton() == Triton(program, False, "2.60.0")
    assert find_triton(locate.server_in_wheel() / "bin" / "tritonserver").bundled


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingDependency, match="nowhere"):
        find_triton(tmp_path / "nowhere")


def test_the_doctor_finds_everything_here():
    checks = doctor.checks()
    assert all(check.fine for check in checks), checks
    assert "2.51.0, bundled with nvidia-pytriton" in checks[0].found


def test_the_doctor_says_what_is_missing_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "server_in_wheel", lambda: tmp_path)
    monkeypatch.setattr(locate, "_library_directories", lambda: [tmp_path])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("core.doctor.importlib.metadata.version", lambda name: "2.1.0")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    checks = {check.name: check for check in doctor.checks()}
    missing = {name: check for name, check in checks.items() if not check.fine}
    assert set(missing) == set(checks) - {"tritonclient", *(check.name for check in machine.checks())}
    assert checks["libpython for the stub"].mend == f"apt-get install libpython{sysconfig.get_python_version()}"
    assert checks["numpy for the stub"].mend == "pip install 'numpy<2'"
    assert all("\n" not in check.found and check.mend for check in missing.values())
