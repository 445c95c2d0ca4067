"""The command line of a server, and what of it anyone may see."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from core.errors import ServingError
from serving.protocol.tls import ServerTls
from serving.server import hidden_arguments
from serving.server.cores import VARIABLE, usable_cores
from serving.server.launch import (
    HOST,
    SECRET_VARIABLE,
    Access,
    ServerPorts,
    check_ports,
    command,
    environment,
    free_ports,
    read_secret,
)
from serving.server.locate import Triton, find_triton
from serving.server.supervisor import Supervisor
from serving.server.workspace import make_workspace, remove_workspace

FOREIGN = Triton(Path("/opt/tritonserver/bin/tritonserver"), False, "2.60.0")
BUNDLED = Triton(Path("/somewhere/tritonserver"), True, "2.51.0")
ADMINISTRATION = "shared-memory,model-repository,statistics,trace,logging"


@pytest.fixture
def workspace():
    workspace = make_workspace(find_triton())
    yield workspace
    if workspace.root.exists():
        remove_workspace(workspace)


def line_of(triton, workspace, access=None, engine=""):
    return command(triton, Path("models"), ServerPorts(1, 2, 3), access or Access(secret="s" * 16), engine, workspace)


def options_of(line):
    return dict(option.removeprefix("--").split("=", 1) for option in line if "=" in option)


def test_the_command_line_is_loopback_only_and_private(workspace):
    line, (*rest, gate) = line_of(find_triton(), workspace, Access(secret="s" * 16, gate="g" * 16))
    options = options_of(line[1:])
    assert line[0] == str(find_triton().program)
    assert Path(options["model-repository"]).is_absolute()
    assert [options[f"{each}-address"] for each in ("grpc", "http", "metrics")] == [HOST] * 3
    assert [options[f"{each}-port"] for each in ("grpc", "http", "metrics")] == ["1", "2", "3"]
    assert options["backend-config"] == f"python,shm-region-prefix-name={workspace.shm_prefix}"
    assert Path(options["backend-directory"]).is_relative_to(workspace.root)
    assert (options["model-control-mode"], options["load-model"]) == ("explicit", "*")
    closed = options_of(rest)
    assert closed == {
        "grpc-restricted-protocol": f"{ADMINISTRATION}:admin-key={'s' * 16}",
        "http-restricted-api": f"{ADMINISTRATION}:admin-key={'s' * 16}",
    }
    assert gate == f"--http-restricted-api=inference:gate-key={'g' * 16}"
    for key in ("s" * 16, "g" * 16):
        assert key not in " ".join(line)
        assert key not in repr(Access(secret="s" * 16, gate="g" * 16))


def test_where_grpc_is_encrypted_http_is_left_with_health_alone(workspace):
    tls = ServerTls(Path("certificate"), Path("key"), Path("clients"))
    line, rest = line_of(find_triton(), workspace, Access(tls=tls, secret="s" * 16))
    options = options_of(line)
    assert options["grpc-use-ssl"] == options["grpc-use-ssl-mutual"] == "true"
    files = [options[f"grpc-{each}"] for each in ("server-cert", "server-key", "root-cert")]
    assert [Path(file).name for file in files] == ["certificate", "key", "clients"]
    assert options_of(rest)["http-restricted-api"].startswith(f"{ADMINISTRATION},inference,metadata,model-config:")


@pytest.mark.parametrize("server", [find_triton(), FOREIGN])
def test_every_server_is_asked_for_percentiles(server, workspace):
    line, _ = line_of(server, workspace)
    assert "--metrics-config=summary_latencies=true" in line
    assert "--metrics-config=summary_quantiles=0.5:0.01,0.99:0.001" in line


def test_a_server_with_backends_of_its_own_keeps_them(workspace):
    line, closed = line_of(FOREIGN, workspace)
    assert not any("backend-directory" in each for each in line)
    assert not any("gate-key" in each for each in closed)
    assert "LD_LIBRARY_PATH" not in environment(FOREIGN, workspace).keys() - os.environ.keys()


def test_another_engine_is_another_name_for_configurations(workspace):
    assert "--model-config-name=tensorrt" in line_of(FOREIGN, workspace, engine="tensorrt")[0]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.2", "8.8.8.8"])
def test_the_bundled_server_is_not_exposed(address):
    with pytest.raises(ServingError, match=r"2\.51\.0\) predates fixes of its security holes .* NVIDIA's container"):
        Access(address).check(BUNDLED)
    Access(address).check(FOREIGN)
    for loopback in ("127.0.0.1", "127.0.0.2", "::1"):
        Access(loopback).check(BUNDLED)
    with pytest.raises(ServingError, match="'localhost' is not an IP address"):
        Access("localhost").check(BUNDLED)


def test_who_supervises_reaches_it_whatever_it_listens_on():
    places = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "127.0.0.1": "127.0.0.1", "::1": "[::1]"}
    assert {address: Access(address).connect_to for address in places} == places


def test_the_key_comes_from_a_file_or_the_environment_and_else_is_drawn(tmp_path, monkeypatch):
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    assert read_secret() is None
    assert len(Access().secret) >= 32
    assert Access().secret != Access().secret
    monkeypatch.setenv(SECRET_VARIABLE, "from-the-environment")
    assert read_secret() == "from-the-environment"
    (tmp_path / "key").write_text("from-the-file_0123\n")
    assert read_secret(tmp_path / "key") == "from-the-file_0123"
    for wrong in ("short", "with:colon-0123456789", "with=sign-0123456789", "with space 0123456789", "x" * 257):
        (tmp_path / "key").write_text(wrong)
        with pytest.raises(ServingError, match="must be 16 to 256 letters"):
            read_secret(tmp_path / "key")
    with pytest.raises(ServingError, match="nowhere cannot be read"):
        read_secret(tmp_path / "nowhere")


def test_the_key_in_the_environment_goes_no_further(workspace, monkeypatch):
    monkeypatch.setenv(SECRET_VARIABLE, "from-the-environment")
    assert SECRET_VARIABLE not in environment(find_triton(), workspace)


def test_the_backend_is_told_how_many_cores_there_are(workspace):
    assert environment(find_triton(), workspace)[VARIABLE] == str(usable_cores())


ARGUMENTS = "import sys, time; print(sys.argv[1:], flush=True); time.sleep(float(sys.argv[1]))"


def test_a_hidden_argument_arrives_and_is_seen_by_nobody():
    """From the first moment on: it is looked for as often as can be while the program starts."""
    secret, seen = "the-secret-0123456789", []
    process = hidden_arguments.start(
        [sys.executable, "-c", ARGUMENTS, "1"], [secret, "and more"], dict(os.environ), stdout=-1
    )
    with process:
        line = Path(f"/proc/{process.pid}/cmdline")
        limit = time.monotonic() + 0.5
        while time.monotonic() < limit:
            seen.append(line.read_bytes())
        assert process.stdout.readline().decode() == f"['1', '{secret}', 'and more']\n"
        seen.append(line.read_bytes())
    assert process.returncode == 0
    assert len(seen) > 10
    assert not any(secret.encode() in each for each in seen)
    assert b"--hidden-0\0--hidden-1" in seen[-1]


def test_nothing_is_hidden_where_nothing_is_to_be():
    process = hidden_arguments.start(
        [sys.executable, "-c", ARGUMENTS, "0"], [], dict(os.environ), stdout=subprocess.PIPE
    )
    assert process.communicate(timeout=30)[0] == b"['0']\n"


FORBIDDEN = [
    ("_LAUNCHER", "import sys; sys.exit('Operation not permitted')"),
    ("_LAUNCHER", "import os; os.kill(os.getpid(), 31)"),  # SIGSYS, of a seccomp profile
    ("_turn_pointers", Mock(side_effect=PermissionError)),
]


@pytest.mark.parametrize(("name", "value"), FORBIDDEN)
def test_where_tracing_is_not_allowed_it_starts_all_the_same_and_says_so(name, value, make_repository, monkeypatch):
    monkeypatch.setattr(hidden_arguments, name, value)
    events = []
    with Supervisor(make_repository(), free_ports(), on_event=events.append) as supervisor:
        assert supervisor.access.secret.encode() in Path(f"/proc/{supervisor.server.pid}/cmdline").read_bytes()
    assert [event.kind for event in events] == ["starting", "warning", "ready", "stopped"]
    assert "whoever lists the processes sees the server's keys" in events[1].message


@pytest.mark.parametrize("service", ["grpc", "http", "metrics"])
def test_a_taken_port_is_named_with_its_flag(service):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {number} is taken: choose another with --{service}-port"):
            check_ports(replace(free_ports(), **{service: number}))


@pytest.mark.parametrize("ports", [ServerPorts(5000, 5000, 5001), ServerPorts(5000, 5001, 5001)])
def test_ports_that_are_the_same_are_refused(ports):
    with pytest.raises(ServingError, match="three different"):
        check_ports(ports)


@pytest.mark.parametrize("number", [0, -1, 65_536, 10**20])
@pytest.mark.parametrize("service", ["grpc", "http", "metrics"])
def test_numbers_that_are_no_ports_are_refused(service, number):
    with pytest.raises(ServingError, match=f"^{number} is not a port: give --{service}-port a number from 1 to 65535"):
        check_ports(replace(free_ports(), **{service: number}))
