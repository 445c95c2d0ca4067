"""Many requests in order: a few in flight at a time, and those that meet an overloaded or restarting server again."""

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from core.errors import ModelNotFound, ServerBusy
from serving.client.retry import RetryBudget
from serving.protocol.grpc import CONTROL_SECONDS, infer_async
from serving.protocol.requests import Request

logger = logging.getLogger(__name__)

CLOSING_SECONDS = 2.0


@dataclass(frozen=True)
class RequestPipeline:
    """Sends requests to one version of a server's models and gives the answers in order.

    With ``no_batching`` none of them shares a run of the model with another request.
    """

    client: Any
    version: str
    budget: RetryBudget
    in_flight: int
    no_batching: bool

    def stream(self, requests: Iterable[Request]) -> Iterator[NDArray[Any]]:
        """What is made of every row of every request, in order, while the next few requests are on their way.

        Raises ServerBusy, saying how much it gave up on, once there is no sense in asking again.
        """
        waiting: deque[Request] = deque()
        try:
            for request in requests:
                self._send(request)
                waiting.append(request)
                if len(waiting) >= self.in_flight:
                    yield from self._result(waiting.popleft())
            while waiting:
                yield from self._result(waiting.popleft())
        finally:
            # Whoever stops listening waits a moment: one request in some hundreds that are given up ends Triton 2.51.
            wait([request.answer for request in waiting], CLOSING_SECONDS)
            for request in waiting:
                request.answer.cancel()

    def _send(self, request: Request) -> None:
        left = request.since + self.budget.deadline - time.monotonic()
        how: dict[str, Any] = {"version": self.version, "seconds": max(left, 0.1), "no_batching": self.no_batching}
        request.answer = infer_async(self.client, request.model, request.inputs, output=request.output, **how)
        request.tries += 1

    def _result(self, request: Request) -> NDArray[Any]:
        while True:
            try:
                values = request.answer.result()
            except ServerBusy as error:
                # The server is overloaded or restarting: once more, unless that has gone on for too long.
                if why := self.budget.pause(request.tries, request.since):
                    tries = f"{request.tries} tries" if request.tries > 1 else "one try"
                    raise ServerBusy(f"gave up on {len(request)} images after {tries}, as {why}: {error}") from None
                logger.debug("asking '%s' again: %s", request.model, error)
                self._check_version(request.model)
                self._send(request)
            else:
                self.budget.answered()
                return values

    def _check_version(self, model: str) -> None:
        """Raise ModelNotFound if the server is there and no longer has our version: newer ones came, or it was bad."""
        try:
            versions = self.client.get_model_metadata(model, client_timeout=CONTROL_SECONDS).versions
        except InferenceServerException:
            return
        if versions and self.version not in versions:
            raise ModelNotFound(
                f"version {self.version} of '{model}' is no longer served, another took its place: sample again"
            )
