"""Connections of clients over HTTP: how many, and how long one may keep its place without doing anything."""

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 512  # connections at a time
PATIENCE = 30.0  # seconds without a byte from a client, or to it, unless Triton is at work for it
MOST_HEAD = 32 << 10  # bytes of a request's line and headers
MOST_PIECES = 20_000  # that a body may come in
_LOOK_EVERY = 1.0  # seconds

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 62\r\n"
    b'\r\n{"error": "too many clients are connected: ask again later"}  '
)


class Counted(h11.Connection):
    """h11's, for which a body in more than ``MOST_PIECES`` is no request: each takes its time, however small."""

    _pieces = 0

    def next_event(self) -> Any:
        """What came next. Raises RemoteProtocolError for anything that is not a request."""
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces += 1
        elif isinstance(event, h11.Request):
            self._pieces = 0
        if self._pieces > MOST_PIECES:
            raise h11.RemoteProtocolError("too many pieces")
        return event


class Connection(H11Protocol):
    """uvicorn's, which gives up on who is silent from the first byte on, and answers who sends no more but listens."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.conn = Counted(h11.SERVER, MOST_HEAD)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch the client; where there are too many, who has been silent for longest goes."""
        super().connection_made(transport)
        # Headers and body are two writes: without it the second waits for 40 ms, until the first is acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._progress, self._since, self._ended = (0, 0), self.loop.time(), False
        self._received = 0
        self._watch = self.loop.call_later(_LOOK_EVERY, self._look)
        if len(self.connections) > MOST and not self._make_room():
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what a client sends."""
        self._received += len(data)
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # what is no request, behind one that is being answered
            self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more: it still gets its answer, unless that is of a request that lacks its end."""
        self._ended = True
        if self._answers:
            if self.cycle.more_body:
                self.data_received(b"")
            return True
        return False

    def on_response_complete(self) -> None:
        """Close the connection of a client that sends no more."""
        super().on_response_complete()
        if self._ended and not self._answers:
            self.transport.close()

    @property
    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def silent_since(self) -> float | None:
        """When a byte came or went last; None while Triton is at work for the client."""
        progress = (self._received, self.transport.get_write_buffer_size())
        if progress != self._progress or (self._answers and not self.cycle.more_body):
            self._progress, self._since = progress, self.loop.time()
        return None if self._answers and not self.cycle.more_body else self._since

    def _look(self) -> None:
        since = self.silent_since
        if since is not None and self.loop.time() - since > PATIENCE:
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(_LOOK_EVERY, self._look)

    def _make_room(self) -> bool:
        """Whether a client that says nothing could be sent away."""
        others: list[Any] = [each for each in self.connections if each is not self and not each.transport.is_closing()]
        silent = [each for each in others if not each._answers]
        if not silent:
            return False
        min(silent, key=lambda each: each.silent_since or 0.0).transport.abort()
        return True
