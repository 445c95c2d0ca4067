"""gRPC through Triton against in-process ONNX Runtime with the same thread count, one after the other.

    .venv/bin/python benchmarks/serving.py --bundle exports/dcgan64 [--rounds 3] [--calls 400]

Wanted for DCGAN 64x64, width 64, on two cores: batch 1 p50 at most 1.5 ms slower, batch 64 at least 0.9 of the
throughput, eight single requests at once at least 1.3 of one after the other. Run it with nothing else on the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 (first of all: it keeps libraries from telling others)

# isort: split
import numpy as np
import onnxruntime

from core.bundle import GRAPH, read_bundle
from core.contract import sample_inputs
from serving.client.sampler import Sampler
from serving.protocol.grpc import OUTPUT, connect, infer_inputs
from serving.publishing import publish
from serving.server.cores import usable_cores
from serving.server.launch import free_ports
from serving.server.locate import find_triton
from serving.server.supervisor import Supervisor

BATCH, AT_ONCE, SEEDS_COMPARED = 64, 8, 1024
WARM_UP_CALLS = 10
Call = Callable[[int], object]  # asks for a batch of this size and waits for its images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="what to serve")
    parser.add_argument("--rounds", type=int, default=3, help="of in-process, then gRPC; medians are reported")
    parser.add_argument("--calls", type=int, default=400, help="of batch 1 in a round")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(in_process(options.bundle, options.calls)))
        return
    describe_machine(options.bundle)
    local, served = [], []
    for _ in range(options.rounds):
        command = [sys.executable, __file__, "--in-process", "--bundle", options.bundle, "--calls", options.calls]
        local.append(json.loads(subprocess.run([*map(str, command)], check=True, capture_output=True).stdout))
        served.append(through_triton(options.bundle, options.calls))
    report(medians(local), medians(served))


def in_process(bundle: Path, calls: int) -> dict[str, float]:
    """The reference, in a process of its own: a plain session, its threads as many as the server's."""
    spec = read_bundle(bundle).spec
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = onnxruntime.InferenceSession(str(bundle / GRAPH), options, providers=["CPUExecutionProvider"])
    inputs = {batch: sample_inputs(spec, range(batch)) for batch in (1, BATCH)}
    return one_after_the_other(lambda batch: session.run(None, inputs[batch]), calls)


def through_triton(bundle: Path, calls: int) -> dict[str, float]:
    """The same calls with tritonclient, against a server of our own; then what only a server can do."""
    spec = read_bundle(bundle).spec
    inputs = {batch: infer_inputs(sample_inputs(spec, range(batch))) for batch in (1, BATCH)}
    with tempfile.TemporaryDirectory() as folder:
        publish(bundle, "benchmark", Path(folder), trial=False)
        with Supervisor(Path(folder), free_ports()) as server, connect(server.url) as client:

            def call(batch: int) -> object:
                return client.infer("benchmark", inputs[batch]).as_numpy(OUTPUT)

            figures = one_after_the_other(call, calls)
            for at_once in (1, AT_ONCE):
                figures[f"at once {at_once}"] = requests_a_second(call, at_once, 2 * calls)
            return figures | differences(server.url)


def one_after_the_other(call: Call, calls: int) -> dict[str, float]:
    single = seconds_each(call, 1, calls)
    return {
        "p50": statistics.median(single) * 1e3,
        "p99": statistics.quantiles(single, n=100)[98] * 1e3,
        "rate": BATCH / statistics.median(seconds_each(call, BATCH, max(calls // 20, 3))),
    }


def seconds_each(call: Call, batch: int, calls: int) -> list[float]:
    seconds = []
    for _ in range(calls + WARM_UP_CALLS):
        start = time.perf_counter()
        call(batch)
        seconds.append(time.perf_counter() - start)
    return seconds[WARM_UP_CALLS:]


def requests_a_second(call: Call, at_once: int, calls: int) -> float:
    """Closed loop: so many clients, each asking for one image as soon as it has the last."""
    with ThreadPoolExecutor(at_once) as clients:
        list(clients.map(call, [1] * WARM_UP_CALLS))
        start = time.perf_counter()
        list(clients.map(call, [1] * calls))
        return calls / (time.perf_counter() - start)


def differences(url: str) -> dict[str, float]:
    """How many values of a pixel differ between seeds asked for alone and in full batches, and by how much."""
    images: dict[int, Any] = {}
    for batch in (1, BATCH):
        with Sampler("benchmark", url, batch=batch) as sampler:
            images[batch] = np.stack([image for _, image in sampler.sample(range(SEEDS_COMPARED))]).astype(np.int16)
    apart = np.abs(images[1] - images[BATCH])
    return {"differ": float((apart > 0).mean()), "levels": float(apart.max())}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def report(local: dict[str, float], served: dict[str, float]) -> None:
    several, one = served[f"at once {AT_ONCE}"], served["at once 1"]
    print(f"                          {'in-process':>11} {'gRPC':>11}")
    print(f"  batch 1, p50            {local['p50']:8.2f} ms {served['p50']:8.2f} ms   ", end="")
    print(f"{served['p50'] - local['p50']:+.2f} ms   (wanted: at most +1.50)")
    print(f"  batch 1, p99            {local['p99']:8.2f} ms {served['p99']:8.2f} ms")
    print(f"  batch {BATCH}, images/s      {local['rate']:11.0f} {served['rate']:11.0f}   ", end="")
    print(f"{served['rate'] / local['rate']:.2f} x      (wanted: at least 0.90)")
    print(f"  {AT_ONCE} at once, requests/s  {one:11.0f} {several:11.0f}   ", end="")
    print(f"{several / one:.2f} x      (wanted: at least 1.30; the first column is 1 at once over gRPC)")
    print(f"  values that differ between batch 1 and {BATCH}: {served['differ']:.2e} of all, ", end="")
    print(f"by at most {served['levels']:.0f} level (wanted: at most 1), over {SEEDS_COMPARED} seeds")


def describe_machine(bundle: Path) -> None:
    spec = read_bundle(bundle).spec
    print(f"$ python {' '.join(sys.argv)}")
    size = (bundle / GRAPH).stat().st_size / 2**20
    print(f"{spec.family} {spec.size}, {spec.channels} channels, {spec.options}, {size:.1f} MiB")
    print(f"{cpu_name()}, {os.cpu_count()} CPUs, {usable_cores()} threads a session; ", end="")
    print(f"Python {sys.version.split()[0]}, ", end="")
    print(f"onnxruntime {onnxruntime.__version__}, tritonserver {find_triton().version}, numpy {np.__version__}")


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")


if __name__ == "__main__":
    main()
