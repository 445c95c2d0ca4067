"""Build the bundle's TensorRT engine for this machine's GPU, verify it on the golden images, keep it if it is right.

    python tensorrt/build_engine.py [--precision fp16] [--engines NAME.engines] [--rebuild]

TensorRT 10.12 or newer, or 11. Strongly typed: the precision is in the graph. An engine fits one GPU model and one
version of TensorRT, so a manifest lies beside it, and one that does not fit this machine is refused.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import machine
import verify_engine
from machine import Refused

trt = machine.needed("tensorrt")
OLDEST = (10, 12)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--precision", default="fp16", help="fp32 or fp16")
    parser.add_argument("--engines", type=Path, default=machine.ENGINES, help="where the engine goes")
    parser.add_argument("--rebuild", action="store_true", help="replace an engine, wherever it was built")
    options = parser.parse_args()

    check_version()
    plan, cuda = machine.read_plan(), machine.Cuda()
    graph, digest = machine.graph_of(plan, options.precision)
    here = {**cuda.facts(), "tensorrt": trt.__version__, "onnx_sha256": digest}
    path = options.engines / f"{options.precision}.plan"

    # An engine that is there and fits is only verified
    if path.exists() and not options.rebuild:
        fits(path, here)
        print(f"{path} is there and fits: verifying it")
        verify_engine.verify(path.read_bytes(), plan, options.precision, cuda)
        return

    # Else one is built, verified, and only then kept
    options.engines.mkdir(parents=True, exist_ok=True)
    engine = build(graph, plan, options.engines / "timing.cache")
    verify_engine.verify(engine, plan, options.precision, cuda)
    manifest = {**here, "precision": options.precision, "plan_sha256": machine.sha256(engine), "format_version": 1}
    machine.write_whole(path, engine)
    machine.write_whole(path.with_suffix(".json"), (json.dumps(manifest, indent=2) + "\n").encode())
    print(f"built and verified: {path}")


def check_version() -> None:
    """Raise Refused for a TensorRT that is too old for what is asked of it."""
    found = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if found < OLDEST:
        raise Refused(f"TensorRT {trt.__version__} is too old: install {'.'.join(map(str, OLDEST))} or newer")


def fits(path: Path, here: dict[str, Any]) -> None:
    """Raise Refused unless the engine at ``path`` was built for this machine, this TensorRT and this graph."""
    manifest = verify_engine.read_manifest(path.with_suffix(".json"))
    problem = machine.misfit(manifest, here)
    if problem is None and machine.sha256(path.read_bytes()) != manifest.get("plan_sha256"):
        problem = "it is not the one its manifest describes"
    if problem:
        raise Refused(f"{path} does not fit: {problem}; add --rebuild to replace it")


def build(graph: Path, plan: dict[str, Any], cache: Path) -> bytes:
    """The serialised engine, with every profile of ``plan``; timings go into ``cache``, to be used the next time."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = parse(builder, logger, graph)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32: else the images differ by more than a level

    for profile in plan["profiles"]:
        config.add_optimization_profile(optimisation(builder, profile["shapes"]))

    # What was timed before, unless on another GPU or by another version
    kept = config.create_timing_cache(cache.read_bytes() if cache.exists() else b"")
    if not config.set_timing_cache(kept, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)

    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise Refused(f"TensorRT cannot build {graph.name}: see its messages above")
    machine.write_whole(cache, bytes(config.get_timing_cache().serialize()))
    return bytes(engine)


def parse(builder: Any, logger: Any, graph: Path) -> Any:
    """The strongly typed network of the ONNX file. Raises Refused with the first node that cannot be had, and why."""
    flags = getattr(trt, "NetworkDefinitionCreationFlag", None)
    typed = getattr(flags, "STRONGLY_TYPED", None)  # the only kind, and so in time no flag, from 11 on
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph.read_bytes()):
        error = parser.get_error(0)
        node = f"{error.node_operator()} {error.node_name()}"
        raise Refused(f"TensorRT cannot parse {graph.name}: {node}: {error.desc()}")
    return network


def optimisation(builder: Any, shapes: dict[str, Any]) -> Any:
    """One profile: of every input the least, usual and largest shape."""
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, tuple(shape["min"]), tuple(shape["opt"]), tuple(shape["max"]))
    return profile


if __name__ == "__main__":
    machine.run(main)
