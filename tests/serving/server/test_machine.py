"""What stands in a server's way on a machine, each in its own sentence."""

import errno
import os
import resource
import socket
import subprocess
import sys

import pytest

from core.errors import RepositoryError, ServerUnavailable, ServingError
from serving.client.served import ServedModel
from serving.protocol.grpc import channel_options
from serving.protocol.proxies import asked_by_grpc, is_loopback
from serving.repository.servable import check_servable
from serving.server import machine, processes, shared_memory
from serving.server.launch import HOST, Access, check_ports, free_ports
from serving.server.log_errors import reason_in
from serving.server.supervisor import Supervisor

LOOPBACK = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "127.0.0.1",
    "127.0.0.2",
    "[::1]",
    "::ffff:127.0.0.1",
]
ELSEWHERE = ["example.com", "localhost.example.com", "10.0.0.1", "[::2]", "0.0.0.0"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_what_this_machine_is_called():
    assert [host for host in (*LOOPBACK, *ELSEWHERE) if is_loopback(host)] == LOOPBACK


@pytest.mark.parametrize("host", LOOPBACK[:-1])
def test_no_proxy_is_asked_for_this_machine(host, monkeypatch):
    monkeypatch.setenv("grpc_proxy", "http://10.0.0.1:3128")
    assert ("grpc.enable_http_proxy", 0) in channel_options(f"{host}:8001")
    assert asked_by_grpc(f"{host}:8001") == ""
    assert ("grpc.enable_http_proxy", 0) not in channel_options("example.com:8001")
    assert asked_by_grpc("example.com:8001") == "grpc_proxy"
    monkeypatch.setenv("no_grpc_proxy", "other.org, .com")
    assert asked_by_grpc("example.com:8001") == ""


def test_a_proxy_that_was_asked_is_said(monkeypatch):
    with socket.socket() as nobody:
        nobody.bind((HOST, 0))
        monkeypatch.setenv("http_proxy", f"http://{HOST}:{nobody.getsockname()[1]}")
        with pytest.raises(ServerUnavailable, match=r"asked through http_proxy: set no_grpc_proxy"):
            ServedModel("tiny", "192.0.2.1:8001")
        with pytest.raises(ServerUnavailable) as raised:
            ServedModel("tiny", f"127.0.0.2:{nobody.getsockname()[1]}")
    assert "proxy" not in str(raised.value)


def test_the_doctor_looks_at_it_all(monkeypatch):
    assert [check.name for check in machine.checks()] == ["shared memory", "place to work in", "open files", "proxies"]
    monkeypatch.setattr(shared_memory, "free", lambda: 64)
    monkeypatch.setattr(machine, "fault_of_place", lambda place: "/tmp is mounted noexec")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    monkeypatch.setenv("http_proxy", "http://10.0.0.1:3128")
    memory, place, files, proxy = machine.checks()
    assert (memory.fine, memory.found, memory.mend) == (False, "64 MiB free in /dev/shm", "docker run --shm-size 1g")
    assert place.found.endswith(", for /tmp is mounted noexec")
    assert (files.fine, files.found) == (False, "at most 64 in a process")
    assert (proxy.fine, proxy.found) == (False, "http_proxy, for loopback too")
    monkeypatch.setenv("no_proxy", "localhost, 127.0.0.1")
    assert machine.checks()[-1].fine


def test_a_server_may_open_as_many_files_as_it_needs(make_repository):
    """Of those whose soft limit is low, as macOS' and many shells' is."""
    code = (
        "import resource, sys; from pathlib import Path; from serving.server.supervisor import Supervisor; "
        "from serving.server.launch import free_ports; resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), "
        "int(sys.argv[3])));\nwith Supervisor(Path(sys.argv[1]), free_ports()): print('ready')"
    )

    def run(*limits):
        command = [sys.executable, "-c", code, str(make_repository()), *map(str, limits)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert run(64, 512).stdout == "ready\n"
    assert "a process may open 64 files here, and a server needs 256" in run(64, 64).stderr


def test_too_few_files_are_not_taken_for_a_port_that_is():
    log = "[warn] epoll_create: Too many open files\nE1128 main.cc:293] \"Socket '127.0.0.1:60659' already in use \"\n"
    assert reason_in(log) == "the server may not open as many files as it needs: raise 'ulimit -n'"


def test_a_server_listens_on_ipv6_too(make_repository):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here: switch it on for the loopback")
    with Supervisor(make_repository(), free_ports(), access=Access("::1")) as supervisor:
        assert supervisor.url == f"[::1]:{supervisor.ports.grpc}"
        for port in (supervisor.ports.http, supervisor.ports.metrics):
            socket.create_connection(("::1", port), 5).close()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRNOTAVAIL, "192.0.2.1 is no address of this machine: give --address one that is"),
        (errno.EAFNOSUPPORT, "192.0.2.1 is no address of this machine"),
        (errno.EACCES, r"port \d+ is for the administrator alone: choose one above 1023 with --grpc-port"),
        (errno.EMFILE, "may open no more files: raise 'ulimit -n'"),
        (errno.EINVAL, r"port \d+ cannot be used \(Invalid argument\): choose another with --grpc-port"),
    ],
)
def test_why_a_port_cannot_be_had(number, said, monkeypatch):
    class Refusing(socket.socket):
        def bind(self, _):
            raise OSError(number, os.strerror(number))

    ports = free_ports()
    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(ServingError, match=said):
        check_ports(ports, "192.0.2.1")


def test_a_limit_that_cannot_be_raised_is_said(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    with pytest.raises(ServingError, match="may open 100 files here"):
        processes.raise_file_limit()


@pytest.mark.parametrize("name", ["lost+found", ".snapshot"])
def test_folders_of_the_file_system_are_said(make_repository, name):
    repository = make_repository()
    (repository / name).mkdir()
    with pytest.raises(RepositoryError, match=r"the file system's own, .* give --repository a folder inside"):
        check_servable(repository)


@pytest.mark.parametrize("name", ["my models", "@eaDir", "Größe", ".git"])
def test_folders_that_no_model_of_ours_is_called_are_said(make_repository, name):
    repository = make_repository()
    (repository / name).mkdir()
    with pytest.raises(RepositoryError, match="a folder Triton would take for a model: move it out"):
        check_servable(repository)
