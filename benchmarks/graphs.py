"""What the optimised graphs are worth: images/s beside a plain export, PyTorch and OpenVINO, and what an export costs.

    .venv/bin/python benchmarks/graphs.py [--threads 2] [--rounds 15] [--generators dcgan:64 r3gan:64 ...]
    .venv/bin/python benchmarks/graphs.py --each      what every rewrite is worth: the graph without it
    .venv/bin/python benchmarks/graphs.py --table     size, export cost and images/s of every family in every precision
    .venv/bin/python benchmarks/graphs.py --doubling  where sub-pixel convolution is the quicker: the rule's ground

Run it with nothing else on the machine. On a machine with other work on it, ``--threads 1 --cpu-time`` still tells
ratios: it counts the processor's time of one thread in place of the clock's. Every figure is the median of samples that
the contenders take in turn. "plain" is ``torch.onnx.export`` of the same network with its own optimiser, "ours" what
ships; both run in ONNX Runtime with the same options. OpenVINO is measured where it is installed (``pip install
openvino``, a package that only this script uses), on the plain export. "of peak" is the network's own multiply-adds in
the time taken, over those of a large matrix product in PyTorch, measured in the same rounds. Weights are random: speed
does not depend on them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from onnx import ModelProto

    from core.spec import GeneratorSpec
    from export.graphs.modules import WholeGraph

GENERATORS = ("dcgan:64", "stylegan-lite-cpu:32", "stylegan-lite:64", "r3gan-cpu:32", "r3gan:64")
TRANSLATORS = ("pix2pix-cpu:64", "colourise-cpu:64", "upscale-cpu:64", "cyclegan-cpu:64")
FAMILIES = (
    *GENERATORS,
    *("progressive-cpu:32", "biggan-lite:28", "stackedgan:28", "upconv-gan:28", "mlp-gan:28"),
    *TRANSLATORS,
)
BATCHES = (1, 16)
# Transposed convolutions 4x4 of stride 2: inputs, outputs, side of the input.
DOUBLINGS = (
    *((width, width // 2, side) for width, side in ((512, 4), (256, 4), (256, 8), (128, 8), (128, 16), (64, 16))),
    *(
        (64, 32, 32),
        (32, 16, 32),
        (32, 16, 16),
        (64, 4, 32),
        (32, 4, 32),
        (64, 8, 32),
        (48, 24, 16),
        (40, 20, 16),
        (36, 18, 16),
        (100, 64, 16),
        (512, 256, 16),
    ),
)
SECONDS_A_SAMPLE = 0.3
# Idle threads of ONNX Runtime and OpenVINO go on spinning for a while: a pause gives the next contender its cores.
SECONDS_TO_SETTLE = 0.3
PEAK_SIDE = 2048  # of the matrices whose product is the machine's peak

Contenders = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of every runtime, inside an operator")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved samples of each contender")
    parser.add_argument("--generators", nargs="+", metavar="PRESET:SIDE")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--cpu-time", action="store_true", help="count processor time; only with --threads 1")
    parser.add_argument("--each", action="store_true", help="our graph without each of its rewrites")
    parser.add_argument("--doubling", action="store_true", help="transposed against sub-pixel convolutions")
    parser.add_argument("--table", action="store_true", help="size, cost and speed of every family and precision")
    parser.add_argument("--child", nargs=3, metavar=("RUN", "BUNDLE", "PRECISION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cpu_time and options.threads != 1:
        parser.error("--cpu-time adds up the time of all threads: use it with --threads 1")
    options.generators = options.generators or (FAMILIES if options.table else (*GENERATORS, *TRANSLATORS))
    if options.child:
        export(Path(options.child[0]), Path(options.child[1]), options.child[2])
    elif options.doubling:
        report_doublings(options)
    elif options.each:
        report_rewrites(options)
    elif options.table:
        report_table(options)
    else:
        report_speed(options)


def report_speed(options: argparse.Namespace) -> None:
    print(f"Images/s, {options.threads} threads, medians of {options.rounds} interleaved samples, inputs to pixels")
    names = ("plain", "ours", "PyTorch", "OpenVINO")
    print(f"{'generator':<22} {'batch':>5} " + " ".join(f"{name:>9}" for name in names), end="")
    print("   ours/plain ours/OpenVINO   of peak: plain  ours")
    for name in options.generators:
        graph = graph_of(*parsed(name))
        models = {"plain": plain(graph), "ours": ours(graph)}
        work = operations(models["plain"])
        for batch in options.batches:
            contenders = runtimes(graph, models, batch, options.threads)
            contenders["peak"] = peak()
            seconds = interleaved(contenders, options)
            print(row(name, batch, seconds, names, work), flush=True)


def row(name: str, batch: int, seconds: dict[str, float], names: Iterable[str], work: float) -> str:
    rates = " ".join(f"{batch / seconds[n]:>9.4g}" if n in seconds else f"{'-':>9}" for n in names)
    ratios = [f"{seconds[n] / seconds['ours']:>13.2f}" if n in seconds else f"{'-':>13}" for n in ("plain", "OpenVINO")]
    top = 2 * PEAK_SIDE**3 / seconds["peak"]
    shares = [f"{work * batch / seconds[n] / top:>6.0%}" for n in ("plain", "ours")]
    return f"{name:<22} {batch:>5} {rates}{ratios[0]}{ratios[1]}{' ' * 12}{'  '.join(shares)}"


def report_rewrites(options: argparse.Namespace) -> None:
    """Seconds of our graph without a rewrite over those with all of them: above 1 it is worth having."""
    from export.graphs.optimise import REWRITES, optimised

    for name in options.generators:
        graph = graph_of(*parsed(name))
        raw = traced(graph)
        models = {"plain": plain(graph), "all": optimised(raw)}
        for left_out in REWRITES:
            model = optimised(raw, [rewrite for rewrite in REWRITES if rewrite != left_out])
            if model.graph.node != models["all"].graph.node:
                models[f"without: {left_out}"] = model
        for batch in options.batches:
            contenders = {key: in_onnxruntime(model, graph, batch, options.threads) for key, model in models.items()}
            seconds = interleaved(contenders, options)
            print(f"{name}, batch {batch}: seconds over those of all rewrites")
            for key, value in seconds.items():
                print(f"  {value / seconds['all']:6.3f}  {batch / value:8.0f} images/s  {key}", flush=True)


def report_doublings(options: argparse.Namespace) -> None:
    """Seconds of a transposed convolution and a ReLU over those of the same as four convolutions."""
    from export.graphs.rewrites import subpixel

    print(
        f"Transposed over sub-pixel, seconds, {options.threads} threads; the rule in export/graphs/rewrites/subpixel.py"
    )
    print(
        f"{'inputs':>6} {'outputs':>7} {'side':>5} " + " ".join(f"{f'batch {n}':>9}" for n in options.batches), " rule"
    )
    for inputs, outputs, side in DOUBLINGS:
        ratios = []
        for batch in options.batches:
            seconds = interleaved(doublings(inputs, outputs, side, batch, options.threads), options)
            ratios.append(f"{seconds['transposed'] / seconds['sub-pixel']:>9.2f}")
        rule = "sub-pixel" if subpixel.worthwhile(outputs) else "transposed"
        print(f"{inputs:>6} {outputs:>7} {side:>5} {' '.join(ratios)}  {rule}", flush=True)


def doublings(inputs: int, outputs: int, side: int, batch: int, threads: int) -> Contenders:
    """The two forms, between maps in ONNX Runtime's plain layout: convolutions around them would only help ours."""
    import numpy as np
    import onnx
    import onnx_ir as ir
    from onnx import helper
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    from export.graphs.rewrites import subpixel
    from export.graphs.rewrites.graph import apply

    draw = np.random.default_rng(0)
    weights = {"w": draw.standard_normal((inputs, outputs, 4, 4)), "b": draw.standard_normal(outputs)}
    shape = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    graph = helper.make_graph(
        [helper.make_node("ConvTranspose", ["x", "w", "b"], ["t"], **shape), helper.make_node("Relu", ["t"], ["y"])],
        "doubling",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", inputs, side, side])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", outputs, 2 * side, 2 * side])],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    rewritten = ir.from_proto(model)
    assert apply(rewritten, "Relu", lambda node, patch: subpixel.subpixel(node, patch, everywhere=True)) == 1
    RemoveUnusedNodesPass()(rewritten)
    x = {"x": draw.standard_normal((batch, inputs, side, side)).astype(np.float32)}
    return {
        "transposed": called(model, x, threads),
        "sub-pixel": called(ir.to_proto(rewritten), x, threads),
    }


