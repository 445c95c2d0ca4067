"""Do limits of the queue stall the server? Bursts of requests of several sizes, by limits and instances.

    .venv/bin/python benchmarks/load/stalls.py --bundle exports/dcgan64 [--rounds 50] [--rate 200] [--only "limits, 2"]

Triton 2.51 looks for work again only after half a second if a request comes in a moment at which the instance has
answered and does not wait yet, and may stop handing out work at all; both only where a queue has limits (server issue
8870). Here nobody restarts it. Wanted: no answer after 0.4 s or more, and no request without one.
"""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.load.common import MODEL, header, options_of, steady
from core.bundle import GOLDEN
from core.files import write_atomic
from serving.protocol.model_config import NO_LIMITS, Instances, Queue
from serving.protocol.pbtxt import render
from serving.publishing import publish
from serving.repository.configs import read_config
from serving.repository.golden import Reference
from serving.repository.layout import CONFIG
from serving.server.launch import HOST, Access, free_ports
from serving.server.locate import find_triton
from serving.server.server import Server
from serving.server.workspace import make_workspace, remove_workspace
from serving.tuning.load import FAILED, Generator, golden_requests

VARIANTS = {
    "limits, 1 instance": (Queue(), 1),
    "limits, 2 instances": (Queue(), 2),
    "limits, 3 instances": (Queue(), 3),
    "none, 1 instance": (NO_LIMITS, 1),
    "none, 2 instances": (NO_LIMITS, 2),
}
IMAGES = (1, 3, 8, 16)
SLOW, DEADLINE = 0.4, 5.0


def main() -> None:
    parser = options_of(__doc__, seconds=0.3, repeats=1)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--only", default="", help="the start of the names of the rows that are wanted")
    options = parser.parse_args()
    header(options.bundle)
    for name, (queue, count) in VARIANTS.items():
        if not name.startswith(options.only):
            continue
        with unwatched(options.bundle, queue, count) as (url, golden):
            rounds, asked, slow, failed = bursts(url, golden, options.rounds, options.rate, options.seconds)
        print(
            f"  {name}: {slow} of {asked} after {SLOW} s or more, {failed} without an answer, {rounds} rounds",
            flush=True,
        )


def bursts(url: str, golden: Reference, rounds: int, rate: float, seconds: float) -> tuple[int, int, int, int]:
    """Rounds that were done, requests, slow answers, and requests without one; the first such round is the last."""
    asked = slow = failed = done = 0
    for done in range(1, rounds + 1):
        with Generator(url, DEADLINE) as generator:
            for images in IMAGES:
                load = steady(generator, golden_requests(MODEL, golden, images), rate / images**0.5, seconds, seed=done)
                asked, failed = asked + len(load.due), failed + load.count(FAILED)
                slow += int((load.latency >= SLOW).sum())
        if failed:
            break
    return done, asked, slow, failed


@contextmanager
def unwatched(bundle: Path, queue: Queue, instances: int) -> Iterator[tuple[str, Reference]]:
    """The bundle on a server without a supervisor."""
    triton, ports = find_triton(), free_ports()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        publish(bundle, MODEL, repository, thin=False, trial=False)
        config = replace(read_config(repository / MODEL), queue=queue, instances=Instances(count=instances))
        write_atomic(repository / MODEL / CONFIG, render(config))
        workspace = make_workspace(triton)
        server = Server(triton, repository, ports, Access(), "", workspace)
        try:
            assert server.wait_until_right(120, threading.Event())
            yield f"{HOST}:{ports.grpc}", Reference.read(repository / MODEL / "1" / GOLDEN)
        finally:
            server.end(0)
            remove_workspace(workspace)


if __name__ == "__main__":
    main()
