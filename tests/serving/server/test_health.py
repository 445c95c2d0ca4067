"""Which servers are taken for hung ones, by a clock that the tests turn."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import ServerOverloaded, ServingError
from serving.repository.golden import Reference
from serving.server import health as module
from serving.server.health import Prober

LOOK = 0.2  # seconds between two looks
GOLDEN = Reference({"z": np.zeros((1, 2), np.float32)}, "image", np.full((1, 2, 2, 1), 9, np.uint8))


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@dataclass
class Model:
    """One that answers after some seconds, or never; and works, or waits for a processor, meanwhile."""

    name: str
    clock: SimpleNamespace
    answers_after: float | None = None
    cores: float = 0.0
    runnable: bool = False
    runs_per_second: float = 0.0
    instances: int = 1
    version: str = "1"
    asks: str = ""
    says: Exception | np.ndarray = field(default_factory=lambda: GOLDEN.values)
    asked: list = field(default_factory=list)

    def ask(self, client, first, last, seconds):
        self.asked.append(self.clock.now)
        return SimpleNamespace(done=self._done(self.clock.now), result=self._result)

    def _done(self, since):
        return lambda: self.answers_after is not None and self.clock.now >= since + self.answers_after

    def _result(self, timeout):
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def difference(self, values, first):
        return f"'{self.name}' is wrong" if GOLDEN.difference(values, first) else None


class Fake:
    """A server of such models."""

    changing, client = False, None

    def __init__(self, clock, *models):
        self.clock, self.models, self.questions, self.speaks = clock, models, 0, True

    def processor_seconds(self, model):
        return model.cores * self.clock.now

    def could_run(self, model):
        return model.runnable

    def ask_finished(self):
        self.questions += 1
        answer = Future()
        if self.speaks:
            answer.set_result({(m.name, "1"): int(m.runs_per_second * self.clock.now) for m in self.models})
        return answer


def fault_within(server, seconds):
    """What the prober says within so many seconds, and after how many."""
    prober, begun = Prober(server), server.clock.now
    while server.clock.now < begun + seconds:
        if fault := prober.fault():
            return fault, server.clock.now - begun
        server.clock.now += LOOK
    return None


def test_models_that_answer_are_asked_every_second(clock):
    models = [Model("quick", clock, 0.0), Model("slow", clock, 1.5)]
    assert fault_within(Fake(clock, *models), 60) is None
    assert [len(model.asked) for model in models] == [pytest.approx(60 / 1.2, abs=12), pytest.approx(60 / 1.7, abs=3)]


def test_one_that_hangs_is_found_beside_one_that_works_and_answers(clock):
    working = Model("working", clock, 0.1, cores=0.2, runs_per_second=5)
    hung = Model("hung", clock)
    assert fault_within(Fake(clock, working, hung), 3600) == ("'hung' does not answer", pytest.approx(2.0, abs=0.5))


def test_one_that_works_and_never_finishes_is_found_within_two_long_looks(clock):
    working = Model("working", clock, 0.1, cores=1, runs_per_second=5)
    spinning = Model("spinning", clock, cores=1, runnable=True)
    assert fault_within(Fake(clock, working, spinning), 3600) == (
        "'spinning' does not answer",
        pytest.approx(2 * Prober.LONGEST, abs=1),
    )


def test_one_that_is_busy_with_others_is_left_alone(clock):
    busy = Model("busy", clock, cores=1, runnable=True, runs_per_second=0.1)
    assert fault_within(Fake(clock, busy), 3600) is None


def test_one_that_gets_no_processor_is_not_taken_for_a_hung_one(clock):
    starved = Model("starved", clock, runnable=True, runs_per_second=0.1)
    assert fault_within(Fake(clock, starved), 600) is None
    starved.runnable = False
    assert fault_within(Fake(clock, starved), 600)[0] == "'starved' does not answer"


def door_to(generator, **how):
    """A model that waits for a generator, whose work counts as its own."""
    return Model("door", generator.clock, cores=generator.cores, runnable=True, asks=generator.name, **how)


def test_one_that_waits_for_another_hangs_only_when_what_was_asked_of_that_later_is_answered(clock):
    """Whose turn has not come, behind the requests of others, has not answered either."""
    quick = Model("busy", clock, 0.5, cores=1, runnable=True, runs_per_second=5)
    assert fault_within(Fake(clock, quick, door_to(quick)), 600) == (
        "'door' does not answer",
        pytest.approx(2 * Prober.LONGEST, abs=1),
    )
    slow = Model("busy", clock, 100, cores=1, runnable=True, runs_per_second=5)
    assert fault_within(Fake(clock, slow, door_to(slow, answers_after=100)), 3600) is None


def test_whether_runs_are_finished_is_asked_once_and_not_waited_for(clock):
    server = Fake(clock, Model("busy", clock, cores=1, runnable=True))
    server.speaks = False
    assert fault_within(server, 600) is None
    assert server.questions == 1


def test_a_server_that_does_not_say_what_it_finished_has_finished_nothing(clock):
    server = Fake(clock, Model("busy", clock, cores=1, runnable=True))
    server.ask_finished = lambda: SimpleNamespace(done=lambda: True, result=dict)
    assert fault_within(server, 600)[0] == "'busy' does not answer"


@pytest.mark.parametrize(
    ("says", "fault"),
    [
        (GOLDEN.values, None),
        (GOLDEN.values + np.uint8(2), "'one' is wrong"),
        (ServerOverloaded("full"), None),
        (ServingError("it is gone"), "'one' failed a question it must answer (it is gone)"),
    ],
)
def test_what_an_answer_tells(clock, says, fault):
    found = fault_within(Fake(clock, Model("one", clock, 0.5, says=says)), 10)
    assert (found[0] if found else None) == fault


def test_what_was_asked_of_versions_that_are_no_longer_served_is_forgotten(clock):
    failed = Model("one", clock, 0.0, says=ServingError("it is gone"))
    server = Fake(clock, failed)
    prober = Prober(server)
    assert prober.fault() is None
    server.models = ()
    assert [prober.fault(), prober.fault()] == [None, None]
    server.models = (failed,)
    assert [prober.fault(), prober.fault()] == [None, None]  # it is asked anew
    server.changing = True
    assert prober.fault() is None
    server.changing = False
    assert [prober.fault(), prober.fault()] == [None, "'one' failed a question it must answer (it is gone)"]


def test_ensembles_are_not_asked(clock):
    ensemble = Model("ensemble", clock, instances=0)
    assert fault_within(Fake(clock, ensemble), 60) is None
    assert ensemble.asked == []
