"""What the load benchmarks share: options, the machine in words, a server of their own, repeats and verdicts."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.serving import describe_machine
from core.bundle import GOLDEN
from serving.publishing import publish
from serving.repository.configs import read_config
from serving.repository.golden import Reference
from serving.server.launch import free_ports
from serving.server.supervisor import Event, Supervisor
from serving.tuning.load import Generator, Load, Requests, golden_requests, knee, moments, point
from serving.tuning.search import LEAST_LIMIT_MS, TIMES_UNLOADED, climb

MODEL = "benchmark"
AT_ONCE = 32  # requests that saturate a server


def options_of(doc: str | None, seconds: float, repeats: int) -> argparse.ArgumentParser:
    """A parser with the options that all of them take. Short ones are for trying a script, not for its figures."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="what to serve")
    parser.add_argument("--seconds", type=float, default=seconds, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=repeats, help="of which medians are reported")
    return parser


def header(bundle: Path) -> None:
    """The command, the network, the machine and the versions."""
    describe_machine(bundle)
    used = ("grpcio", "tritonclient")
    busy = psutil.cpu_percent(1.0)
    print(f"client: {', '.join(f'{name} {version(name)}' for name in used)}, raw requests from this one process")
    print(f"the machine was {busy:.0f} % busy before", "(the figures mean little)\n" if busy > 20 else "\n", flush=True)


@dataclass(frozen=True)
class Served:
    """A server with one model, ``MODEL``, of a repository that is its own."""

    server: Supervisor
    repository: Path
    events: list[Event]

    def golden(self, model: str = MODEL, number: int = 1) -> Reference:
        place = self.repository / model
        return Reference.read(place / str(number) / GOLDEN, read_config(place).outputs[0].name)

    def requests(self, model: str = MODEL, images: int = 1) -> Requests:
        return golden_requests(model, self.golden(model), images)

    def wait_for(self, kind: str, times: int, seconds: float = 60) -> None:
        """Wait until that has happened so often."""
        limit = time.monotonic() + seconds
        while sum(event.kind == kind for event in self.events) < times:
            if time.monotonic() > limit:
                raise SystemExit(f"'{kind}' did not happen within {seconds:.0f} s: {self.events[-1]}")
            time.sleep(0.02)


@contextmanager
def served(bundle: Path, *, thin: bool = False, change: Callable[[Path], None] | None = None) -> Iterator[Served]:
    """Publish and serve the bundle, after ``change`` has been at the repository."""
    events: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        publish(bundle, MODEL, repository, thin=thin, trial=False)
        if change:
            change(repository)
        with Supervisor(repository, free_ports(), on_event=events.append) as server:
            yield Served(server, repository, events)


def find_knee(generator: Generator, requests: Requests, seconds: float) -> tuple[float, float]:
    """The highest rate whose p99 stays within the limit, and the limit in milliseconds (that of ``tune``)."""
    unloaded = generator.saturate(requests, 1, seconds)
    limit = max(LEAST_LIMIT_MS, TIMES_UNLOADED * statistics.median(unloaded.latency) * 1e3)
    most = point(generator.saturate(requests, AT_ONCE, seconds), limit).answered
    found = knee(climb(lambda rate: point(steady(generator, requests, rate, seconds), limit), most, limit), limit)
    if found is None:
        raise SystemExit(f"no rate keeps to {limit:.0f} ms")
    return found.offered, limit


def steady(generator: Generator, requests: Requests, rate: float, seconds: float, seed: int = 0) -> Load:
    """Requests at random moments, so many a second."""
    return generator.offer(requests, moments(rate, seconds, seed), seconds)


def median(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def verdict(what: str, value: str, wanted: str, met: bool) -> None:
    """A line for one target."""
    print(f"  {'met  ' if met else 'MISSED'} {what}: {value} (wanted: {wanted})", flush=True)


def command_line() -> list[str]:
    """How this script was called, for calling it again in another process."""
    return [sys.executable, str(Path(sys.argv[0]).resolve())]