def parsed(name: str) -> tuple[str, int]:
    preset, _, side = name.partition(":")
    return preset, int(side or 64)


def spec_of(preset: str, side: int) -> "GeneratorSpec":
    """The RGBA generator that ``preset`` trains, or the translator of RGBA pictures."""
    from core.networks import TRANSLATORS
    from core.spec import GeneratorSpec, SourceSpec
    from trainer.objective.corruption import Corruption
    from trainer.presets import resolve

    config = resolve(preset)
    if config.family not in TRANSLATORS:
        return GeneratorSpec(config.family, side, side, 4, config.latent_dim, options=config.generator)
    source = SourceSpec(side, side, 4)
    if config.system == "autoencoder":
        source = Corruption.of(config.corruption).source_of(side, side, 4)
    return GeneratorSpec(config.family, side, side, 4, 0, kind="image", source=source, options=config.generator)


def graph_of(preset: str, side: int) -> "WholeGraph":
    import torch

    from core.networks import build_maker
    from export.graphs.modules import whole_graph

    torch.manual_seed(0)
    generator = build_maker(spec_of(preset, side))
    for parameter in generator.parameters():
        if not parameter.any():  # a runtime might see that adding nothing can be left out
            torch.nn.init.normal_(parameter, 0.0, 0.1)
    return whole_graph(generator)


