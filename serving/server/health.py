"""Whether a server answers, and rightly: golden images asked for again and again."""

import math
import time
from concurrent.futures import Future
from dataclasses import dataclass

from core.errors import ServerOverloaded, ServingError
from serving.protocol.grpc import Answer
from serving.server.inventory import ServedVersion
from serving.server.server import Finished, Server

_PROBE_SECONDS = 600.0  # the prober judges much earlier


@dataclass
class Question:
    """A golden image that a model was asked for: since when, and how much its processes had worked by then.

    ``finished`` is how many runs the model had finished when that was last asked for, ``asking`` the answer to it.
    ``answered`` is when the last question was asked that was answered.
    """

    answer: Answer
    since: float
    work: float
    judged: bool = False
    finished: int | None = None
    asking: "Future[Finished] | None" = None
    answered: float = -math.inf


class Prober:
    """Asks every model for one golden image again and again, and tells one that hangs from a busy one.

    Each is judged by itself: what others answer meanwhile says nothing of it.
    """

    EVERY = 1.0  # seconds between two questions
    PATIENCE = 2.0  # seconds an answer may take while the model is idle
    LONGEST = 30.0  # seconds between two looks at whether a model that works also answers anyone
    BUSY = 0.1  # processors' worth of work that counts as working

    def __init__(self, server: Server) -> None:
        self._server, self._models = server, server.models
        self._questions: dict[tuple[str, str], Question] = {}

    def fault(self) -> str | None:
        """What is wrong, or None. Call it often: it never waits.

        While models are loaded and unloaded nothing is asked: what loads them asks itself. What was asked before is
        forgotten, for it may have been of a version that is no longer served.
        """
        if self._server.changing or self._models is not self._server.models:
            self._questions, self._models = {}, self._server.models
            return None
        faults = (self._look(model) for model in self._models if model.instances)
        return next((fault for fault in faults if fault), None)

    def _look(self, model: ServedVersion) -> str | None:
        question = self._questions.get((model.name, model.version))
        elapsed = time.monotonic() - question.since if question else 0.0
        if question is None or (question.judged and elapsed >= self.EVERY):
            self._ask(model, question)
            return None
        if question.judged:
            return None
        if question.answer.done():
            question.judged = True
            return _judged(model, question.answer)
        return self._judge_silence(model, question, elapsed)

    def _ask(self, model: ServedVersion, last: Question | None) -> None:
        answer = model.ask(self._server.client, 0, 1, _PROBE_SECONDS)
        question = Question(answer, time.monotonic(), self._server.processor_seconds(model))
        question.answered = last.since if last else question.answered
        self._questions[model.name, model.version] = question

    def _judge_silence(self, model: ServedVersion, question: Question, elapsed: float) -> str | None:
        """One that hangs is idle, or works without ever finishing anything; a busy one answers others meanwhile.

        One that would work but gets no processor, on a machine that is at other work, is not idle.
        """
        silent = f"'{model.name}' does not answer"
        worked = self._server.processor_seconds(model) - question.work
        if elapsed > self.PATIENCE and worked < self.BUSY * elapsed and not self._server.could_run(model):
            return silent

        # It works: whether it ever finishes anything, the server's statistics say, which are asked for now and then.
        if elapsed > self.LONGEST and question.asking is None:
            question.asking = self._server.ask_finished()
        if question.asking and question.asking.done():
            finished, question.asking = question.asking.result().get((model.name, model.version), -1), None
            if finished == question.finished and self._is_overtaken(model, question):
                return silent
            question.finished = finished
            question.since, question.work = time.monotonic(), self._server.processor_seconds(model)
        return None

    def _is_overtaken(self, model: ServedVersion, question: Question) -> bool:
        """Whether the model that it waits for, if any, has answered what that was asked later: its turn has come."""
        other = self._questions.get((model.asks, model.version)) if model.asks else None
        return other is None or (other.since if other.judged else other.answered) > question.since


def _judged(model: ServedVersion, answer: Answer) -> str | None:
    try:
        return model.difference(answer.result(0), 0)
    except ServerOverloaded:  # whoever turns requests away is alive
        return None
    except ServingError as error:
        return f"'{model.name}' failed a question it must answer ({error})"
