"""``top`` as a person sees it."""

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from core.contract import sample_inputs
from core.errors import ServerUnavailable, ServingError
from serving.monitoring import top
from serving.monitoring.metrics import Counts, Device, Model, Snapshot, rates
from serving.monitoring.top import Reader, measure, table, watch
from serving.protocol.grpc import connect, infer_async
from serving.protocol.model_config import Queue
from serving.server.launch import HOST
from tests.serving.conftest import QUEUE_LIMIT, SPEC

CLI = Path(__file__).parents[3] / "cli.py"
IDLE = Snapshot(0, (Model("cat", "3", Counts()), Model("cat_mapping", "3", Counts())), Device(), {})
COUNTS = Counts(successes=20, rejected=3, cancelled=1, images=1200, executions=60, request_us=240_000, queue_us=2000)
BUSY = Snapshot(
    2,
    (
        Model("cat", "3", COUNTS, pending=4, p50_us=8000, p99_us=45_000, queue_limit=4),
        Model("cat_mapping", "3", Counts(), pending=0, queue_limit=4),
    ),
    Device(0.93, 3 * 2**29, 2**33),
    {"GPU-1": Device(0.5, 2**30, 2**35), "GPU-2": Device(0)},
)
WIDE = 120


def text_of(renderable, width=WIDE):
    console = Console(file=io.StringIO(), record=True, width=width)
    console.print(renderable)
    return console.export_text()


def rows_of(text):
    """The words of the rows, by the first."""
    return {words[0]: words[1:] for words in map(str.split, text.splitlines()) if words}


def metrics_url(ports):
    return f"http://{HOST}:{ports.metrics}/metrics"


def test_every_figure_is_under_its_heading():
    shown = rows_of(text_of(table(rates(IDLE, BUSY))))
    heads = ["requests", "images", "images", "p50", "p99", "queue", "compute", "pending", "failed", "rejected"]
    assert shown["model"] == heads
    assert shown["/s"] == ["/s", "/run", "ms", "ms", "ms", "ms", "/s", "/s"]
    assert shown["cat:3"] == ["10.0", "600", "20.0", "8.00", "45.0", "0.10", "0", "4/4", "full", "0.50", "1.50"]
    assert shown["cat_mapping:3"] == ["0", "0", *"–––––", "0/4", "0", "0"]
    assert " ".join(shown["CPU"]) == "93 %, memory 1.5 of 8.0 GiB GPU 0 50 %, memory 1.0 of 32.0 GiB GPU 1 0 %"


def test_without_percentiles_the_mean_is_shown_and_called_so():
    without = replace(BUSY, models=tuple(replace(model, p50_us=None, p99_us=None) for model in BUSY.models))
    text = text_of(table(rates(IDLE, without)))
    shown = rows_of(text)
    assert shown["model"][3:5] == ["mean", "queue"]
    assert shown["cat:3"][3] == "12.0"
    assert "p50" not in text


def test_what_should_not_be_is_red():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=WIDE)
    console.print(table(rates(IDLE, BUSY)))
    red = [part.split("\x1b")[0].strip() for part in console.file.getvalue().split("\x1b[1;31m")[1:]]
    assert red == ["4/4 full", "0.50", "1.50"]


