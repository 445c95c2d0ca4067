"""What stands before the HTTP of the bundled Triton, which does not survive all that may be sent to it.

A shape of 2**62, lists inside lists, a body in a million chunks: each ends tritonserver 2.51, and some others fill its
memory; it has no limits to set. So it listens on a port of its own, runs models over HTTP only for whoever has a key
that nobody else has, and what comes in is read here, held against limits, and written anew.
"""

import asyncio
import http.client
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Self, TypeVar

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from core.errors import ServingError
from serving.protocol.refusals import answer_in_our_words
from serving.server.connections import MOST_HEAD, PATIENCE, Connection
from serving.server.launch import GATE, Access
from serving.server.screening import JSON_LENGTH, MOST_BYTES, NUMBER, Refused, rewritten

MOST_CLIENTS = 64  # bodies, and requests to models, at a time
BODY_SECONDS = 60.0  # for the whole of a body
LINGER = 5.0  # seconds for what a client still sends when it is already refused

_ANSWER_SECONDS = 600.0  # no longer does a request wait, for under `serve` queues have no limit of their own
_STOP_SECONDS = 5.0  # no longer than that does the server wait for what stands before it
_HEALTH_SECONDS = 10.0
_INFER = re.compile(r"/v2/models/[^/?]+(/versions/[^/?]+)?/infer")
_PRINTED = re.compile(r"/[!-~]{0,2047}")
_PASSED_ON = ("admin-key",)
_METHODS = {"GET": "GET", "HEAD": "GET", "POST": "POST"}
# In place of Triton's refusal, which names the key that nobody may have.
_RESTRICTED = b'{"error": "this API is restricted: POST what a model is asked for to its .../infer"}'

Answer = tuple[int, dict[str, str], bytes]
T = TypeVar("T")


class Gateway:
    """Passes on to the HTTP port ``inner`` of a Triton what comes to ``port``, within the block."""

    def __init__(self, access: Access, port: int, inner: int) -> None:
        family = socket.AF_INET6 if ":" in access.address else socket.AF_INET
        try:
            self._socket = socket.create_server((access.address, port), family=family, backlog=MOST_CLIENTS)
        except OSError as error:
            raise ServingError(f"port {port} cannot be used ({error.strerror}): choose another --http-port") from None

        self._app = GatewayApp(Inner(access.connect_to.strip("[]"), inner), {} if access.tls else {GATE: access.gate})
        how = uvicorn.Config(
            self._app, http=Connection, ws="none", loop="asyncio", lifespan="off", interface="asgi3", log_config=None,
            log_level="critical", access_log=False, proxy_headers=False, server_header=False, date_header=False,
            h11_max_incomplete_event_size=MOST_HEAD, timeout_keep_alive=int(PATIENCE), timeout_graceful_shutdown=1,
        )  # fmt: skip

        self._server = uvicorn.Server(how)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="gateway", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()
        self._app.close()


class Inner:
    """Triton's own HTTP, asked over connections that are kept. ``ask`` blocks."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._idle: LifoQueue[http.client.HTTPConnection] = LifoQueue()
        self._closed = False

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes, seconds: float) -> Answer:
        """Triton's answer. Raises Refused where it gives none."""
        connection = self._connection(seconds)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            kept = {name: value for name in ("Content-Type", JSON_LENGTH) if (value := answer.headers.get(name))}
            found = answer.status, kept, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            why = "the server is stopping, restarting or gone: ask again later"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, why) from None

        # The connection is kept for the next request.
        self._idle.put(connection)
        if self._closed:
            self.close()
        return found

    def close(self) -> None:
        """Close every connection, those in use as soon as they are not."""
        self._closed = True
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        try:
            connection = self._idle.get_nowait()
        except Empty:
            return http.client.HTTPConnection(*self._address, timeout=seconds)
        if connection.sock:
            connection.sock.settimeout(seconds)
        return connection


