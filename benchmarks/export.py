"""Export of DCGAN 64x64, width 64, RGBA: seconds, memory and size in a fresh process; then its speed against PyTorch.

    .venv/bin/python benchmarks/export.py [--threads 2] [--rounds 15]

Run it with nothing else on the machine. Weights are random: speed does not depend on them.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

BATCHES = (1, 16)
SECONDS_A_SAMPLE = 0.3
# ONNX Runtime's idle threads go on spinning for a while: without a pause they take their core from PyTorch.
SECONDS_TO_SETTLE = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of both runtimes, inside an operator")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved samples of each runtime at each batch")
    parser.add_argument("--child", nargs=2, metavar=("RUN", "BUNDLE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        export(Path(options.child[0]), Path(options.child[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        run, bundle = Path(folder, "run"), Path(folder, "bundle")
        make_run(run)
        command = [sys.executable, __file__, "--child", str(run), str(bundle)]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        report_export(json.loads(child.stdout), bundle)
        report_speed(run, bundle, options.threads, options.rounds)


def make_run(run: Path) -> None:
    """A run with random weights, the RGBA variant of the paper's network."""
    import torch

    from core.checkpoint import save_generator
    from core.networks import build_generator
    from core.spec import GeneratorSpec

    torch.manual_seed(0)
    spec = GeneratorSpec("dcgan", 64, 64, 4, 128, options={"width": 64})
    save_generator(run / "generator.safetensors", build_generator(spec))


def export(run: Path, bundle: Path) -> None:
    """In a process of its own: what a person waits for after the command, imports included."""
    start = time.perf_counter()
    from export.exporting import export_run

    imported = time.perf_counter()
    export_run(run, bundle)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"import": imported - start, "export": time.perf_counter() - imported, "peak": peak}))


def report_export(figures: dict[str, float], bundle: Path) -> None:
    seconds = figures["import"] + figures["export"]
    size = (bundle / "generator.onnx").stat().st_size
    print("DCGAN 64x64 RGBA, width 64, verified at batches 1 to 17, golden images and sheet included")
    print(f"  seconds      {seconds:6.1f}   (of which imports {figures['import']:.1f}; the limit is 15)")
    print(f"  peak memory  {figures['peak'] / 2**20:6.0f} MiB (the limit is 2048)")
    print(f"  graph        {size / 2**20:6.1f} MiB")


def report_speed(run: Path, bundle: Path, threads: int, rounds: int) -> None:
    import onnxruntime
    import torch

    from core.bundle import GRAPH
    from core.checkpoint import load_generator
    from core.contract import sample_inputs
    from export.graph import ExportGraph

    torch.set_num_threads(threads)
    graph = ExportGraph(load_generator(run / "generator.safetensors"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(bundle / GRAPH), options, providers=["CPUExecutionProvider"])

    print(f"Images/s, {threads} threads each, medians of {rounds} interleaved samples, float latents to uint8 pixels")
    print(f"  {'batch':>5} {'PyTorch eager':>14} {'ONNX Runtime':>14} {'ratio':>7}")
    for batch in BATCHES:
        inputs = sample_inputs(graph.generator.spec, range(batch))
        eager, runtime = interleaved(
            lambda inputs=inputs: graph.images(inputs), lambda inputs=inputs: session.run(None, inputs), rounds
        )
        print(f"  {batch:>5} {batch / eager:>14.0f} {batch / runtime:>14.0f} {eager / runtime:>7.2f}")


def interleaved(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds a call of each, samples taken in turn so that both meet the same moments of the machine."""
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for call, times in zip((first, second), samples, strict=True):
            time.sleep(SECONDS_TO_SETTLE)
            times.append(seconds_a_call(call))
    return statistics.median(samples[0][1:]), statistics.median(samples[1][1:])  # the first is for warming up


def seconds_a_call(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    calls = 0
    while (elapsed := time.perf_counter() - start) < SECONDS_A_SAMPLE:
        call()
        calls += 1
    return elapsed / calls


if __name__ == "__main__":
    main()