def test_eighty_columns_are_enough_for_every_figure():
    lines = text_of(table(rates(IDLE, BUSY)), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = (line for line in lines if line.startswith("cat:3"))
    assert row.split()[1:] == rows_of(text_of(table(rates(IDLE, BUSY))))["cat:3"]
    assert "…" not in "".join(lines)


def test_a_server_without_models_says_so():
    assert "no models" in text_of(table(rates(replace(IDLE, models=()), replace(BUSY, models=()))))


def test_a_real_server_is_measured(server):
    found = measure(Reader(metrics_url(server.ports), f"http://{HOST}:{server.ports.http}").read, 0.1)
    assert [model.name for model in found.models] == ["animals", "gathering", "tiny", "tiny"]
    assert [model.queue_limit for model in found.models] == [None, Queue().size, None, None]
    assert found.seconds >= 0.1


def test_a_full_queue_is_seen(limited_ports):
    read = Reader(metrics_url(limited_ports), f"http://{HOST}:{limited_ports.http}/").read
    with connect(f"{HOST}:{limited_ports.grpc}") as client:
        for _ in range(100):
            waiting = [infer_async(client, "limited", sample_inputs(SPEC, [0])) for _ in range(QUEUE_LIMIT)]
            shown = text_of(table(measure(read, 0.1)))
            assert all(answer.exception(30) is None for answer in waiting)
            if f"{QUEUE_LIMIT}/{QUEUE_LIMIT} full" in shown:
                return
    pytest.fail("the queue was never seen full")


def test_a_limit_that_cannot_be_asked_for_is_left_out(limited_ports):
    assert Reader(metrics_url(limited_ports)).read().models[0].queue_limit is None
    assert Reader(metrics_url(limited_ports), f"http://{HOST}:9").read().models[0].queue_limit is None
    assert Reader(metrics_url(limited_ports), metrics_url(limited_ports)).read().models[0].queue_limit is None


def test_who_does_not_answer_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(top, "_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen()
        address = f"http://{HOST}:{silent.getsockname()[1]}/metrics"
        with pytest.raises(ServerUnavailable, match=r"timed out.*'serve'.*--metrics-url"):
            Reader(address).read()
    with pytest.raises(ServerUnavailable, match=r"refused.*'serve'.*--metrics-url") as raised:
        Reader(address).read()
    assert "\n" not in str(raised.value)


def test_another_server_than_triton_is_said(server):
    with pytest.raises(ServerUnavailable, match=r"/metrics \(Not Found\): .*--metrics-url"):
        Reader(f"http://{HOST}:{server.ports.http}/metrics").read()
    with pytest.raises(ServingError, match="does not hold a Triton's metrics: give --metrics-url"):
        Reader(f"http://{HOST}:{server.ports.http}/v2").read()
    with pytest.raises(ServerUnavailable, match="'serve'"):  # it speaks no HTTP that is known
        Reader(f"http://{server.url}/metrics").read()


def test_limits_are_asked_for_unasked_only_beside_the_usual_metrics():
    assert Reader()._http_url == top.HTTP_URL
    assert Reader("http://elsewhere:8002/metrics")._http_url is None
    assert Reader("http://elsewhere:8002/metrics", "http://elsewhere:8000")._http_url == "http://elsewhere:8000"


@pytest.mark.parametrize(
    "url", ["localhost:8002", "localhost", "", "file:///etc/passwd", "http://", "http://a:b/", "http://[/"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ServerUnavailable, match="is not an address: write it like http://localhost:800"):
        Reader(url)
    with pytest.raises(ServerUnavailable, match="is not an address"):
        Reader(http_url=url or "x")


def views_of(monkeypatch, *seen):
    """What ``watch`` showed for each thing that was read, errors included, and what it left behind."""

    def read():
        if isinstance(seen[len(shown)], Exception):
            raise seen[len(shown)]
        return seen[len(shown)]

    def sleep(_):
        shown.append(console.file.getvalue())
        console.file.seek(console.file.truncate(0))
        if len(shown) == len(seen):
            raise KeyboardInterrupt

    shown = []
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=WIDE, height=20)
    monkeypatch.setattr(top, "time", SimpleNamespace(sleep=sleep))
    watch(read, 2, console)
    return shown, console.file.getvalue()


def test_a_server_that_goes_is_waited_for_and_found_again(monkeypatch):
    gone = ServerUnavailable("nobody there")
    again = replace(IDLE, moment=9), replace(BUSY, moment=11)
    shown, left = views_of(monkeypatch, IDLE, BUSY, gone, *again)
    wanted = ("measuring for 2 s", "cat:3", "nobody there", "Looking again every 2 s", "cat:3")
    assert [word in view for word, view in zip(wanted[:3], shown[:3], strict=True)] == [True] * 3
    assert wanted[3] in shown[2]
    assert "cat:3" not in shown[2]
    assert "cat:3" not in shown[3]  # one look alone says nothing yet
    assert rows_of(shown[4])["cat:3"][0] == "10.0"
    assert "cat:3" in left


# A shell's background jobs, and so their children, do not. (It is no ``preexec_fn``: this process has threads.)
HEED_CTRL_C = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


def read_from(terminal):
    """What was written to the other end of a terminal since it was last read; empty once that is closed."""
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:
        return ""


def test_the_live_view_ends_with_ctrl_c_and_leaves_the_last_table(server):
    """In a terminal of its own."""
    theirs, ours = pty.openpty()[::-1]
    command = [sys.executable, str(CLI), "top", "--metrics-url", metrics_url(server.ports), "--every", "0.5"]
    command = [sys.executable, "-c", HEED_CTRL_C, *command]
    env = os.environ | {"COLUMNS": "100", "LINES": "24", "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        try:
            os.close(theirs)
            said = ""
            limit = time.monotonic() + 60
            while "tiny:2" not in said:
                part = read_from(ours)
                assert part, (process.wait(60), said)
                assert time.monotonic() < limit, said
                said += part
            process.send_signal(signal.SIGINT)
            rest = "".join(iter(lambda: read_from(ours), ""))
            assert process.wait(60) == 0
        finally:
            process.kill()
    os.close(ours)
    left = rest.split("\x1b[?1049l")[1]
    assert "tiny:2" in left
    assert "Traceback" not in left


def test_scripts_get_json(server):
    command = [sys.executable, str(CLI), "top", "--json", "--metrics-url", metrics_url(server.ports), "--every", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [model["name"] for model in found["models"]] == ["animals", "gathering", "tiny", "tiny"]
    assert found["models"][0]["requests_per_second"] >= 0
    assert found["machine"]["memory_total_bytes"] > 0
