"""A new version and the way back while clients ask: with a latent, several images at a time, and with a seed.

    .venv/bin/python benchmarks/load/rollout.py --bundle exports/dcgan64 --other exports/dcgan64b [--seconds 60]

``--other`` is another network of the same inputs and sizes. Wanted: no failed request, and no answer that is partly of
one version and partly of the other.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np

from benchmarks.load.common import MODEL, Served, header, options_of, served, steady, verdict
from core.bundle import GOLDEN, Golden
from serving.load import ANSWERED, FAILED, REJECTED, WRONG, Generator, Load, Requests, golden_requests
from serving.publishing import publish, rollback

IMAGES = 4  # of a request with latents
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
    """What came of all requests, and how many answers were of the old, the new, and the old version again."""
    judged = {model: Judged(one, model, images) for model, images in MODELS.items()}
    with ThreadPoolExecutor(len(MODELS)) as clients:
        asking = [clients.submit(ask, one.server.url, each.requests, rate, seconds, seed) for each in judged.values()]
        time.sleep(seconds / 4)
        publish(other, MODEL, one.repository)
        for each in judged.values():
            each.expect(2)
        one.wait_for("loaded", 1)
        time.sleep(seconds / 4)
        rollback(MODEL, one.repository)
        one.wait_for("loaded", 2)
        loads = [each.result() for each in asking]
    return loads, [sum(each.seen[version] for each in judged.values()) for version in (1, 2, 3)]


def ask(url: str, requests: Requests, rate: float, seconds: float, seed: int) -> Load:
    with Generator(url) as generator:
        return steady(generator, requests, rate, seconds, seed)


class Judged:
    """Requests whose answers must be wholly of one version, and how many were of each."""

    def __init__(self, one: Served, model: str, images: int) -> None:
        self._one, self._model, self._images = one, model, images
        self._lock = threading.Lock()
        self.seen = dict.fromkeys((1, 2, 3), 0)
        self.requests = replace(one.requests(model, images), judge=self._is_whole)
        self._judges = {1: one.requests(model, images).judge}

    def expect(self, version: int) -> None:
        """From now on answers may be of that version, too."""
        self._judges[version] = golden_requests(self._model, self._one.golden(self._model, version), self._images).judge

    def _is_whole(self, number: int, response: Any) -> bool:
        # The ensemble has one version of its own: what it answers says which generator it is of.
        for version, judge in tuple(self._judges.items()):
            if judge(number, response):
                with self._lock:
                    self.seen[3 if response.model_version == "3" else version] += 1
                return True
        return False


def report(loads: list[Load], counts: list[int]) -> None:
    total = sum(len(load.due) for load in loads)
    lost = sum(load.count(FAILED) + load.count(REJECTED) for load in loads)
    mixed = sum(load.count(WRONG) for load in loads)
    print(
        f"  {total} requests, answers of version 1, 2, 3: {counts} (1 and 3 are one network, which a seed cannot tell)"
    )
    errors = {error for load in loads for error in load.errors}
    verdict("failed requests", f"{lost} {'; '.join(errors)}", "none", lost == 0)
    verdict("mixed images", str(mixed), "none", mixed == 0)
    worst = max(float(load.latency[load.outcome == ANSWERED].max()) for load in loads)
    print(f"         the slowest answer took {worst * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
