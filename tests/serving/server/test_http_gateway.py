"""What the gateway lets through, without a Triton behind it; test_hostile.py has one."""

import http.client
import json
import math
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ServingError
from serving.server import connections, http_gateway
from serving.server.http_gateway import MOST_CLIENTS, Gateway
from serving.server.launch import GATE, HOST, Access, free_ports
from serving.server.screening import MOST_BYTES, MOST_JSON, Refused, rewritten

RIGHT = {"inputs": [{"name": "seed", "shape": [2, 1], "datatype": "INT64", "data": [7, 2**32 - 1]}], "id": "é"}

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(0, 4)
    | st.floats(allow_nan=False, allow_infinity=False)
)
shapes = st.lists(st.integers(-1, 9) | st.just(2**62), max_size=9) | leaves
tensors = st.fixed_dictionaries(
    {}, optional={"shape": shapes, "parameters": leaves | st.just({"classification": 1}), "x": leaves}
)
requests = st.fixed_dictionaries(
    {}, optional={name: st.lists(tensors, max_size=3) | leaves for name in ("inputs", "outputs")}
)


def refused(body, json_length=None):
    with pytest.raises(Refused) as raised:
        rewritten(body, json_length, True)
    return raised.value.status


def test_a_right_request_is_the_same_afterwards():
    text = json.dumps(RIGHT).encode()
    body, length = rewritten(text + b"\0\xff", str(len(text)), True)
    assert (json.loads(body[:length]), body[length:]) == (RIGHT, b"\0\xff")
    assert json.loads(rewritten(text, None, True)[0]) == RIGHT


@given(requests | leaves)
def test_what_passes_has_bounded_shapes_and_asks_for_no_classes(request):
    text = json.dumps(request).encode()
    try:
        body, length = rewritten(text, None, True)
    except Refused as refused:
        assert refused.status == 400
        return
    assert len(body) == length
    assert json.loads(body) == request
    for tensor in request.get("inputs", []):
        assert all(side >= 1 for side in tensor["shape"])
        assert math.prod(tensor["shape"]) <= len(text)
    assert all("classification" not in tensor.get("parameters", {}) for tensor in request.get("outputs", []))


def test_of_two_members_with_one_name_only_the_one_that_was_looked_at_is_passed_on():
    body, _ = rewritten(b'{"inputs": [{"shape": [4611686018427387904], "shape": [1]}]}', None, True)
    assert body == b'{"inputs": [{"shape": [1]}]}'


def test_limits():
    assert refused(b" " * MOST_JSON + b"{}") == 413
    assert refused(b"[" * 100_000 + b"]" * 100_000) == 400
    assert [refused(b"{}", length) for length in ("", "0", "3", "-1", "1e0", "9" * 30)] == [400] * 6
    assert json.loads(rewritten(b'{"inputs": [{"shape": [4611686018427387904]}]}', None, False)[0])  # runs nothing


