"""Whether a server answers, and rightly: golden images asked for again and again."""

import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from core.errors import ServerOverloaded, ServingError
from serving.golden import Watched
from serving.server import Server
from serving.wire import Answer

_PROBE_SECONDS = 600.0  # the prober judges much earlier


class Prober:
    """Asks every model for one golden image again and again, and tells a hung server from a busy one."""

    EVERY = 1.0  # seconds between two questions
    PATIENCE = 2.0  # seconds an answer may take while the server is idle
    LONGEST = 30.0  # seconds between two looks at whether a server that works also answers anyone
    BUSY = 0.1  # processors' worth of work that counts as working

    def __init__(self, server: Server) -> None:
        self._server, self._models = server, server.models
        self._asked: list[tuple[Watched, Answer]] = []
        self._since, self._work = time.monotonic(), 0.0
        self._answered: int | None = None
        self._asked_answered: Future[int] | None = None

    def fault(self) -> str | None:
        """What is wrong, or None. Call it often: it never waits.

        While models are loaded and unloaded nothing is asked: what loads them asks itself. What was asked before is
        forgotten, for it may have been of a version that is no longer served.
        """
        if self._server.changing or self._models is not self._server.models:
            self._asked, self._models = [], self._server.models
            return None
        for model, answer in self._asked:
            if answer.done() and (fault := self._judge(model, answer)):
                return fault
        self._asked = [(model, answer) for model, answer in self._asked if not answer.done()]
        elapsed = time.monotonic() - self._since
        if self._asked:
            return self._judge_silence(elapsed)
        if elapsed >= self.EVERY:
            self._ask()
        return None

    def _ask(self) -> None:
        self._start_clock()
        self._answered = self._asked_answered = None
        self._asked = [
            (model, model.ask(self._server.client, 0, 1, _PROBE_SECONDS))
            for model in self._server.models
            if model.instances
        ]

    def _start_clock(self) -> None:
        self._since, self._work = time.monotonic(), self._server.processor_seconds()

    def _judge(self, model: Watched, answer: Answer) -> str | None:
        try:
            return model.difference(answer.result(0), 0)
        except (NotYet, ServerOverloaded):  # whoever turns requests away is alive
            return None
        except ServingError as error:
            return f"'{model.name}' failed a question it must answer ({error})"

    def _judge_silence(self, elapsed: float) -> str | None:
        """A hung server is idle, or works without ever answering anyone; a busy one answers others meanwhile.

        One that would work but gets no processor, on a machine that is at other work, is not idle.
        """
        silent = f"'{self._asked[0][0].name}' does not answer"
        worked = self._server.processor_seconds() - self._work
        if elapsed > self.PATIENCE and worked < self.BUSY * elapsed and not self._server.could_run():
            return silent
        if elapsed > self.LONGEST and self._asked_answered is None:
            self._asked_answered = self._server.ask_answered()
        if self._asked_answered and self._asked_answered.done():
            answered, self._asked_answered = self._asked_answered.result(), None
            if answered == self._answered:
                return silent
            self._answered = answered
            self._start_clock()
        return None