def plain(graph: "WholeGraph") -> "ModelProto":
    from export.graphs.convert import to_onnx

    return to_onnx(graph, plain=True)


def ours(graph: "WholeGraph") -> "ModelProto":
    from export.graphs.convert import to_onnx

    return to_onnx(graph)


def traced(graph: "WholeGraph") -> "ModelProto":
    """What our optimiser gets."""
    from export.graphs.convert import traced

    return traced(graph)


def operations(model: "ModelProto") -> float:
    """Multiplications and additions an image takes in convolutions and matrix products."""
    from export.checks.flops import flops

    return float(flops(model) or 0)


def runtimes(graph: "WholeGraph", models: dict[str, "ModelProto"], batch: int, threads: int) -> Contenders:
    """Every runtime on the same inputs, once it is known to make the same images."""
    import torch

    from core.contract import sample_inputs

    torch.set_num_threads(threads)
    inputs = sample_inputs(graph.generator.spec, range(batch))
    found: Contenders = {name: in_onnxruntime(model, graph, batch, threads) for name, model in models.items()}
    found["PyTorch"] = lambda: graph.images(inputs)
    if openvino := in_openvino(models["plain"], inputs, threads):
        found["OpenVINO"] = openvino
    return found


def in_onnxruntime(model: "ModelProto", graph: "WholeGraph", batch: int, threads: int) -> Callable[[], object]:
    from core.contract import sample_inputs
    from core.difference import MOST_LEVELS, levels_apart
    from core.onnx.session import open_session, run

    inputs = sample_inputs(graph.generator.spec, range(batch))
    session = open_session(model.SerializeToString(), threads=threads)
    assert levels_apart(run(session, inputs), graph.images(inputs)) <= MOST_LEVELS
    return lambda: session.run(None, inputs)