class Behind(BaseHTTPRequestHandler):
    """In place of a Triton: says what it was asked, and waits where it is told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if b"wait" in body:
            self.server.waiting.release()
            self.server.go_on.wait(60)
        said = {"method": self.command, "path": self.path, "body": body.decode(), "key": self.headers.get(GATE)}
        answer = b" " * self.server.padding + json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Content-Type", "application/x-behind")
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


class Upstream(ThreadingHTTPServer):
    request_queue_size = 2 * MOST_CLIENTS  # five as it comes: of more at a time, some would be tried again much later


@pytest.fixture
def behind():
    with Upstream((HOST, 0), Behind) as server:
        server.daemon_threads, server.padding = True, 0
        server.waiting, server.go_on = threading.Semaphore(0), threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def address(behind):
    ports = free_ports()
    with Gateway(Access(gate="g" * 16), ports.http, behind.server_port):
        yield HOST, ports.http


HEALTH = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
INFER = "/v2/models/tiny/infer"


def posted(body, *headers, path=INFER, length=True):
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask(connection, request=HEALTH):
    """The status, the headers and the body of the answer, or nothing where the connection is closed."""
    try:
        if request:
            connection.sendall(request)
        answer = http.client.HTTPResponse(connection, method="HEAD" if request.startswith(b"HEAD") else "GET")
        answer.begin()
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except (ConnectionError, http.client.HTTPException):
        return None


def asked(address, request=HEALTH):
    with socket.create_connection(address, 30) as connection:
        return ask(connection, request)


def test_what_may_pass_is_passed_on_with_the_key_and_comes_back(address):
    status, headers, body = asked(address, posted(b'{"inputs":[]}'))
    assert (status, headers["content-type"]) == (200, "application/x-behind")
    assert json.loads(body) == {"method": "POST", "path": INFER, "body": '{"inputs": []}', "key": "g" * 16}
    status, _, body = asked(address)
    assert json.loads(body) == {"method": "GET", "path": "/v2/health/ready", "body": "", "key": None}


def test_several_requests_go_over_one_connection(address):
    with socket.create_connection(address, 30) as connection:
        for _ in range(3):
            assert ask(connection)[0] == ask(connection, posted(b"{}"))[0] == 200
        connection.sendall(HEALTH * 3)  # without waiting
        answers = [http.client.HTTPResponse(connection) for _ in range(1)]
        answers[0].begin()
        assert answers[0].status == 200


def test_no_part_of_an_answer_waits_for_the_one_before_to_be_acknowledged(address, monkeypatch):
    made, found = connections.Connection.on_response_complete, []

    def looked_at(self):
        found.append(self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self)

    monkeypatch.setattr(connections.Connection, "on_response_complete", looked_at)
    assert asked(address)[0] == 200
    end = time.monotonic() + 10
    while not found and time.monotonic() < end:  # the answer is here before the server has done with it
        time.sleep(0.01)
    assert found == [1]


def test_a_head_is_a_get_without_its_body(address):
    status, headers, body = asked(address, HEALTH.replace(b"GET", b"HEAD"))
    _, whole, text = asked(address)
    assert (status, body) == (200, b"")
    assert headers["content-length"] == whole["content-length"] == str(len(text))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(address, method):
    status, _, body = asked(address, HEALTH.replace(b"GET", method.encode()))
    assert (status, json.loads(body)) == (405, {"error": "ask with GET, HEAD or POST"})


def chunked(*pieces):
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return posted(body, "Transfer-Encoding: chunked", length=False)


def test_a_body_in_chunks_is_passed_on_whole(address):
    status, _, body = asked(address, chunked(b'{"inp', b'uts":', b"[]}"))
    assert (status, json.loads(body)["body"]) == (200, '{"inputs": []}')
    assert asked(address, chunked(b"{"))[0] == 400


def test_chunks_have_the_limits_of_a_body(address):
    assert asked(address, chunked(*[b" " * (1 << 20)] * 17))[0] == 413
    assert asked(address, chunked(*[b" "] * 10_000, b"{}"))[0] == 200
    status, _, body = asked(address, chunked(*[b" "] * 20_000, b"{}"))
    assert (status, body) == (400, b"Invalid HTTP request received.")


def test_a_server_that_is_not_there_is_said():
    ports = free_ports()
    with Gateway(Access(), ports.http, ports.grpc):
        for request in (HEALTH, posted(b"{}")):
            status, _, body = asked((HOST, ports.http), request)
            why = "the server is stopping, restarting or gone: ask again later"
            assert (status, json.loads(body)) == (503, {"error": why})


def test_a_client_hears_what_is_wrong_before_it_sends_too_much(address):
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {MOST_BYTES + 1}\r\nExpect: 100-continue\r\n\r\n"
    assert asked(address, head.encode())[0] == 413
    with socket.create_connection(address, 30) as connection:
        connection.sendall(head.replace(str(MOST_BYTES + 1), "2").encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        assert ask(connection, b"{}")[0] == 200


def test_who_sends_too_much_hears_it(address):
    assert asked(address, posted(b" " * (MOST_BYTES + 1)))[0] == 413


def test_who_sends_no_more_still_gets_its_answer(address):
    with socket.create_connection(address, 30) as connection:
        connection.sendall(posted(b"{}"))
        connection.shutdown(socket.SHUT_WR)
        assert ask(connection, b"")[0] == 200
        assert connection.recv(1) == b""
    with socket.create_connection(address, 30) as connection:
        connection.sendall(posted(b"{}")[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert ask(connection, b"")[0] == 400


def test_who_says_nothing_keeps_nobody_from_health(address, monkeypatch):
    """As many as there are places, and as many again, silent or in the middle of a request."""
    monkeypatch.setattr(connections, "MOST", 100)
    half = posted(b"{}")[:-10]
    with ExitStack() as stack:
        for index in range(200):
            silent = stack.enter_context(socket.create_connection(address, 30))
            if index % 2:
                silent.sendall(half)
        assert [asked(address)[0] for _ in range(100)] == [200] * 100


def test_requests_to_models_keep_nobody_from_health(address, behind):
    with ThreadPoolExecutor(MOST_CLIENTS) as pool:
        waiting = [pool.submit(asked, address, posted(b'{"id": "wait"}')) for _ in range(MOST_CLIENTS)]
        for _ in waiting:
            assert behind.waiting.acquire(timeout=30)
        assert asked(address)[0] == 200
        status, _, body = asked(address, posted(b"{}"))
        assert (status, json.loads(body)) == (503, {"error": "too many requests at a time: ask again later"})
        behind.go_on.set()
        assert [each.result()[0] for each in waiting] == [200] * MOST_CLIENTS
    assert asked(address, posted(b"{}"))[0] == 200


def test_where_all_are_busy_one_more_is_told(address, behind, monkeypatch):
    monkeypatch.setattr(connections, "MOST", 2)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(asked, address, posted(b'{"id": "wait"}')) for _ in range(2)]
        for _ in waiting:
            assert behind.waiting.acquire(timeout=30)
        status, _, body = asked(address, b"")
        assert (status, json.loads(body)) == (503, {"error": "too many clients are connected: ask again later"})
        behind.go_on.set()
        assert [each.result()[0] for each in waiting] == [200] * 2


@pytest.mark.parametrize("said", [b"", HEALTH[:9], posted(b"{}")[:-1], HEALTH])
def test_who_is_silent_is_given_up(address, monkeypatch, said):
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)
    with socket.create_connection(address, 30) as connection:
        connection.sendall(said)
        try:
            while connection.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass


def test_who_does_not_read_is_given_up(address, behind, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)
    behind.padding = 32 << 20
    with socket.create_connection(address, 30) as connection:
        connection.sendall(HEALTH)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # until the other end has it closed
            try:
                connection.send(b" ")
            except ConnectionError:
                return
            time.sleep(0.05)
    pytest.fail("it was waited for")


def test_a_body_has_to_come_in_time(address, monkeypatch):
    monkeypatch.setattr(http_gateway, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(http_gateway, "LINGER", 0.1)
    status, _, body = asked(address, posted(b"{}")[:-1])
    assert (status, b"did not come within" in body) == (408, True)


def test_a_taken_port_is_said(address):
    with pytest.raises(ServingError, match=f"port {address[1]} cannot be used .*: choose another --http-port"):
        Gateway(Access(), address[1], 1)
