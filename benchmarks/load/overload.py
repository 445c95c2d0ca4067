"""More than a server can do: how much it still does, how soon it says no, and how soon all is as before.

    .venv/bin/python benchmarks/load/overload.py --bundle exports/dcgan64 [--seconds 60] [--repeats 3] [--queue 128]

First the knee: the highest rate whose p99 stays within the limit of ``tune``. Then 1.5 and 3 times that, followed
without a pause by half of it. Wanted: right answers at least 0.9 of those at the knee, rejects within 50 ms at p99, no
wrong image, back to normal within 2 s: 99 in a hundred within the limit, as at the knee. ``--queue`` is how many may
wait: an answer may take as long as a full queue.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.common import MODEL, find_knee, header, median, options_of, served, steady, verdict
from core.files import write_atomic
from serving.protocol.model_config import Queue
from serving.protocol.pbtxt import render
from serving.repository.configs import read_config
from serving.repository.engines import LIMITED, engines_of
from serving.repository.layout import CONFIG
from serving.tuning.load import ANSWERED, FAILED, REJECTED, WRONG, Generator, Load, Requests, moments, percentile, point

TIMES = (1.5, 3.0)
SHARE, REJECT_MS, BACK_SECONDS = 0.9, 50.0, 2.0
AFTER = 8.0  # seconds that are watched after the load has dropped


def main() -> None:
    parser = options_of(__doc__, seconds=60, repeats=3)
    parser.add_argument("--queue", type=int, default=Queue().size, help="requests that may wait, 0 for any number")
    options = parser.parse_args()
    header(options.bundle)
    with served(options.bundle, change=lambda repository: limit_queue(repository, options.queue)) as one:
        requests = one.requests()
        with Generator(one.server.url) as generator:
            rate, limit_ms = find_knee(generator, requests, min(options.seconds, 10))
            print(f"knee: {rate:.0f} requests/s within {limit_ms:.0f} ms", flush=True)
            for times in TIMES:
                rounds = [
                    overload(generator, requests, rate, times, limit_ms, options.seconds, seed)
                    for seed in range(options.repeats)
                ]
                report(times, median(rounds), rounds)
        print(f"restarts of the server: {one.server.restarts}")


def limit_queue(repository: Path, size: int) -> None:
    """As servers are that others reach (serving/repository/engines.py); 0 leaves what ``publish`` wrote."""
    config = read_config(repository / MODEL)
    if size:
        limited = replace(engines_of(config, plan=False)[LIMITED], queue=Queue(size=size))
        write_atomic(repository / MODEL / CONFIG, render(limited))


def overload(
    generator: Generator, requests: Requests, rate: float, times: float, limit_ms: float, seconds: float, seed: int
) -> dict[str, float]:
    """The knee's goodput in this very round, then so many times its rate, then half of it."""
    at_knee = point(steady(generator, requests, rate, seconds, seed), limit_ms)
    due = np.concatenate([moments(times * rate, seconds, seed), seconds + moments(rate / 2, AFTER, seed)])
    load = generator.offer(requests, due, seconds + AFTER)
    during, after = load.due < seconds, load.due >= seconds
    right = load.outcome == ANSWERED
    return {
        "knee": at_knee.answered,
        "answered": float(np.count_nonzero(right & during)) / seconds,
        "in time": float(np.count_nonzero(right & during & (load.latency * 1e3 <= limit_ms))) / seconds,
        "rejected": float(load.count(REJECTED)) / seconds,
        "reject p99": percentile(load.latency[load.outcome == REJECTED] * 1e3, 0.99),
        "answer p99": percentile(load.latency[right & during] * 1e3, 0.99),
        "failed": load.count(FAILED),
        "wrong": load.count(WRONG),
        "back": back_to_normal(load, after, seconds, limit_ms),
    }


def back_to_normal(load: Load, after: NDArray[np.bool_], dropped: float, limit_ms: float) -> float:
    """Seconds from the drop of the load until 99 in a hundred of all that is asked from then on keep the limit."""
    bad = ((load.outcome != ANSWERED) | (load.latency * 1e3 > limit_ms))[after]
    asked = np.arange(len(bad), 0, -1)  # from each request on
    broken = np.cumsum(bad[::-1])[::-1] > asked / 100
    broken &= asked >= 100  # of fewer, a single late one is more than one in a hundred
    return float(load.due[after][broken][-1] - dropped) if broken.any() else 0.0


def report(times: float, figures: dict[str, float], rounds: list[dict[str, float]]) -> None:
    print(
        f"{times} x the knee, medians of {len(rounds)}: "
        + ", ".join(f"{name} {value:.1f}" for name, value in figures.items())
    )
    share = figures["answered"] / figures["knee"]
    verdict("goodput", f"{share:.2f} x the knee's", f"at least {SHARE} x", share >= SHARE)
    print(f"         of which within the limit: {figures['in time'] / figures['knee']:.2f} x")
    p99 = figures["reject p99"]
    verdict(
        "rejects, p99", "none" if np.isnan(p99) else f"{p99:.1f} ms", f"within {REJECT_MS:.0f} ms", not p99 > REJECT_MS
    )
    wrong = sum(each["wrong"] for each in rounds)
    verdict("wrong images", f"{wrong:.0f}", "none", wrong == 0)
    verdict(
        "back to normal", f"{figures['back']:.1f} s", f"within {BACK_SECONDS:.0f} s", figures["back"] <= BACK_SECONDS
    )


if __name__ == "__main__":
    main()
