"""What the gateway lets through, without a Triton behind it; test_hostile.py has one."""

import json
import math
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ServingError
from serving.gateway import MOST_BYTES, MOST_CLIENTS, MOST_JSON, Gateway, Refused, rewritten
from serving.launching import HOST, Access, free_ports

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


@pytest.fixture
def address():
    """A gateway to where nothing is."""
    ports = free_ports()
    with Gateway(Access(), ports.http, ports.grpc):
        yield HOST, ports.http


def ask(connection, request=b"GET /v2/health/ready HTTP/1.1\r\n\r\n"):
    try:
        connection.sendall(request)
        return connection.recv(1 << 16)
    except ConnectionError:
        return b""


def test_a_server_that_is_not_there_is_said(address):
    with socket.create_connection(address, 30) as connection:
        answer = ask(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'{"error": "the server is stopping, restarting or gone: ask again later"}' in answer


def test_a_client_hears_what_is_wrong_before_it_sends_too_much(address):
    head = f"POST /v2/models/tiny/infer HTTP/1.1\r\nContent-Length: {MOST_BYTES + 1}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(address, 30) as connection:
        assert ask(connection, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_more_clients_than_places_are_sent_away_and_places_come_free(address):
    slow = [socket.create_connection(address, 30) for _ in range(MOST_CLIENTS)]
    with socket.create_connection(address, 30) as one_too_many:
        assert ask(one_too_many) == b""
    assert ask(slow[-1]).startswith(b"HTTP/1.1 503 ")
    for connection in slow:
        connection.close()
    while True:  # until the gateway has noticed
        with socket.create_connection(address, 30) as connection:
            if ask(connection).startswith(b"HTTP/1.1 503 "):
                break


def test_a_taken_port_is_said(address):
    with pytest.raises(ServingError, match=f"port {address[1]} cannot be used .*: choose another --http-port"):
        Gateway(Access(), address[1], 1)
