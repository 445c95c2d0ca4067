"""``serve``: a tritonserver that is right before it is called ready, and is started again when it no longer is.

Triton never restarts a dead Python stub, and its readiness endpoints stay green without one (python_backend's
stubs, server 2.51). So readiness is judged here, by golden images.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from core.errors import GanfoundryError, ServingError
from serving.repository.servable import check_servable
from serving.repository.versions import list_models
from serving.server.events import Event as Event
from serving.server.health import Prober
from serving.server.http_gateway import Gateway
from serving.server.launch import EXIT_TIMEOUT, Access, ServerPorts, another_port, check_ports
from serving.server.locate import Triton, find_triton
from serving.server.processes import raise_file_limit
from serving.server.rollout import Rollout, Snapshot, take_snapshots
from serving.server.server import Server
from serving.server.shared_memory import check_shared_memory
from serving.server.workspace import Workspace, clean_leftovers, make_workspace, remove_workspace

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.2  # seconds between two looks at the processes
_GRACE = EXIT_TIMEOUT + 5.0  # seconds from asking the server to end to killing it


def serve(
    repository: Path,
    ports: ServerPorts | None = None,
    tritonserver: Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    *,
    access: Access | None = None,
    engine: str = "",
) -> None:
    """Serve ``repository`` until SIGINT or SIGTERM. Blocks; call it in the main thread.

    ``engine`` names configurations beside the usual ones (serving/repository/engines.py). Raises ServingError or
    MissingDependency, one line with the reason, if it cannot start or cannot go on.
    """
    supervisor = Supervisor(repository, ports, tritonserver, on_event, access=access, engine=engine)
    with _until_signalled(supervisor.stop):
        supervisor.run()


class Supervisor:
    """Runs a tritonserver, judges it by golden images, and starts it again when it is dead, hung or wrong.

    What is published meanwhile it has the server load.

    ``run`` blocks until ``stop`` is called from elsewhere. As a context manager it runs in a thread: the block
    begins when the server is ready, and ends with the error if the server could not go on. ``ports`` are 8001,
    8000 and 8002 unless given; ``url`` is the gRPC address. A server that is lost within ``steady_seconds`` of being
    ready counts as one that did not start.
    """

    def __init__(
        self,
        repository: Path,
        ports: ServerPorts | None = None,
        tritonserver: Path | None = None,
        on_event: Callable[[Event], None] | None = None,
        *,
        access: Access | None = None,
        engine: str = "",
        start_seconds: float = 300.0,
        most_starts: int = 3,
        steady_seconds: float = 5.0,
    ) -> None:
        self.repository, self.ports = repository.resolve(), ports or ServerPorts()
        self.access, self.engine = access or Access(), engine
        self.url = f"{self.access.connect_to}:{self.ports.grpc}"
        self.server: Server | None = None
        self.restarts = 0
        self._program, self._on_event = tritonserver, on_event or _ignore
        self._start_seconds, self._most_starts, self._steady_seconds = start_seconds, most_starts, steady_seconds
        self._stopping, self._settled = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run_quietly, name="triton supervisor")

    def run(self) -> None:
        """Serve until ``stop``. Raises ServingError when a first start fails, or ``most_starts`` in a row."""
        triton = find_triton(self._program)
        self.access.check(triton)
        raise_file_limit()
        self._check()
        clean_leftovers()
        workspace = make_workspace(triton)
        try:
            self._run_servers(triton, workspace)
        finally:
            remove_workspace(workspace)
            self._tell("stopped", "the server has ended")

    def stop(self) -> None:
        """Ask ``run`` to end the server and return."""
        self._stopping.set()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._settled.wait()
        except BaseException:  # Ctrl-C
            self._end()
            raise
        if self._error:
            self._end()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if self._error and error is None:
            raise self._error

    def _end(self) -> None:
        self.stop()
        self._thread.join()

    def _run_quietly(self) -> None:
        try:
            self.run()
        except BaseException as error:  # handed to the thread that waits in __enter__
            self._error = error
        finally:
            self._settled.set()

    def _run_servers(self, triton: Triton, workspace: Workspace) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._run_once(triton, workspace)
                failures = 0
            except ServingError as error:
                failures += 1
                if not self._settled.is_set() or failures >= self._most_starts:
                    raise ServingError(self._given_up(failures, error)) from None
                self._tell("lost", f"it could not be kept running ({error})")
                self._stopping.wait(failures - 1)  # what stands in the way may pass

    def _run_once(self, triton: Triton, workspace: Workspace) -> None:
        """Start one server and watch it until it is no longer right, or until asked to stop."""
        self._tell("starting", f"{triton.program} ({triton.version})")
        self._check()
        with _one_kind_of_error():
            check_shared_memory(list_models(self.repository), triton.bundled)
        snapshots = take_snapshots(self.repository)
        ports = replace(self.ports, http=another_port(self.ports)) if triton.bundled else self.ports
        with _one_kind_of_error():
            self.server = server = Server(triton, self.repository, ports, self.access, self.engine, workspace)
        if not server.keys_are_hidden:
            self._tell("warning", "nothing may be traced here, so whoever lists the processes sees the server's keys")
        try:
            with _one_kind_of_error():
                right = server.wait_until_right(self._start_seconds, self._stopping)
            if right:
                with Gateway(self.access, self.ports.http, ports.http) if triton.bundled else nullcontext():
                    self._keep(server, snapshots)
        finally:
            # One that is dead or hung would not hear; waiting for it is time without a server.
            server.end(_GRACE if self._stopping.is_set() and not server.fault() else 0)

    def _keep(self, server: Server, snapshots: Mapping[str, Snapshot]) -> None:
        """Say that the server is ready, and watch it. Raises ServingError if it is lost too early."""
        models = tuple(f"{each.name}:{each.version}" for each in server.models)
        self._tell("ready", "every golden image came back right", models)
        since = time.monotonic()
        self._settled.set()
        with _one_kind_of_error():
            reason = self._watch(server, snapshots)

        if reason is None:
            return
        self.restarts += 1
        if (lasted := time.monotonic() - since) < self._steady_seconds:
            raise ServingError(f"lost {lasted:.1f} s after it was ready: {reason}")
        self._tell("lost", reason)

    def _watch(self, server: Server, snapshots: Mapping[str, Snapshot]) -> str | None:
        prober, rollout = Prober(server), Rollout(server, self.repository, snapshots, self._tell, self._stopping)
        try:
            while not self._stopping.wait(_LOOK_EVERY):
                rollout.look()
                if reason := server.fault() or prober.fault():
                    return reason
        finally:
            rollout.close()
        return None

    def _check(self) -> None:
        """Raise ServingError for what Triton would refuse with no useful word, or not notice at all."""
        check_ports(self.ports, self.access.address)
        with _one_kind_of_error():
            check_servable(self.repository)

    def _given_up(self, failures: int, error: ServingError) -> str:
        times = "" if failures == 1 else f" ({failures} times in a row)"
        return f"the server did not {'keep running' if self._settled.is_set() else 'start'}{times}: {error}"

    def _tell(self, kind: str, message: str, models: tuple[str, ...] = ()) -> None:
        """Report an event. A listener that fails hears of no further ones: the server goes on without it."""
        logger.info("%s: %s", kind, message)
        try:
            self._on_event(Event(kind, message, self.ports, self.access.connect_to, models))
        except Exception:  # whatever a listener may raise
            logger.exception("a listener failed, and hears of no further events")
            self._on_event = _ignore


def _ignore(_: Event) -> None:
    """Take an event where there is no listener."""


@contextmanager
def _one_kind_of_error() -> Iterator[None]:
    """Whatever can go wrong with a start, as a ServingError: a damaged file, a full disk, a process that vanished."""
    try:
        yield
    except ServingError:
        raise
    except (GanfoundryError, psutil.Error, OSError) as error:
        raise ServingError(" ".join(str(error).split())) from None


@contextmanager
def _until_signalled(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call ``stop`` within the block."""

    previous = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
