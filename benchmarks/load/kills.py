"""Killed under load, again and again: the backend's stub, then the whole server.

    .venv/bin/python benchmarks/load/kills.py --bundle exports/dcgan64 [--times 20] [--rate 20]

An open loop asks all the while. Wanted, every time: right images again within 5 s of killing the stub and 8 s of
killing the server; requests in flight answered, or failed with an error that says so; no wrong image.
"""

import os
import signal
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.load.common import Served, header, options_of, served, steady, verdict
from serving.tuning.load import ANSWERED, FAILED, WRONG, Generator, Load

WANTED = {"stub": 5.0, "server": 8.0}
BEFORE, WATCHED = 1.0, 12.0  # seconds of load before a kill, and in all
STEADY = 6.0  # seconds between two kills: a server that is lost sooner counts as one that never started
DEADLINE = 2.0  # seconds for each request
UNCLEAR = "the server failed"  # how an error begins that says nothing of what to do


def main() -> None:
    parser = options_of(__doc__, seconds=WATCHED, repeats=1)
    parser.add_argument("--times", type=int, default=20, help="how often to kill each")
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    options = parser.parse_args()
    header(options.bundle)
    with served(options.bundle) as one:
        for victim, most in WANTED.items():
            found = [killed(one, victim, options.rate, options.seconds) for _ in range(options.times)]
            report(victim, most, found)


def killed(one: Served, victim: str, rate: float, seconds: float) -> tuple[float, Load]:
    """Seconds from a kill to right images that are followed by no more failures, and what came of all requests."""
    time.sleep(STEADY)
    restarts = one.server.restarts
    moment = []

    def kill() -> None:
        server = one.server.server
        assert server is not None
        pid = next(iter(server.stubs)).pid if victim == "stub" else server.pid
        moment.append(time.perf_counter())
        os.kill(pid, signal.SIGKILL)

    with Generator(one.server.url, DEADLINE) as generator:
        threading.Timer(BEFORE, kill).start()
        start = time.perf_counter()
        load = steady(generator, one.requests(), rate, seconds, seed=restarts)
    bad = load.due[load.outcome != ANSWERED]
    again = load.outcome == ANSWERED
    again &= load.due > (bad.max() if len(bad) else moment[0] - start)
    back = float((load.due + load.latency)[again].min() - (moment[0] - start)) if again.any() else float("inf")
    one.wait_for("ready", restarts + 2)
    print(f"  {victim}: {back:.2f} s, failed {load.count(FAILED)} {'; '.join(load.errors)}", flush=True)
    return back, load


def report(victim: str, most: float, found: list[tuple[float, Load]]) -> None:
    seconds = [back for back, _ in found]
    good = sum(each <= most for each in seconds)
    said = f"{min(seconds):.2f} to {max(seconds):.2f} s, median {statistics.median(seconds):.2f} s"
    verdict(f"{victim} killed", f"{said}; {good} of {len(found)}", f"all within {most:.0f} s", good == len(found))
    loads = [load for _, load in found]
    unclear = {error for load in loads for error in load.errors if error.startswith(UNCLEAR)}
    verdict("errors that say nothing", "; ".join(unclear) or "none", "none", not unclear)
    wrong = sum(load.count(WRONG) for load in loads)
    verdict("wrong images", str(wrong), f"none of {sum(len(load.due) for load in loads)}", wrong == 0)


if __name__ == "__main__":
    main()
