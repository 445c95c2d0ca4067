"""Steady load for half an hour: is anything lost, and does memory grow?

    .venv/bin/python benchmarks/load/soak.py --bundle exports/dcgan64 [--minutes 30] [--rate 100]

Wanted: every request answered rightly, and the resident memory of the server and of every stub within 2 % of what it
was after the first tenth of the time.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import psutil

from benchmarks.load.common import Served, header, options_of, served, steady, verdict
from serving.tuning.load import ANSWERED, Generator

GROWTH, WARM_UP = 0.02, 0.1
STRETCH = 10.0  # seconds of load between two looks at the memory


def main() -> None:
    parser = options_of(__doc__, seconds=STRETCH, repeats=1)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=100, help="requests a second")
    options = parser.parse_args()
    header(options.bundle)
    with served(options.bundle) as one:
        memory, asked, answered, errors = soak(one, options.minutes * 60, options.rate, options.seconds)
        report(memory, asked, answered, errors)
        verdict("restarts", str(one.server.restarts), "none", one.server.restarts == 0)


def soak(one: Served, seconds: float, rate: float, stretch: float) -> tuple[list[dict[str, int]], int, int, set[str]]:
    """The memory of every process after each stretch, and what came of the requests."""
    memory, errors = [], set()
    asked = answered = 0
    until = time.monotonic() + seconds
    with Generator(one.server.url) as generator:
        while time.monotonic() < until:
            load = steady(generator, one.requests(), rate, stretch, seed=len(memory))
            asked, answered = asked + len(load.due), answered + load.count(ANSWERED)
            errors |= set(load.errors)
            memory.append(resident(one))
    return memory, asked, answered, errors


def resident(one: Served) -> dict[str, int]:
    """Bytes of resident memory by process."""
    server = one.server.server
    assert server is not None
    stubs = {f"stub of {name} {stub.pid}": stub for stub, (name, _) in server.stubs.items()}
    return {name: each.memory_info().rss for name, each in {"server": psutil.Process(server.pid), **stubs}.items()}


def report(memory: list[dict[str, int]], asked: int, answered: int, errors: set[str]) -> None:
    lost = f"{asked - answered} of {asked} {'; '.join(errors)}"
    verdict("requests lost", lost, "none", asked == answered)
    first = memory[int(len(memory) * WARM_UP)]
    for name, before in first.items():
        after = memory[-1].get(name, 0)
        said = f"{before / 2**20:.1f} to {after / 2**20:.1f} MiB, {after / before - 1:+.1%}"
        verdict(f"memory of the {name}", said, f"under {GROWTH:.0%} more", 0 < after <= before * (1 + GROWTH))


if __name__ == "__main__":
    main()