def in_openvino(model: "ModelProto", inputs: dict[str, Any], threads: int) -> Callable[[], object] | None:
    """OpenVINO in 32 bits, tuned for latency, as one request at a time is; None if it is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plain.onnx")
        path.write_bytes(model.SerializeToString())
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda: request.infer(inputs)


def called(model: "ModelProto", inputs: dict[str, Any], threads: int) -> Callable[[], object]:
    from core.onnx.session import open_session

    session = open_session(model.SerializeToString(), threads=threads)
    return lambda: session.run(None, inputs)


def peak() -> Callable[[], object]:
    """A large matrix product, the most that the machine is known to do."""
    import torch

    a, b = torch.randn(2, PEAK_SIDE, PEAK_SIDE)
    return lambda: torch.mm(a, b)


def interleaved(contenders: Contenders, options: argparse.Namespace) -> dict[str, float]:
    """Median seconds a call of each, samples taken in turn so that all meet the same moments of the machine."""
    clock = time.process_time if options.cpu_time else time.perf_counter
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds + 1):
        for name, call in contenders.items():
            time.sleep(0 if options.cpu_time else SECONDS_TO_SETTLE)
            samples[name].append(seconds_a_call(call, clock))
    return {name: statistics.median(times[1:]) for name, times in samples.items()}  # the first is for warming up


def seconds_a_call(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start, calls = clock(), 0
    while (elapsed := clock() - start) < SECONDS_A_SAMPLE:
        call()
        calls += 1
    return elapsed / calls


def report_table(options: argparse.Namespace) -> None:
    """A row for each family and precision: what its graph weighs and does, and what an export with it costs."""
    speed = f"images/s with {options.threads} threads, medians of {options.rounds} interleaved samples"
    print(f"Exports, checks included, each in a process of its own; {speed}")
    print("| generator | precision | graph, MiB | seconds (imports) | peak, MiB | images/s, batch 1 | batch 16 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in options.generators:
        graph = graph_of(*parsed(name))
        models = precisions_of(graph)
        rates = rates_of(graph, models, options)
        for precision, model in models.items():
            cost = cost_of(name, precision) if precision != "int8" else None  # its gate needs images to be judged by
            size = len(model.SerializeToString()) / 2**20
            spent = f"{cost['import'] + cost['export']:.1f} ({cost['import']:.1f})" if cost else "–"
            memory = f"{cost['peak'] / 2**20:.0f}" if cost else "–"
            fast = " | ".join(f"{rate:.4g}" for rate in rates[precision])
            print(f"| {name} | {precision} | {size:.2f} | {spent} | {memory} | {fast} |", flush=True)


def precisions_of(graph: "WholeGraph") -> dict[str, "ModelProto"]:
    from export.precisions.fp16 import to_half
    from export.precisions.int8 import to_int8

    model = ours(graph)
    return {"fp32": model, "fp16": to_half(model), "int8": to_int8(model, graph.generator.spec)}


def rates_of(
    graph: "WholeGraph", models: dict[str, "ModelProto"], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Images/s of every precision at batch 1 and 16, in ONNX Runtime."""
    from core.contract import sample_inputs

    rates: dict[str, list[float]] = {precision: [] for precision in models}
    for batch in BATCHES:
        inputs = sample_inputs(graph.generator.spec, range(batch))
        contenders = {precision: called(model, inputs, options.threads) for precision, model in models.items()}
        for precision, seconds in interleaved(contenders, options).items():
            rates[precision].append(batch / seconds)
    return rates


def cost_of(name: str, precision: str) -> dict[str, float]:
    """Seconds and memory of an export."""
    with tempfile.TemporaryDirectory() as folder:
        run, bundle = Path(folder, "run"), Path(folder, "bundle")
        make_run(run, *parsed(name))
        command = [sys.executable, __file__, "--child", str(run), str(bundle), precision]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return found


def make_run(run: Path, preset: str, side: int) -> None:
    """A run with random weights."""
    from core.checkpoint import save_generator

    save_generator(run / "generator.safetensors", graph_of(preset, side).generator)


def export(run: Path, bundle: Path, precision: str) -> None:
    start = time.perf_counter()
    from export.bundles.exporting import export_run
    from export.bundles.options import ExportOptions

    imported = time.perf_counter()
    export_run(run, bundle, options=ExportOptions(precisions=[precision]))
    print(json.dumps({"import": imported - start, "export": time.perf_counter() - imported, "peak": peak_memory()}))


def peak_memory() -> int:
    """Bytes, by Linux. Not ``getrusage``'s, which begins at what the parent had when it started this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
