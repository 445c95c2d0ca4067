"""The events that ``serve`` reports, and the log of them: a slow or broken listener never holds a server up."""

import json
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from types import TracebackType
from typing import Literal, Self, TextIO

from core.places import shown
from serving.server.launch import ServerPorts

_LAST_SECONDS = 1.0  # for the last lines to be written, at the end


@dataclass(frozen=True)
class Event:
    """Something a person who watches would want to know.

    ``kind`` is ``starting``, ``warning`` (it goes on), ``ready`` (``models`` are served at ``ports`` of ``host``),
    ``loaded`` (a new version), ``refused`` (a new version that is bad), ``gone`` (no longer served), ``lost``
    (``message`` says why; it is started again) or ``stopped``.
    """

    kind: str
    message: str
    ports: ServerPorts
    host: str
    models: tuple[str, ...] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def places(self) -> dict[str, str]:
        """Where a server that is ready is asked for what."""
        health = f"http://{self.host}:{self.ports.http}/v2/health/ready"
        metrics = f"http://{self.host}:{self.ports.metrics}/metrics"
        return {"gRPC": f"{self.host}:{self.ports.grpc}", "HTTP": health, "metrics": metrics}


class EventLog:
    """Writes events to ``stream``, each with its time; call it with them, within a block.

    It is done in a thread of its own, for a terminal or a pipe may stop taking them; where it fails once, because
    nobody listens any more or the disk is full, it is not tried again.
    """

    def __init__(self, stream: TextIO, kind: Literal["text", "json"] = "text") -> None:
        self._stream, self._line = stream, as_json if kind == "json" else as_text
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="event log", daemon=True)

    def __call__(self, event: Event) -> None:
        """Write ``event``, without waiting until that is done."""
        self._events.put(event)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.put(None)
        self._thread.join(_LAST_SECONDS)

    def _write(self) -> None:
        try:
            while event := self._events.get():
                print(self._line(event), file=self._stream, flush=True)
        except (OSError, ValueError):  # the latter of a stream that was closed
            _let_go(self._stream)


def as_text(event: Event) -> str:
    """An event as lines for a person: when, what, and of a server that is ready where it is asked for what."""
    lines = [f"{event.at:%Y-%m-%dT%H:%M:%SZ} {event.kind}: {event.message}"]
    if event.kind == "ready":
        places = {"models": ", ".join(event.models)} | event.places
        lines += [f"  {name:8} {place}" for name, place in places.items()]
    return shown("\n".join(lines))


def as_json(event: Event) -> str:
    """An event as one line of JSON."""
    said = {"time": event.at.isoformat(timespec="milliseconds"), "event": event.kind, "message": shown(event.message)}
    ready = {"models": event.models} | {name.lower(): place for name, place in event.places.items()}
    return json.dumps(said | (ready if event.kind == "ready" else {}), ensure_ascii=False)


def _let_go(stream: TextIO) -> None:
    """Have what is left in the buffer of ``stream``, which Python writes at its end, go nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # it has no file, or is closed
