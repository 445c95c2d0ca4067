"""What Triton, gRPC and the backend add to ONNX Runtime in a process of one's own, with as many threads.

    .venv/bin/python benchmarks/load/overhead.py --bundle exports/dcgan64 [--seconds 60] [--repeats 3]

In-process first, then served, in turn. Wanted: batch 1 p50 at most 1.0 ms slower with a latent and 1.5 ms with a seed;
saturated, at least 0.95 of the images a second (batches of 64, two requests under way). Nothing else may run.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import core  # noqa: F401 (first of all: it keeps libraries from telling others)

# isort: split
import numpy as np
import onnxruntime

from benchmarks.load.common import MODEL, command_line, header, median, options_of, served, verdict
from benchmarks.serving import cores
from core.bundle import GRAPH, read_bundle
from core.contract import sample_inputs
from serving.tuning.load import ANSWERED, Generator

BATCH, UNDER_WAY, WARM_UP = 64, 2, 20
LATENT_MS, SEED_MS, SHARE = 1.0, 1.5, 0.95


def main() -> None:
    parser = options_of(__doc__, seconds=60, repeats=3)
    parser.add_argument("--in-process", action="store_true", help="only that, as JSON")
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(in_process(options.bundle, options.seconds)))
        return
    header(options.bundle)
    local, remote = [], []
    for _ in range(options.repeats):
        command = [*command_line(), "--in-process", "--bundle", str(options.bundle), "--seconds", str(options.seconds)]
        local.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        remote.append(through_triton(options.bundle, options.seconds))
        print(f"  in-process {said(local[-1])}\n  served     {said(remote[-1])}", flush=True)
    report(median(local), median(remote))


def in_process(bundle: Path, seconds: float) -> dict[str, float]:
    """The reference, in a process of its own: a plain session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(str(bundle / GRAPH), options, providers=["CPUExecutionProvider"])
    figures = {}
    for name, batch in (("latent", 1), ("batch", BATCH)):
        inputs = sample_inputs(read_bundle(bundle).spec, range(batch))
        for _ in range(WARM_UP if batch == 1 else 2):
            session.run(None, inputs)
        times = []
        until = time.perf_counter() + seconds
        while (start := time.perf_counter()) < until:
            session.run(None, inputs)
            times.append(time.perf_counter() - start)
        figures |= {f"{name} p50": float(np.median(times)) * 1e3, f"{name} p99": float(np.quantile(times, 0.99)) * 1e3}
    return {**figures, "images/s": BATCH / (figures["batch p50"] / 1e3)}


def through_triton(bundle: Path, seconds: float) -> dict[str, float]:
    """The same, asked for over gRPC."""
    figures = {}
    with served(bundle, thin=True) as one, Generator(one.server.url, 60) as generator:
        for name, model in (("latent", MODEL), ("seed", f"{MODEL}_from_seed")):
            requests = one.requests(model)
            generator.saturate(requests, 1, min(seconds, 1))
            load = generator.saturate(requests, 1, seconds)
            assert load.count(ANSWERED) == len(load.due), load.errors
            figures |= {f"{name} p50": float(np.median(load.latency)) * 1e3}
            figures |= {f"{name} p99": float(np.quantile(load.latency, 0.99)) * 1e3}
        load = generator.saturate(one.requests(MODEL, BATCH), UNDER_WAY, seconds)
        figures["images/s"] = load.count(ANSWERED) * BATCH / max(load.due + load.latency)
    return figures


def said(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}{'' if '/' in name else ' ms'}" for name, value in figures.items())


def report(local: dict[str, float], remote: dict[str, float]) -> None:
    print(f"medians\n  in-process {said(local)}\n  served     {said(remote)}\n")
    for name, most in (("latent", LATENT_MS), ("seed", SEED_MS)):
        more = remote[f"{name} p50"] - local["latent p50"]
        verdict(f"batch 1, {name}, p50", f"{more:+.2f} ms", f"at most +{most} ms", more <= most)
    share = remote["images/s"] / local["images/s"]
    verdict(f"saturated, batches of {BATCH}", f"{share:.2f} x", f"at least {SHARE} x", share >= SHARE)


if __name__ == "__main__":
    main()
