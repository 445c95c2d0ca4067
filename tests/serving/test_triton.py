import socket
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import MissingDependency, ServingError
from serving import doctor, triton
from serving.launching import HOST, Ports, check_ports, free_ports
from serving.triton import Triton, find_triton
from serving.workplace import SHARED_MEMORY

FOREIGN = Triton(Path("/opt/tritonserver/bin/tritonserver"), False, "2.60.0")


@pytest.fixture
def workplace():
    workplace = triton.make_workplace(find_triton())
    yield workplace
    if workplace.root.exists():
        triton.remove_workplace(workplace)


def test_the_command_line_is_loopback_only_and_private(workplace):
    line = triton.command(find_triton(), Path("models"), Ports(1, 2, 3), workplace)
    options = dict(option.removeprefix("--").split("=", 1) for option in line[1:] if "=" in option)
    assert line[0] == str(find_triton().program)
    assert Path(options["model-repository"]).is_absolute()
    assert [options[f"{each}-address"] for each in ("grpc", "http", "metrics")] == [HOST] * 3
    assert [options[f"{each}-port"] for each in ("grpc", "http", "metrics")] == ["1", "2", "3"]
    assert options["backend-config"] == f"python,shm-region-prefix-name={workplace.shm_prefix}"
    assert Path(options["backend-directory"]).is_relative_to(workplace.root)


@pytest.mark.parametrize("server", [find_triton(), FOREIGN])
def test_every_server_is_asked_for_percentiles(server, workplace):
    line = triton.command(server, Path("models"), Ports(1, 2, 3), workplace)
    assert "--metrics-config=summary_latencies=true" in line
    assert "--metrics-config=summary_quantiles=0.5:0.01,0.99:0.001" in line


def test_a_server_with_backends_of_its_own_keeps_them(workplace):
    assert not any("backend-directory" in each for each in triton.command(FOREIGN, Path(), Ports(), workplace))
    assert "LD_LIBRARY_PATH" not in triton.environment(FOREIGN, workplace).keys() - triton.os.environ.keys()


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
    assert find_triton(triton._wheel() / "bin" / "tritonserver").bundled


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingDependency, match="nowhere"):
        find_triton(tmp_path / "nowhere")


@pytest.mark.parametrize("service", ["grpc", "http", "metrics"])
def test_a_taken_port_is_named_with_its_flag(service):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {number} is taken: choose another with --{service}-port"):
            check_ports(replace(free_ports(), **{service: number}))


@pytest.mark.parametrize("ports", [Ports(5000, 5000, 5001), Ports(5000, 5001, 5001)])
def test_ports_that_are_the_same_are_refused(ports):
    with pytest.raises(ServingError, match="three different"):
        check_ports(ports)


@pytest.mark.parametrize("number", [0, -1, 65_536, 10**20])
@pytest.mark.parametrize("service", ["grpc", "http", "metrics"])
def test_numbers_that_are_no_ports_are_refused(service, number):
    with pytest.raises(ServingError, match=f"^{number} is not a port: give --{service}-port a number from 1 to 65535"):
        check_ports(replace(free_ports(), **{service: number}))


def test_leftovers_of_the_dead_are_deleted_and_those_of_the_living_are_not(workplace):
    ours = SHARED_MEMORY / f"{workplace.shm_prefix}region"
    left = [SHARED_MEMORY / f"ganfoundry-test-{triton.os.getpid()}-{name}" for name in ("lock", "region")]
    for path in (ours, *left):
        path.touch()
    triton.clean_leftovers()
    assert ours.exists()
    assert not any(path.exists() for path in left)
    triton.remove_workplace(workplace)
    assert not ours.exists()
    assert not workplace.root.exists()


def test_the_guard_cleans_up_after_a_supervisor_that_was_killed(tmp_path):
    region = SHARED_MEMORY / f"ganfoundry-test-{triton.os.getpid()}-region"
    region.touch()
    (tmp_path / "root").mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as sleeper:
        guard = [sys.executable, str(Path(triton.__file__).with_name("guard.py")), str(tmp_path / "root")]
        subprocess.run([*guard, str(region)[:-6]], input=f"0\n{sleeper.pid}\n", text=True, check=True, timeout=30)
        assert sleeper.wait(10) == -9
    assert not region.exists()
    assert not (tmp_path / "root").exists()


def test_the_doctor_finds_everything_here():
    checks = doctor.checks()
    assert all(check.fine for check in checks), checks
    assert "2.51.0, bundled with nvidia-pytriton" in checks[0].found


def test_the_doctor_says_what_is_missing_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(triton, "_wheel", lambda: tmp_path)
    monkeypatch.setattr(triton, "_library_directories", lambda: [tmp_path])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("core.doctor.importlib.metadata.version", lambda name: "2.1.0")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    checks = {check.name: check for check in doctor.checks()}
    missing = {name: check for name, check in checks.items() if not check.fine}
    assert set(missing) == set(checks) - {"tritonclient"}
    assert checks["libpython for the stub"].mend == f"apt-get install libpython{sysconfig.get_python_version()}"
    assert checks["numpy for the stub"].mend == "pip install 'numpy<2'"
    assert all("\n" not in check.found and check.mend for check in missing.values())
