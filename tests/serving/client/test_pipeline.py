"""Asking again: what is retried, for how long, and what becomes of the order; the server is a list of answers."""

import threading
from concurrent.futures import Future

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from core.errors import ModelNotFound, RequestRefused, ServerBusy, ServerOverloaded
from serving.client import pipeline, retry
from serving.client.pipeline import Request, RequestPipeline
from serving.client.retry import FIRST_PAUSE, LONGEST_PAUSE, MOST_TOKENS, REFUND, RetryBudget


class Clock:
    """Time that only passes while somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Server:
    """Fails as often as it is told, for each number asked for, and then answers with that number."""

    def __init__(self, failures, versions=("1",)):
        self.failures, self.versions, self.asked, self.seconds = failures, versions, [], []

    def infer_async(self, client, model, inputs, *, output, version, seconds, no_batching):
        number = int(inputs["z"][0, 0])
        self.asked.append(number)
        self.seconds.append(seconds)
        answer = Future()
        waiting = self.failures.get(number, [])
        if waiting:
            answer.set_exception(waiting.pop(0))
        else:
            answer.set_result(inputs["z"])
        return answer

    def get_model_metadata(self, model, client_timeout):
        if self.versions is None:
            raise InferenceServerException("gone")
        return type("Metadata", (), {"versions": self.versions})


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (pipeline, retry):
        monkeypatch.setattr(module, "time", clock)  # theirs alone: servers run beside this
    return clock


@pytest.fixture
def stream(clock, monkeypatch):
    def run(server, count, deadline=60.0, in_flight=4):
        monkeypatch.setattr(pipeline, "infer_async", server.infer_async)
        requests = (Request("tiny", {"z": np.full((1, 1), number)}, "image", clock.now) for number in range(count))
        return (
            int(row[0])
            for row in RequestPipeline(server, "1", RetryBudget(deadline), in_flight, False).stream(requests)
        )

    return run


def test_answers_keep_their_order_whatever_had_to_be_asked_again(stream):
    server = Server({number: [ServerBusy("x")] * (number % 4) for number in range(0, 40, 3)})
    assert list(stream(server, 40)) == list(range(40))
    assert len(server.asked) == 40 + sum(number % 4 for number in range(0, 40, 3))


def test_what_will_not_change_is_not_asked_again(stream):
    server = Server({1: [RequestRefused("wrong")]})
    found = stream(server, 3)
    assert next(found) == 0
    with pytest.raises(RequestRefused, match="wrong"):
        next(found)
    assert server.asked.count(1) == 1


def test_pauses_grow_and_are_never_quite_the_same(stream, clock):
    assert list(stream(Server({0: [ServerBusy("x")] * 8}), 1)) == [0]
    for number, pause in enumerate(clock.slept):
        longest = min(FIRST_PAUSE * 2**number, LONGEST_PAUSE)
        assert longest / 2 <= pause <= longest
    assert len({round(pause / FIRST_PAUSE, 6) for pause in clock.slept}) == 8


def test_a_request_is_given_up_when_its_time_is_over(stream, clock):
    server = Server({0: [ServerOverloaded("full")] * 1000})
    with pytest.raises(ServerBusy, match=r"gave up on 1 images after \d+ tries, as its 5 s are over: full"):
        list(stream(server, 1, deadline=5.0))
    assert 5.0 - LONGEST_PAUSE <= sum(clock.slept) <= 5.0
    assert server.seconds == pytest.approx([max(5.0 - sum(clock.slept[:n]), 0.1) for n in range(len(server.seconds))])


def test_a_server_that_fails_most_requests_is_not_asked_for_ever(stream):
    """As many pauses as there are tokens, and one more for every so many answers."""
    server = Server({number: [ServerBusy("x")] for number in range(1000)})
    answered = []
    with pytest.raises(ServerBusy, match="gave up on 1 images after one try, as too many requests"):
        answered.extend(stream(server, 1000, deadline=1e9))
    most = MOST_TOKENS / (1 - REFUND)
    assert most - 2 <= server.asked.count(5) + max(server.asked) <= most + 6


def test_one_request_in_six_may_fail_for_ever(stream):
    server = Server({number: [ServerBusy("x")] for number in range(0, 3000, 6)})
    assert list(stream(server, 3000, deadline=1e9)) == list(range(3000))


def test_a_version_that_is_gone_is_said_and_not_waited_for(stream, clock):
    with pytest.raises(ModelNotFound, match="version 1 of 'tiny' is no longer served"):
        list(stream(Server({0: [ServerBusy("x")] * 9}, versions=("2", "3")), 1))
    assert len(clock.slept) == 1
    assert list(stream(Server({0: [ServerBusy("x")] * 3}, versions=None), 1)) == [0]


def test_whoever_stops_listening_lets_what_is_on_its_way_come(monkeypatch):
    """Given up in the wrong moment, a request ends Triton 2.51."""
    answers = []

    def infer_async(*_, **__):
        answers.append(Future())
        threading.Timer(0.05 * len(answers), answers[-1].set_result, [np.zeros((1, 1))]).start()
        return answers[-1]

    monkeypatch.setattr(pipeline, "infer_async", infer_async)
    requests = (Request("tiny", {"z": np.zeros((1, 1))}, "image") for _ in range(100))
    found = RequestPipeline(None, "1", RetryBudget(60), 4, False).stream(requests)
    next(found)
    found.close()
    assert 4 <= len(answers) <= 5
    assert all(answer.done() and not answer.cancelled() for answer in answers)