class GatewayApp:
    """The application: what is refused, and what is passed on. ``keys`` go with what runs a model.

    Health has threads of its own, so that it is told however many requests wait for models.
    """

    def __init__(self, inner: Inner, keys: dict[str, str]) -> None:
        self._inner, self._keys = inner, keys
        self._models = ThreadPoolExecutor(MOST_CLIENTS, "gateway to models")
        self._others = ThreadPoolExecutor(4, "gateway to health")
        self._readers = ThreadPoolExecutor(2, "gateway reading")
        self._bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        request = Request(scope, receive)
        try:
            status, headers, body = await self._answer(request)
            response = Response(body, status, headers)
            response.headers.setdefault("Content-Type", "application/json")
        except Refused as refused:
            await self._let_it_end(request)
            response = JSONResponse({"error": str(refused)}, refused.status)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def close(self) -> None:
        """Wait for nobody."""
        for pool in (self._models, self._others, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)
        self._inner.close()

    async def _answer(self, request: Request) -> Answer:
        path, method = _path_of(request), _METHODS.get(request.method)
        if method is None:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "ask with GET, HEAD or POST")

        headers = {name: value for name in _PASSED_ON if (value := request.headers.get(name)) is not None}
        length = _length_of(request)
        if method == "GET" and not length:
            status, kept, body = await _run(self._others, self._inner.ask, method, path, headers, b"", _HEALTH_SECONDS)
        else:
            status, kept, body = await self._ask_model(request, method, path, headers)

        if status == HTTPStatus.FORBIDDEN and GATE.encode() in body:
            body = _RESTRICTED
        if status >= HTTPStatus.BAD_REQUEST:
            status, body = answer_in_our_words(status, body)
        return status, kept, body

    async def _ask_model(self, request: Request, method: str, path: str, headers: dict[str, str]) -> Answer:
        """Read the body, and pass on what may be; no more at a time than there are places for."""
        if self._bodies >= MOST_CLIENTS:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at a time: ask again later")

        self._bodies += 1
        try:
            body, infers = await _body_of(request), bool(_INFER.fullmatch(path.partition("?")[0]))
            headers |= self._keys if infers else {}
            if method == "GET":
                body = b""
            if body:
                json_length = request.headers.get(JSON_LENGTH)
                body, length = await _run(self._readers, rewritten, body, json_length, infers)
                headers[JSON_LENGTH] = str(length)
            return await _run(self._models, self._inner.ask, method, path, headers, body, _ANSWER_SECONDS)
        finally:
            self._bodies -= 1

    async def _let_it_end(self, request: Request) -> None:
        """Take what is still being sent, for a while: who is cut off in the middle of it never sees the answer."""
        if "expect" in request.headers:
            return  # it waits to hear whether it may send
        with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # the latter of one that was read
            async with asyncio.timeout(LINGER):
                async for _ in request.stream():
                    pass


async def _run(pool: ThreadPoolExecutor, call: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, call, *arguments)


def _path_of(request: Request) -> str:
    """The path as it came, and what was asked behind it. Raises Refused for a malformed one."""
    path: str = request.scope["raw_path"].decode("latin-1")
    if query := request.scope["query_string"].decode("latin-1"):
        path += f"?{query}"
    if not _PRINTED.fullmatch(path):
        raise Refused(HTTPStatus.BAD_REQUEST, "that is no path of a Triton server")
    return path


def _length_of(request: Request) -> int | None:
    """How many bytes the body says it has; None if it comes in chunks. Raises Refused for too many, or packed ones."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as it is, not compressed")
    if "Transfer-Encoding" in request.headers:
        return None
    length = request.headers.get("Content-Length", "0")
    if not NUMBER.fullmatch(length):
        raise Refused(HTTPStatus.BAD_REQUEST, "the Content-Length is no length")
    if int(length) > MOST_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MOST_BYTES} bytes, or use gRPC")
    return int(length)


async def _body_of(request: Request) -> bytes:
    """The body, in chunks or not. Raises Refused for one that is too large or takes too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MOST_BYTES} bytes, or use gRPC")
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_SECONDS:.0f} seconds") from None
    return bytes(body)
