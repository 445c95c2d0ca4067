"""One setting, served in private: what it does unloaded, saturated, and at a rate."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from core.bundle import GOLDEN
from core.errors import ServingError
from core.files import write_atomic
from serving.monitoring.metrics import Counts
from serving.monitoring.top import Reader
from serving.protocol.model_config import ModelConfig
from serving.protocol.pbtxt import render
from serving.repository.golden import Reference
from serving.repository.layout import CONFIG
from serving.server.launch import HOST, free_ports
from serving.server.supervisor import Supervisor
from serving.tuning.load import ANSWERED, Generator, Point, Requests, golden_requests, moments, percentile, point

AT_ONCE = 32  # requests that saturate a server; fewer than may wait


class Bench(Protocol):
    """A server that has one setting."""

    def unloaded(self) -> float:
        """The median latency, in milliseconds, of requests one after the other."""

    def saturated(self) -> float:
        """Requests it answers a second when there are always more."""

    def at(self, rate: float, limit_ms: float) -> Point:
        """How requests fare that come at random, ``rate`` of them a second."""


@dataclass(frozen=True)
class Effort:
    """How long a point is measured, in seconds, how many images a request asks for, and the seed of the moments."""

    seconds: float = 2.0
    images: int = 1
    seed: int = 0


@dataclass(frozen=True)
class TritonBench:
    """A ``Bench`` that is a real server. Every image is held against the golden ones."""

    effort: Effort
    requests: Requests
    generator: Generator
    metrics: Reader

    def unloaded(self) -> float:
        """See ``Bench``. Raises ServingError where nothing is answered."""
        load = self.generator.saturate(self.requests, 1, self.effort.seconds / 2)
        right = load.latency[load.outcome == ANSWERED]
        if not len(right):
            raise ServingError(f"no image came back right ({'; '.join(load.errors) or 'they were wrong'})")
        return percentile(right, 0.5) * 1e3

    def saturated(self) -> float:
        """See ``Bench``."""
        load = self.generator.saturate(self.requests, AT_ONCE, self.effort.seconds)
        return load.count(ANSWERED) / self.effort.seconds

    def at(self, rate: float, limit_ms: float) -> Point:
        """See ``Bench``; the point says how many images were made in a run, on average."""
        due = moments(rate, self.effort.seconds, self.effort.seed)
        before = self._counts()
        load = self.generator.offer(self.requests, due, self.effort.seconds)
        done = self._counts().since(before)
        return replace(point(load, limit_ms), images_per_run=done.images / max(done.executions, 1))

    def _counts(self) -> Counts:
        found = (model.counts for model in self.metrics.read().models if model.name == self.requests.model)
        return next(found, Counts())


@contextmanager
def triton_bench(model: Path, version: int, config: ModelConfig, effort: Effort) -> Iterator[TritonBench]:
    """That version of the model in the directory ``model``, alone on a server of its own, configured as told.

    Raises ServingError if it cannot be served so, and MissingDependency without a server.
    """
    with tempfile.TemporaryDirectory(prefix="ganfoundry-tuning-") as folder:
        repository = Path(folder) / "repository"
        shutil.copytree(model / str(version), repository / config.name / str(version))
        write_atomic(repository / config.name / CONFIG, render(config))
        golden = Reference.read(model / str(version) / GOLDEN, config.outputs[0].name)
        with Supervisor(repository, free_ports()) as server, Generator(server.url) as generator:
            metrics = Reader(f"http://{HOST}:{server.ports.metrics}/metrics")
            yield TritonBench(effort, golden_requests(config.name, golden, effort.images), generator, metrics)
