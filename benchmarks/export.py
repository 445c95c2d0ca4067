"""Export of DCGAN 64x64, width 64, RGBA: seconds, memory and size in a fresh process; then graphs against PyTorch.

    .venv/bin/python benchmarks/export.py [--threads 2] [--rounds 15] [--presets r3gan-cpu …] [--sides 32 64]

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
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from core.spec import GeneratorSpec

PRESETS = ("dcgan", "stylegan-lite-cpu", "stylegan-lite", "r3gan-cpu", "r3gan")
SIDES = (32, 64)
BATCHES = (1, 16)
SECONDS_A_SAMPLE = 0.3
# ONNX Runtime's idle threads go on spinning for a while: without a pause they take their core from PyTorch.
SECONDS_TO_SETTLE = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of both runtimes, inside an operator")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved samples of each runtime at each batch")
    parser.add_argument("--presets", nargs="*", default=PRESETS, help="whose generators to compare; none: only export")
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES, help="of the images")
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
    report_speed(options.presets, options.sides, options.threads, options.rounds)


def make_run(run: Path) -> None:
    """A run with random weights, the RGBA variant of the paper's network."""
    import torch

    from core.checkpoint import save_generator
    from core.networks import build_generator

    torch.manual_seed(0)
    save_generator(run / "generator.safetensors", build_generator(spec_of("dcgan", 64)))


def spec_of(preset: str, side: int) -> "GeneratorSpec":
    """The RGBA generator that ``preset`` trains."""
    from core.spec import GeneratorSpec
    from trainer.presets import resolve

    config = resolve(preset)
    return GeneratorSpec(config.family, side, side, 4, config.latent_dim, options=config.generator)


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


def report_speed(presets: list[str], sides: list[int], threads: int, rounds: int) -> None:
    import torch

    torch.set_num_threads(threads)
    print(f"Images/s, {threads} threads each, medians of {rounds} interleaved samples, float latents to uint8 pixels")
    print(f"  {'generator of':<18} {'size':>7} {'batch':>5} {'PyTorch eager':>14} {'ONNX Runtime':>13} {'ratio':>6}")
    ratios = []
    for preset in presets:
        for side in sides:
            for batch, eager, runtime in compared(spec_of(preset, side), threads, rounds):
                ratios.append(eager / runtime)
                rates = f"{batch / eager:>14.0f} {batch / runtime:>13.0f} {ratios[-1]:>6.2f}"
                print(f"  {preset:<18} {f'{side}x{side}':>7} {batch:>5} {rates}", flush=True)
    if ratios:
        print(f"  least ratio {min(ratios):.2f} (below 1 ONNX Runtime is the slower)")


def compared(spec: "GeneratorSpec", threads: int, rounds: int) -> list[tuple[int, float, float]]:
    """At every batch: its size, and the seconds a call of PyTorch and of ONNX Runtime takes."""
    import torch

    from core.bundle import MOST_LEVELS, levels_apart
    from core.contract import sample_inputs
    from core.networks import build_generator
    from export.convert import to_onnx
    from export.graph import ExportGraph
    from export.runtime import open_session, run

    torch.manual_seed(0)
    generator = build_generator(spec)
    for parameter in generator.parameters():
        if not parameter.any():  # a runtime might see that adding nothing can be left out
            torch.nn.init.normal_(parameter, 0.0, 0.1)
    graph = ExportGraph(generator)
    session = open_session(to_onnx(graph).SerializeToString(), threads=threads)
    found = []
    for batch in BATCHES:
        inputs = sample_inputs(spec, range(batch))
        assert levels_apart(run(session, inputs), graph.images(inputs)) <= MOST_LEVELS
        eager, runtime = interleaved(
            lambda inputs=inputs: graph.images(inputs), lambda inputs=inputs: session.run(None, inputs), rounds
        )
        found.append((batch, eager, runtime))
    return found


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
