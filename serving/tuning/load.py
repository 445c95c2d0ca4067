"""Load on a server, and what came of it.

In an open loop requests are sent at scheduled moments, whatever became of those before, and latency counts from the
scheduled moment. A client that waits for an answer before it asks again sends nothing while the server stalls, and so
never sees most of the stall ("coordinated omission"); and if the sender itself is late, that counts as latency too.

Requests are made beforehand, so that sending one costs some 0.2 ms of a processor: a few thousand a second.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from core.errors import ServerOverloaded
from serving.protocol.grpc import channel_options, translated
from serving.repository.golden import Reference

# Outcomes: the right answer, ServerOverloaded, any other error, an answer that is not the right one.
ANSWERED, REJECTED, FAILED, WRONG = range(4)
_INFER = "/inference.GRPCInferenceService/ModelInfer"

# Whether the answer to the request of that number, a ModelInferResponse, is right.
AnswerCheck = Callable[[int, Any], bool]


@dataclass(frozen=True)
class Load:
    """What came of requests, a value for each, in the order they were due.

    ``due`` is in seconds from the first moment, ``late`` seconds from then to being sent, ``latency`` seconds from
    then to the answer or the error. ``seconds`` is how long requests were offered, ``images`` how many each asks for.
    """

    due: NDArray[np.float64]
    late: NDArray[np.float64]
    latency: NDArray[np.float64]
    outcome: NDArray[np.int8]
    seconds: float
    images: int = 1
    errors: tuple[str, ...] = ()  # each kind once

    def count(self, outcome: int) -> int:
        """How many requests had that outcome."""
        return int(np.count_nonzero(self.outcome == outcome))


@dataclass(frozen=True)
class Point:
    """One rate, and how requests fared: rates a second, latencies in milliseconds.

    The percentiles are of all requests, and one without a right answer takes for ever: so a p99 that is finite also
    says that no more than one in a hundred was rejected. ``goodput`` counts right answers within the limit.
    """

    offered: float
    goodput: float
    answered: float
    p50_ms: float
    p99_ms: float
    rejected: int
    failed: int
    wrong: int
    late_p99_ms: float
    images: int = 1
    images_per_run: float | None = None  # where someone asked the server

    def keeps(self, limit_ms: float) -> bool:
        """Whether 99 in 100 requests had a right answer within the limit."""
        return self.p99_ms <= limit_ms


def moments(rate: float, seconds: float, seed: int = 0, *, poisson: bool = True) -> NDArray[np.float64]:
    """When requests are due, in seconds: ``rate`` of them a second on average, at random or evenly.

    As many for every seed, so that what is compared was asked equally often.
    """
    count = max(round(rate * seconds), 1)
    if not poisson:
        return np.arange(count) / rate
    # A Poisson process, given how often it happens, is as many independent moments.
    return np.sort(np.random.RandomState(seed).uniform(0, seconds, count))


def percentile(values: NDArray[np.float64], share: float) -> float:
    """The smallest of ``values`` that ``share`` of them do not exceed, so that it is one of them; NaN of none.

    An infinity among the values is no reason for a NaN.
    """
    if not len(values):
        return float("nan")
    return float(np.quantile(values, share, method="inverted_cdf"))


def point(load: Load, limit_ms: float) -> Point:
    """What a load comes to. ``limit_ms`` is how long an answer may take that counts as good."""
    right = load.outcome == ANSWERED
    felt = np.where(right, load.latency, np.inf) * 1e3

    return Point(
        offered=len(load.due) / load.seconds,
        goodput=float(np.count_nonzero(felt <= limit_ms)) / load.seconds,
        answered=float(np.count_nonzero(right)) / load.seconds,
        p50_ms=percentile(felt, 0.5),
        p99_ms=percentile(felt, 0.99),
        rejected=load.count(REJECTED),
        failed=load.count(FAILED),
        wrong=load.count(WRONG),
        late_p99_ms=percentile(load.late * 1e3, 0.99),
        images=load.images,
    )


def knee(points: Sequence[Point], limit_ms: float) -> Point | None:
    """The highest rate up to which the limit is kept; None where the lowest breaks it.

    Of points at the same rate the best counts: one hiccup of the machine is not the model's.
    """
    found = None
    for _, same in itertools.groupby(sorted(points, key=lambda each: each.offered), lambda each: each.offered):
        best = min(same, key=lambda each: each.p99_ms)
        if not best.keeps(limit_ms):
            break
        found = best
    return found


@dataclass(frozen=True)
class Requests:
    """Requests to one model, ready to be sent in turn, and what each must be answered with."""

    messages: tuple[bytes, ...]
    is_right: AnswerCheck
    model: str
    images: int


def golden_requests(model: str, golden: Reference, batch: int = 1, version: str = "") -> Requests:
    """Requests for the golden values of ``model``, ``batch`` rows each, as many requests as there are rows."""
    rows = [np.arange(first, first + batch) % len(golden) for first in range(len(golden))]
    messages = [
        _message(model, {name: a[row] for name, a in golden.inputs.items()}, golden.output, version) for row in rows
    ]
    expected = [Reference({}, golden.output, golden.values[row]) for row in rows]

    def is_right(number: int, response: Any) -> bool:
        wanted = expected[number % len(expected)]
        (raw,) = response.raw_output_contents
        if golden.values.dtype == np.uint8 and raw == wanted.values.tobytes():
            return True
        values = np.frombuffer(raw, golden.values.dtype).reshape(response.outputs[0].shape)
        return not wanted.difference(values)

    return Requests(tuple(messages), is_right, model, batch)


def _message(model: str, inputs: dict[str, NDArray[Any]], output: str, version: str) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    for name, values in inputs.items():
        request.inputs.add(name=name, datatype=np_to_triton_dtype(values.dtype), shape=values.shape)
        request.raw_input_contents.append(_bytes_of(values))
    request.outputs.add(name=output)
    return bytes(request.SerializeToString())


def _bytes_of(values: NDArray[Any]) -> bytes:
    """A tensor as Triton reads it: numbers one after the other, files each behind its length."""
    if values.dtype.kind == "S":
        return b"".join(len(file).to_bytes(4, "little") + file for file in values.ravel().tolist())
    return np.ascontiguousarray(values).tobytes()


class Generator:
    """Sends load to the server at ``url``, without TLS; each request has ``deadline`` seconds to be answered.

    A context manager; ``close`` it otherwise.
    """

    def __init__(self, url: str, deadline: float = 20.0) -> None:
        self.deadline = deadline
        self._channel = grpc.insecure_channel(url, channel_options(url))
        self._infer = self._channel.unary_unary(_INFER)  # of bytes, as they are

    def offer(self, requests: Requests, due: NDArray[np.float64], seconds: float) -> Load:
        """Open loop: a request at each moment of ``due``, within ``seconds``. Returns when all are answered."""
        stretch = _Stretch(self._infer, requests, self.deadline)
        for moment in due:
            stretch.sleep_until(moment)
            stretch.send(moment)
        return stretch.settled(seconds)

    def saturate(self, requests: Requests, at_once: int, seconds: float) -> Load:
        """Closed loop: ``at_once`` requests at any time, each due as soon as there is room for it."""
        stretch = _Stretch(self._infer, requests, self.deadline)
        room = threading.Semaphore(at_once)
        while room.acquire() and (now := stretch.now()) < seconds:
            stretch.send(now, room.release)
        return stretch.settled(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Stretch:
    """Load from now on: sends requests in turn, and notes of each when it was due, sent and done, and its outcome."""

    def __init__(self, infer: Any, requests: Requests, deadline: float) -> None:
        self._infer, self._requests, self._deadline = infer, requests, deadline
        self._notes: list[tuple[float, float, float, int]] = []
        self._errors: dict[str, None] = {}
        self._sent, self._done = 0, threading.Semaphore(0)
        self._start = time.perf_counter()

    def now(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._start

    def sleep_until(self, moment: float) -> None:
        """Sleep until about then, and not at all if that is past."""
        if (left := moment - self.now()) > 0:
            time.sleep(left)

    def send(self, due: float, then: Callable[[], None] | None = None) -> None:
        """Send the next request, and call ``then`` when it is done. Never waits."""
        number, sent = self._sent, self.now()
        self._sent += 1
        messages = self._requests.messages

        def done(call: Any) -> None:
            moment = self.now()
            self._notes.append((due, sent, moment, self._outcome(number, call)))
            self._done.release()
            if then:
                then()

        self._infer.future(messages[number % len(messages)], timeout=self._deadline).add_done_callback(done)

    def settled(self, seconds: float) -> Load:
        """Wait until all are done: what came of them."""
        for _ in range(self._sent):
            self._done.acquire()
        notes = np.array(sorted(self._notes), np.float64).reshape(-1, 4)
        due, sent, done, outcome = notes.T
        errors = tuple(self._errors)
        return Load(due, sent - due, done - due, outcome.astype(np.int8), seconds, self._requests.images, errors)

    def _outcome(self, number: int, call: Any) -> int:
        if call.code() is grpc.StatusCode.OK:
            try:
                right = self._requests.is_right(number, service_pb2.ModelInferResponse.FromString(call.result()))
            except Exception as error:  # an answer can be wrong in more ways than a check thinks of
                self._errors.setdefault(f"an answer that cannot be judged ({error!r})")
                right = False
            return ANSWERED if right else WRONG
        ours = translated(InferenceServerException(call.details(), str(call.code())), self._requests.model)
        self._errors.setdefault(str(ours))
        return REJECTED if isinstance(ours, ServerOverloaded) else FAILED
