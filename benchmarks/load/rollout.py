"""A new version and the way back while clients ask: with a latent, several images at a time, and with a seed.

    .venv/bin/python benchmarks/load/rollout.py --bundle exports/dcgan64 --other exports/dcgan64b [--seconds 60]

``--other`` is another network of the same inputs and sizes. Wanted: no failed request, and no answer that is partly of
one version and partly of the other.
"""

import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np

from benchmarks.load.common import MODEL, Served, header, options_of, served, steady, verdict
from core.bundle import GOLDEN
from core.golden import Golden
from serving.publishing import publish, rollback
from serving.tuning.load import ANSWERED, FAILED, REJECTED, WRONG, Generator, Load, Requests, golden_requests

IMAGES = 4  # of a request with latents
STRETCH = 2.0  # seconds
MODELS = {MODEL: IMAGES, f"{MODEL}_from_seed": 1}


def main() -> None:
    parser = options_of(__doc__, seconds=60, repeats=3)
    parser.add_argument("--other", type=Path, required=True, help="the bundle of the next version")
    parser.add_argument("--rate", type=float, default=20, help="requests a second to each model")
    options = parser.parse_args()
    header(options.bundle)
    check_known(options.bundle, options.other)
    for turn in range(options.repeats):
        with served(options.bundle, thin=True) as one:
            loads, counts = during_rollout(one, options.other, options.rate, options.seconds, turn)
            report(loads, counts)


def check_known(bundle: Path, other: Path) -> None:
    """Both networks must have been asked the same golden questions, and have given other answers."""
    one, two = (Golden.read(path / GOLDEN) for path in (bundle, other))
    same = all(np.array_equal(one.inputs[name], two.inputs[name]) for name in one.inputs)
    if not same or np.array_equal(one.images, two.images):
        raise SystemExit("--other must be a network with the same golden inputs and other images")


def during_rollout(one: Served, other: Path, rate: float, seconds: float, seed: int) -> tuple[list[Load], list[int]]:
    """What came of all requests; and how many answers were of the old network, of the new, and of version 3.

    A third of the time before the new version, a third after it is there, and a third after the way back.
    """
    judged = {model: Judged(one, model, images) for model, images in MODELS.items()}
    over = threading.Event()
    with ThreadPoolExecutor(len(MODELS)) as clients:
        asking = [clients.submit(ask, one.server.url, each.requests, rate, over, seed) for each in judged.values()]
        try:
            time.sleep(seconds / 3)
            publish(other, MODEL, one.repository, trial=False)
            for each in judged.values():
                each.expect_new()
            one.wait_for("loaded", 1)
            time.sleep(seconds / 3)
            rollback(MODEL, one.repository, trial=False)
            one.wait_for("loaded", 2)
            time.sleep(seconds / 3)
        finally:
            over.set()
        loads = [load for each in asking for load in each.result()]
    return loads, [sum(each.seen[what] for each in judged.values()) for what in ("old", "new", "back")]


def ask(url: str, requests: Requests, rate: float, over: threading.Event, seed: int) -> list[Load]:
    """Stretch after stretch, without a pause."""
    loads: list[Load] = []
    with Generator(url) as generator:
        while not over.is_set():
            loads.append(steady(generator, requests, rate, STRETCH, seed + len(loads)))
    return loads


class Judged:
    """Requests whose answers must be wholly of one version, and how many were of each."""

    def __init__(self, one: Served, model: str, images: int) -> None:
        self._one, self._model, self._images = one, model, images
        self._lock = threading.Lock()
        self.seen = Counter[str]()
        self.requests = replace(one.requests(model, images), is_right=self._is_whole)
        self._judges = {"old": one.requests(model, images).is_right}

    def expect_new(self) -> None:
        """From now on answers may be of version 2, too."""
        self._judges["new"] = golden_requests(self._model, self._one.golden(self._model, 2), self._images).is_right

    def _is_whole(self, number: int, response: Any) -> bool:
        for network, judge in tuple(self._judges.items()):
            if judge(number, response):
                with self._lock:
                    self.seen[network] += 1
                    self.seen["back"] += response.model_version == "3"  # which an ensemble does not say
                return True
        return False


def report(loads: list[Load], counts: list[int]) -> None:
    total = sum(len(load.due) for load in loads)
    lost = sum(load.count(FAILED) + load.count(REJECTED) for load in loads)
    mixed = sum(load.count(WRONG) for load in loads)
    old, new, back = counts
    print(f"  {total} requests; answers of the old network: {old}, of the new one: {new}")
    print(f"  answers of the version that is the way back: {back}, and those with a seed, which do not say it")
    errors = {error for load in loads for error in load.errors}
    verdict("failed requests", f"{lost} {'; '.join(errors)}", "none", lost == 0)
    verdict("mixed images", str(mixed), "none", mixed == 0)
    worst = max(float(load.latency[load.outcome == ANSWERED].max()) for load in loads)
    print(f"         the slowest answer took {worst * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
