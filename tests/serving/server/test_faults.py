"""What may stand in the way of a server that starts, or starts again."""

import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from core.bundle import GOLDEN
from core.errors import ServingError
from core.golden import Golden
from serving.server.launch import HOST, free_ports
from serving.server.supervisor import Supervisor
from serving.server.workspace import SHARED_MEMORY
from tests.serving.server.test_supervisor import SERVE, eventually, images_are_right, processes_of


def test_a_server_that_never_becomes_ready_is_given_up_and_ended(make_repository, tmp_path):
    program = tmp_path / "tritonserver"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    program.chmod(0o755)
    supervisor = Supervisor(make_repository(), free_ports(), program, start_seconds=2)
    with pytest.raises(ServingError, match="did not start: tritonserver was not ready after 2 s"):
        supervisor.run()
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_one_that_does_not_become_ready_again_is_given_up_after_some_tries(make_repository):
    events = []
    with (
        pytest.raises(ServingError, match=r"3 times in a row\): tritonserver was not ready after 0 s"),
        Supervisor(make_repository(), free_ports(), on_event=events.append, steady_seconds=0) as supervisor,
    ):
        supervisor._start_seconds = 0.01
        os.kill(supervisor.server.pid, signal.SIGKILL)
        eventually(lambda: events[-1].kind == "stopped")
    assert [event.kind for event in events].count("starting") == 4


@pytest.mark.parametrize("service", ["http"])
def test_a_port_that_was_taken_meanwhile_is_said_until_it_is_free(make_repository, bundle, service):
    """Whoever takes it: for a moment here, and ``serve`` has its port back."""
    events, ports = [], free_ports()

    def take_and_free(event):
        events.append(event)
        times = [event.kind for event in events].count(event.kind)
        if (event.kind, times) == ("starting", 2):
            taken.bind((HOST, getattr(ports, service)))
            taken.listen()
        elif (event.kind, times) == ("lost", 2):
            taken.close()

    server = Supervisor(make_repository(), ports, on_event=take_and_free, steady_seconds=0)
    with socket.socket() as taken, server as supervisor:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(supervisor.server.pid, signal.SIGKILL)
        eventually(lambda: [event.kind for event in events].count("ready") == 2)
        assert images_are_right(supervisor, Golden.read(bundle / GOLDEN))
    said = [event.message for event in events if event.kind == "lost"]
    assert f"port {getattr(ports, service)} is taken: choose another with --{service}-port" in said[1]


def test_what_a_crash_of_everything_left_in_shared_memory_is_deleted_by_the_next(make_repository):
    repository, ports = make_repository(), free_ports()
    command = [sys.executable, "-c", SERVE, str(repository), *map(str, (ports.grpc, ports.http, ports.metrics))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert [program.stdout.readline() for _ in range(2)] == ["starting\n", "ready\n"]
        children = psutil.Process(program.pid).children(recursive=True)
        server = next(child for child in children if child.name() == "tritonserver")
        _, prefix = processes_of(server.pid)
        for process in children:  # the guard too, which would clean up
            process.send_signal(signal.SIGSTOP)
        # Looked at before they die: a server that another test starts in that moment would clean up after them, too.
        assert list(SHARED_MEMORY.glob(f"{prefix}*"))
        for process in (psutil.Process(program.pid), *children):
            process.kill()
        psutil.wait_procs(children, timeout=30)  # until then they hold their lock
    with Supervisor(repository, free_ports()):
        assert not list(SHARED_MEMORY.glob(f"{prefix}*"))
