"""What is told of a server, and that nothing becomes of it where nobody listens."""

import io
import json
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.bundle import GOLDEN
from core.golden import Golden
from serving.server.events import Event, EventLog, as_json, as_text
from serving.server.launch import ServerPorts, free_ports
from serving.server.supervisor import Supervisor
from tests.serving.conftest import publish
from tests.serving.server.test_supervisor import eventually, images_are_right

AT = datetime(2026, 11, 28, 8, 5, 9, 250_000, UTC)
READY = Event("ready", "all is right", ServerPorts(1, 2, 3), "[::1]", ("a:1", "b:2"), AT)
LOST = Event("lost", "it died in r\udce9po", ServerPorts(), "127.0.0.1", at=AT)


def test_an_event_in_words():
    assert as_text(LOST) == "2026-11-28T08:05:09Z lost: it died in r�po"
    assert as_text(READY).splitlines() == [
        "2026-11-28T08:05:09Z ready: all is right",
        "  models   a:1, b:2",
        "  gRPC     [::1]:1",
        "  HTTP     http://[::1]:2/v2/health/ready",
        "  metrics  http://[::1]:3/metrics",
    ]


def test_an_event_as_an_object():
    said = {"time": "2026-11-28T08:05:09.250+00:00", "event": "lost", "message": "it died in r�po"}
    assert json.loads(as_json(LOST)) == said
    assert json.loads(as_json(READY)) == said | {
        "event": "ready",
        "message": "all is right",
        "models": ["a:1", "b:2"],
        "grpc": "[::1]:1",
        "http": "http://[::1]:2/v2/health/ready",
        "metrics": "http://[::1]:3/metrics",
    }
    assert "\n" not in as_json(replace(LOST, message="two\nlines"))


def test_events_are_written_in_their_order():
    stream = io.StringIO()
    with EventLog(stream, "json") as log:
        for index in range(100):
            log(replace(LOST, message=str(index)))
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == list(map(str, range(100)))


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full_pipe():
    """One that nobody reads, and nobody closes: who writes to it waits for ever."""
    _, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b" "):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    return os.fdopen(writer, "w")


def closed_file():
    stream = io.StringIO()
    stream.close()
    return stream


def full_disk():
    return Path("/dev/full").open("w", encoding="utf-8")


@pytest.mark.parametrize("make", [closed_pipe, full_pipe, closed_file, full_disk])
def test_where_nobody_listens_telling_goes_on_and_ends(make, monkeypatch):
    monkeypatch.setattr("serving.server.events._LAST_SECONDS", 0.1)
    stream = make()
    with EventLog(stream) as log:
        for _ in range(3):
            log(LOST)
    if make is not full_pipe:
        log._thread.join()
        stream.close()  # and what was not written goes nowhere, without an error


def test_a_server_is_watched_as_well_when_nobody_listens(make_repository, bundle):
    """The listener fails at the second word, "ready"; a version is published, and then a stub killed."""
    repository, told = make_repository(), []

    def listener(event):
        told.append(event.kind)
        if event.kind == "ready":
            raise BrokenPipeError

    with Supervisor(repository, free_ports(), on_event=listener, steady_seconds=0) as supervisor:
        publish(bundle, "tiny", repository)
        eventually(lambda: ("tiny", "2") in {(m.name, m.version) for m in supervisor.server.models})
        eventually(lambda: not supervisor.server.changing)
        harmed = supervisor.server
        os.kill(next(stub.pid for stub, (_, version) in harmed.stubs.items() if version == "2"), signal.SIGKILL)
        eventually(lambda: supervisor.server is not harmed)
        eventually(lambda: images_are_right(supervisor, Golden.read(bundle / GOLDEN)))
    assert told == ["starting", "ready"]
