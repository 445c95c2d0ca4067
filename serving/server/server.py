"""One run of a tritonserver: started, checked against golden images, watched, and ended without a trace."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path

import psutil
from tritonclient.utils import InferenceServerException

from core.errors import ServerOverloaded, ServingError
from serving.protocol.grpc import CONTROL_SECONDS, connect, translated
from serving.server import processes
from serving.server.inventory import ServedVersion, inventory
from serving.server.launch import Access, ServerPorts, launch
from serving.server.locate import Triton
from serving.server.log_errors import STILLBORN, Log
from serving.server.shared_memory import taken
from serving.server.workspace import Workspace, clean_shared_memory, note_group

Finished = Mapping[tuple[str, str], int]  # runs, by model and version

_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)  # no line of the log is the reason of these
_ZOMBIE_SECONDS = 0.5  # that a server may take to see that a process it started has died
_LOOK_SECONDS = 0.1  # between two looks at what the server was asked to do
_GOLDEN_SECONDS = 120.0  # a first run may compile kernels
_LOAD_SECONDS = 600.0  # an engine may be built
_IDLE = b"All models are stopped, unloading models"  # what Triton logs once no request is in flight any more
_ANSWER_SECONDS = 0.3  # for the last answers to leave


class Stillborn(ServingError):
    """A process of a model died as soon as it was started, and the server still waits for its first word."""


class Server:
    """A running tritonserver. Whoever makes it must ``end`` it.

    ``models`` are the versions it serves, ``stubs`` the processes of those that run in one, by process; ``changing`` is
    whether models are being loaded and unloaded.
    """

    def __init__(
        self, triton: Triton, repository: Path, ports: ServerPorts, access: Access, engine: str, workspace: Workspace
    ) -> None:
        self.bundled = triton.bundled
        self._repository, self._ports, self._access, self._workspace = repository, ports, access, workspace
        self._log = Log(workspace.log, repository, workspace.link("models", repository))
        self._process, self.keys_are_hidden = launch(triton, repository, ports, access, engine, workspace)
        self.address = f"{access.connect_to}:{ports.grpc}"
        self.client = connect(self.address, access.trust)

        # What it serves, and the processes that do.
        self.stubs: dict[psutil.Process, tuple[str, str]] = {}
        self.models: list[ServedVersion] = []
        self._found = False  # whether those were looked for: it has been ready
        self._stopped: set[psutil.Process] = set()
        self._zombies: set[psutil.Process] = set()  # children that were dead when that was looked at last
        self._looked = 0.0
        self._buried: set[psutil.Process] = set()  # those of them of which it was said
        self._needed: dict[tuple[str, str], int] = {}  # stubs that must live, by model and version
        self._got_over = 0  # bytes of the log: what it says of a model that was refused explains no later end
        self.changing = False

    @property
    def shared_memory(self) -> int:
        """The mebibytes that its models have taken so far."""
        return taken(self._workspace.shm_prefix)

    @property
    def pid(self) -> int:
        """The server's process, which is also its process group."""
        return self._process.pid

    def wait_until_right(self, seconds: float, stopping: threading.Event) -> bool:
        """Wait until every model is loaded and its golden images come back right; False if ``stopping`` came first.

        Raises ServingError with the reason if the server ends, ``seconds`` pass, or an image is wrong.
        """
        limit = time.monotonic() + seconds
        while not self._listens():
            if (fault := self.fault()) or time.monotonic() > limit:
                late = _because(f"tritonserver was not ready after {seconds:.0f} s", self._log.reason(self._got_over))
                raise ServingError(fault or late)
            if stopping.wait(0.05):
                return False
        self.find_models()
        if not self.models:
            raise ServingError(f"{self._repository} has no models: add one with 'publish'")
        return self.check_golden(self.models, stopping)

    def load(self, name: str) -> None:
        """Have the server load what is new of the model ``name``. Raises ServingError with the reason if it cannot.

        Raises Stillborn at once where a process of the model dies as it starts, for the server itself would wait for
        minutes.
        From then until ``settle`` processes may end, because those of older versions are no longer needed.
        """
        self._change(name, self.client.load_model)

    def unload(self, name: str) -> None:
        """Have the server forget a model, and wait for its last answers. Raises ServingError if it cannot."""
        self._change(name, self.client.unload_model)
        limit = time.monotonic() + _LOAD_SECONDS
        while time.monotonic() < limit and name in dict(processes.stubs_among(self._children()).values()):
            time.sleep(0.05)

    def find_models(self) -> None:
        """Look anew at what is served, and by which processes. Raises ServingError for what cannot be checked."""
        try:
            served = inventory(self.client, self._access.headers, self._repository, self.models)
            self.models, self._found = list(served), True
        except (InferenceServerException, ValueError) as error:
            raise translated(error) from None
        stubs = processes.stubs_among(self._children())
        # What is loaded anew has its old stubs for a while too: they end when their last request has been answered.
        there = Counter(stubs.values())
        self._needed = {(m.name, m.version): min(m.instances, there[m.name, m.version]) for m in self.models}
        self.stubs = {stub: model for stub, model in stubs.items() if model in self._needed}

    def settle(self) -> None:
        """``find_models`` when everything is loaded: from then on every process must live and answer."""
        try:
            self.find_models()
            self._got_over = max(self._got_over, self._log.size())
        finally:
            self.changing = False

    def check_golden(self, models: Iterable[ServedVersion], stopping: threading.Event) -> bool:
        """Ask for every golden image; False if ``stopping`` came first. Raises ServingError unless all are right."""
        return all(self._check_golden(model, stopping) for model in models)

    def fault(self) -> str | None:
        """What is wrong with the processes, or None: the server gone, a stub gone, or one of them stopped."""
        if ended := self._ended():
            return ended
        if not self._found and self._stillborn():
            return _because(STILLBORN, self._log.last_words())
        states = {process: processes.state_of(process) for process in self._processes()}
        if not self.changing and self._too_few(states):
            return "a backend stub died"
        # Stopped twice in a row is not a blink. A stub that is continued later aborts the whole server.
        stopped = {process for process, state in states.items() if state == psutil.STATUS_STOPPED}
        still, self._stopped = stopped & self._stopped, stopped
        return f"the process {still.pop().pid} is stopped" if still else None

    def _stillborn(self) -> bool:
        """Whether a child died, and the server, which would wait for its first word for minutes, did not notice."""
        if time.monotonic() - self._looked < _ZOMBIE_SECONDS:
            return False
        known = self._buried | self.stubs.keys()
        dead = {
            child for child in self._children() if child not in known and processes.state_of(child) in processes.DEAD
        }
        still, self._zombies, self._looked = dead & self._zombies, dead, time.monotonic()
        self._buried |= still
        return bool(still)

    def _too_few(self, states: Mapping[psutil.Process, str]) -> bool:
        alive = Counter(model for stub, model in self.stubs.items() if states.get(stub) not in processes.DEAD)
        return any(alive[model] < count for model, count in self._needed.items())

    def processor_seconds(self, model: ServedVersion) -> float:
        """The processor time, in seconds, that the processes which work for the model have used."""
        return sum(map(processes.processor_seconds, self._working_for(model)))

    def could_run(self, model: ServedVersion) -> bool:
        """Whether a thread of the server, or of who works for the model, runs or waits for nothing but a processor."""
        return any(processes.could_run(process) for process in {*self._itself(), *self._working_for(model)})

    def ask_finished(self) -> "Future[Finished]":
        """Ask how many runs of each model the server has finished; of none if it does not even say. Never waits."""
        finished: Future[Finished] = Future()
        threading.Thread(target=lambda: finished.set_result(self._finished()), daemon=True).start()
        return finished

    def end(self, grace: float) -> None:
        """End every process: ask, wait at most ``grace`` seconds, then kill; and clean up the shared memory."""
        self.client.close()
        if grace > 0 and self._process.poll() is None:
            asked_at = self._log.size()
            self._process.terminate()
            self._wait_until_idle(grace, asked_at)
        children = self._children() or list(self.stubs)
        processes.kill_group(self.pid)
        self._process.wait()
        note_group(self._workspace, 0)
        processes.wait_for(children, 5)
        clean_shared_memory(self._workspace.shm_prefix, keep="lock")

    def _wait_until_idle(self, grace: float, asked_at: int) -> None:
        """Wait until the server has ended, or until nothing is left to do for it but to free memory.

        For that each stub takes a second, one after the other: somebody who presses Ctrl-C would wait for all of them.
        """
        limit = time.monotonic() + grace
        while self._process.poll() is None and time.monotonic() < limit:
            if self.stubs and _IDLE in self._log.since(asked_at):
                limit = min(limit, time.monotonic() + _ANSWER_SECONDS)
            time.sleep(0.02)

    def _finished(self) -> Finished:
        try:
            answer = self.client.get_inference_statistics(headers=self._access.headers, client_timeout=CONTROL_SECONDS)
        except Exception:  # what gRPC raises when the client is closed meanwhile is not for anyone to see
            return {}
        return {(model.name, model.version): model.execution_count for model in answer.model_stats}

    def _check_golden(self, model: ServedVersion, stopping: threading.Event) -> bool:
        """Ask for every golden image; False if ``stopping`` came first. Raises ServingError unless all are right."""
        first = 0
        while first < len(model.golden):
            answer = model.ask(self.client, first, first + model.max_batch, _GOLDEN_SECONDS)

            # A server that dies meanwhile would leave the question open.
            while not answer.done():
                if fault := self.fault():
                    raise ServingError(fault)
                if stopping.wait(0.05):
                    return False

            try:
                values = answer.result()
            except ServerOverloaded:  # by clients that were there first: again
                continue
            if fault := model.difference(values, first):
                raise ServingError(fault)
            first += model.max_batch
        return True

    def _ended(self) -> str | None:
        status = self._process.poll()
        if status is None:
            return None
        why = self._log.reason(self._got_over)
        if not self._found and why.startswith(("the model", "port", "the server may not")):
            return why  # which a server that was ready has got over
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return _because(f"tritonserver ended {how}", "" if status in _FROM_OUTSIDE else why)

    def _listens(self) -> bool:
        """Whether this very server, and no other, serves on all its ports, which begins when every model is loaded."""
        try:
            socket.create_connection((self._access.connect_to.strip("[]"), self._ports.grpc), 1).close()
        except OSError:
            return False
        wanted = {self._ports.grpc, self._ports.http, self._ports.metrics}
        try:
            return wanted <= set().union(*map(processes.listening, [*self._processes(), *self._children()]))
        except psutil.AccessDenied:  # a program with privileges: nobody may look
            return self._process.poll() is None

    def _change(self, name: str, how: Callable[..., None]) -> None:
        self.changing, begun = True, self._log.size()
        done: Future[None] = Future()
        threading.Thread(target=self._ask_to_change, args=(name, how, done), daemon=True).start()
        while not done.done():
            if self._stillborn():
                raise Stillborn(_because(STILLBORN, self._log.last_words(begun)))
            wait([done], _LOOK_SECONDS)
        done.result()

    def _ask_to_change(self, name: str, how: Callable[..., None], done: "Future[None]") -> None:
        try:
            how(name, headers=self._access.headers, client_timeout=_LOAD_SECONDS)
            done.set_result(None)
        except (InferenceServerException, ValueError) as error:  # gRPC says the latter of a client that was closed
            done.set_exception(translated(error, name, self._log.in_our_words))
        except Exception as error:
            done.set_exception(error)

    def _processes(self) -> list[psutil.Process]:
        """The server and its stubs; the server only while it is there."""
        return [*self._itself(), *self.stubs]

    def _itself(self) -> list[psutil.Process]:
        try:
            return [psutil.Process(self.pid)]
        except psutil.NoSuchProcess:
            return []

    def _working_for(self, model: ServedVersion) -> list[psutil.Process]:
        """The model's stubs, and those of the one that it asks; where one has none, all of the server."""
        models = [(name, model.version) for name in (model.name, model.asks) if name]
        stubs = [[stub for stub, served in self.stubs.items() if served == each] for each in models]
        return [stub for each in stubs for stub in each] if all(stubs) else self._processes()

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what
