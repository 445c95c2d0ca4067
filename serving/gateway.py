"""What stands before the HTTP of the bundled Triton, which does not survive all that may be sent to it.

A shape of 2**62, lists inside lists, a body in a million chunks: each ends tritonserver 2.51, and some others fill its
memory; it has no limits to set. So it listens on a port of its own, runs models over HTTP only for whoever has a key
that nobody else has, and what comes in is read here, held against limits, and written anew.
"""

import http.client
import json
import math
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from core.errors import ServingError
from serving.launching import GATE, Access

MOST_BYTES = 16 << 20  # of a body
MOST_JSON = 4 << 20  # of JSON in it, which takes twenty times as much memory once it is read
MOST_SIDES = 8  # of a shape
MOST_CLIENTS = 64  # connected at a time
PATIENCE = 30.0  # seconds without a byte from a client
LINGER = 5.0  # seconds for what a client still sends when it has its answer

_ANSWER_SECONDS = 600.0  # the queue's own limit comes much earlier
_READING = threading.Semaphore(2)  # bodies whose JSON is read at a time
# In place of Triton's refusal, which names the key that nobody may have.
_RESTRICTED = b'{"error": "this API is restricted: POST what a model is asked for to its .../infer"}'
_INFER = re.compile(r"/v2/models/[^/?]+(/versions/[^/?]+)?/infer")
_PRINTED = re.compile(r"[!-~]{1,2048}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_JSON_LENGTH = "Inference-Header-Content-Length"
_PASSED_ON = ("admin-key",)


class Refused(Exception):
    """A request that is not passed on."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Gateway:
    """Passes on to the HTTP port ``inner`` of a Triton what comes to ``port``, within the block."""

    def __init__(self, access: Access, port: int, inner: int) -> None:
        try:
            self._listener = _Listener(access, port, inner)
        except OSError as error:
            raise ServingError(f"port {port} cannot be used ({error.strerror}): choose another --http-port") from None
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.1,), name="gateway")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = MOST_CLIENTS

    def __init__(self, access: Access, port: int, inner: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in access.address else socket.AF_INET
        self.inner = (access.connect_to.strip("[]"), inner)
        self.keys = {} if access.tls else {GATE: access.gate}
        self._places = threading.Semaphore(MOST_CLIENTS)
        super().__init__((access.address, port), _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # and no question to a name server

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # which is a client that went away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version, server_version, sys_version = "HTTP/1.1", "Ganfoundry", ""
    timeout, wbufsize = PATIENCE, -1  # an answer is sent in one piece
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self._inner = http.client.HTTPConnection(*self.server.inner, timeout=_ANSWER_SECONDS)

    def finish(self) -> None:
        self._inner.close()
        super().finish()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def handle_expect_100(self) -> bool:
        """Wait until it is known that the body is not too large."""
        return True

    def log_message(self, *_: Any) -> None:
        """Triton keeps the log."""

    def _answer(self) -> None:
        try:
            status, headers, body = self._ask(*self._request())
        except Refused as refused:
            self.close_connection = True  # nobody knows where the next request begins
            body = json.dumps({"error": str(refused)}).encode()
            status, headers = refused.status, {"Connection": "close"}
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if self.close_connection:
            self._linger()

    def _linger(self) -> None:
        """Take what is still being sent, for a while: who is cut off in the middle of it never sees the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        until = time.monotonic() + LINGER
        while time.monotonic() < until and self.rfile.read1(1 << 20):
            pass

    def _request(self) -> tuple[dict[str, str], bytes]:
        """Headers and body as they may be passed on."""
        if not _PRINTED.fullmatch(self.path):
            raise Refused(HTTPStatus.BAD_REQUEST, "that is no path of a Triton server")
        body, infers = self._body(), bool(_INFER.fullmatch(self.path.partition("?")[0]))
        headers = {name: value for name in _PASSED_ON if (value := self.headers.get(name)) is not None}
        headers |= self.server.keys if infers else {}
        if self.command == "GET" or not body:
            return headers, b""
        with _READING:
            body, json_length = rewritten(body, self.headers.get(_JSON_LENGTH), infers)
        return headers | {_JSON_LENGTH: str(json_length)}, body

    def _body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "send the body whole, with its Content-Length")
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as it is, not compressed")
        lengths = self.headers.get_all("Content-Length", ["0"])
        if len(lengths) != 1 or not _NUMBER.fullmatch(lengths[0]):
            raise Refused(HTTPStatus.BAD_REQUEST, "the Content-Length is no length")
        length = int(lengths[0])
        if length > MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MOST_BYTES} bytes, or use gRPC")
        if "Expect" in self.headers:
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
            self.wfile.flush()
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is shorter than its Content-Length")
        return body

    def _ask(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            self._inner.request(self.command, self.path, body, headers)
            answer = self._inner.getresponse()
            kept = {name: value for name in ("Content-Type", _JSON_LENGTH) if (value := answer.headers.get(name))}
            body = answer.read()
            names_key = answer.status == HTTPStatus.FORBIDDEN and GATE.encode() in body
            return answer.status, kept, _RESTRICTED if names_key else body
        except (OSError, http.client.HTTPException):
            why = "the server is stopping, restarting or gone: ask again later"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, why) from None


def rewritten(body: bytes, json_length: str | None, infers: bool) -> tuple[bytes, int]:
    """A body as it may be passed on, and how many bytes of it are JSON: the first ``json_length``, all unless given.

    Written anew, because of two members with one name, parsers take one or the other. Raises Refused.
    """
    if json_length is not None and not (_NUMBER.fullmatch(json_length) and 0 < int(json_length) <= len(body)):
        raise Refused(HTTPStatus.BAD_REQUEST, f"the {_JSON_LENGTH} is not the length of the JSON in the body")
    length = len(body) if json_length is None else int(json_length)
    if length > MOST_JSON:
        why = f"send at most {MOST_JSON} bytes of JSON, larger tensors as binary data"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
    try:
        request = json.loads(body[:length], parse_constant=_no_number)
        text = json.dumps(request).encode()
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
    if infers:
        _check(request, len(body))
    return text + body[length:], len(text)


def _check(request: Any, size: int) -> None:
    """Raise Refused for what would end a Triton 2.51. ``size`` is the request's, in bytes."""
    for tensor in _members(request, "inputs"):
        shape = tensor.get("shape")
        sides = shape if isinstance(shape, list) and len(shape) <= MOST_SIDES else [-1]
        fits = all(type(side) is int and 1 <= side <= size for side in sides) and math.prod(sides) <= size
        if not fits:  # no value takes less than a byte, and Triton makes room for all before it counts them
            raise Refused(
                HTTPStatus.BAD_REQUEST, "an input has no shape, an empty one, or one of more values than bytes"
            )
    for tensor in _members(request, "outputs"):
        parameters = tensor.get("parameters", {})
        if not isinstance(parameters, dict) or "classification" in parameters:  # it divides by the size of a BYTES
            raise Refused(HTTPStatus.BAD_REQUEST, "an output is asked for as classes: ask for it as it is")


def _members(request: Any, name: str) -> Iterator[dict[str, Any]]:
    tensors = request.get(name, []) if isinstance(request, dict) else None
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise Refused(HTTPStatus.BAD_REQUEST, f"the request has no list of {name}")
    yield from tensors


def _no_number(name: str) -> None:
    raise ValueError(name)
