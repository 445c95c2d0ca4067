"""A translator through Triton beside a generator of equal FLOPs, which takes a latent where it takes a picture.

    .venv/bin/python benchmarks/translating.py [--bundle exports/painter] [--generator exports/sprites] [--rounds 5]

Wanted: at batch 1 the p50 of a translator at most 1.5 times that of the generator. Without bundles both are made, with
fresh weights, on which speed does not depend: a U-Net of width 16 at 64x64 RGBA, and the DCGAN, of the same size, whose
width brings its FLOPs nearest. One server has both, and they are asked in turn. Beside them the same through NAME_png,
PNG files in and out. Run it with nothing else on the machine.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 (first of all: it keeps libraries from telling others)

# isort: split
import numpy as np
import onnx

from benchmarks.serving import describe_machine, seconds_each
from core.bundle import GOLDEN, GRAPH, read_bundle
from core.contract import SOURCE, sample_inputs
from core.golden import Golden
from core.images import encode_png
from core.spec import GeneratorSpec, SourceSpec
from export.checks.flops import flops
from serving.protocol.grpc import OUTPUT, connect, infer_inputs
from serving.publishing import publish
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor

WANTED = 1.5
WIDTHS = range(4, 129, 4)  # of the generator that is made
Call = Callable[[int], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="of a translator; one is made unless given")
    parser.add_argument("--generator", type=Path, help="the bundle it is held against; one is made unless given")
    parser.add_argument("--rounds", type=int, default=5, help="of each in turn; medians are reported")
    parser.add_argument("--calls", type=int, default=400, help="of batch 1 in a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        translator = options.bundle or made_translator(Path(folder))
        generator = options.generator or made_generator(Path(folder), read_bundle(translator).spec, cost(translator))
        for bundle in (translator, generator):
            describe_machine(bundle)
            print(f"  {cost(bundle) / 1e9:.3f} GFLOP an image")
        report(measured(translator, generator, Path(folder) / "repository", options.rounds, options.calls))


def cost(bundle: Path) -> int:
    """The FLOPs of an image."""
    found = flops(onnx.load(bundle / GRAPH))
    if found is None:
        raise SystemExit(f"{bundle}: how many FLOPs an image costs is not known")
    return found


def made_translator(folder: Path) -> Path:
    """The bundle of a U-Net as the presets for CPUs have it, its weights fresh."""
    source = SourceSpec(64, 64, 4)
    return exported(folder, GeneratorSpec("unet", 64, 64, 4, 0, kind="image", source=source, options={"width": 16}))


def made_generator(folder: Path, like: GeneratorSpec, wanted: int) -> Path:
    """The bundle of the DCGAN of that size whose FLOPs are nearest to ``wanted``, its weights fresh."""
    from torch.utils.flop_counter import FlopCounterMode

    from core.networks import build_maker

    def spec(width: int) -> GeneratorSpec:
        return GeneratorSpec("dcgan", like.height, like.width, like.channels, 128, options={"width": width})

    def counted(width: int) -> int:
        import torch

        generator = build_maker(spec(width)).eval()
        given = {name: torch.from_numpy(values) for name, values in sample_inputs(spec(width), [0]).items()}
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            generator.pixels(given)
        return int(counter.get_total_flops())

    return exported(folder, spec(min(WIDTHS, key=lambda width: abs(counted(width) - wanted))))


def exported(folder: Path, spec: GeneratorSpec) -> Path:
    from core.checkpoint import save_generator
    from core.networks import build_maker
    from export.bundles.exporting import export_run

    file = folder / f"{spec.family}.safetensors"
    generator = build_maker(spec).eval()
    if spec.source is not None:
        generator.show(sample_inputs(spec, range(16))[SOURCE])  # type: ignore[operator]
    save_generator(file, generator)
    export_run(file, folder / spec.family)
    return folder / spec.family


def measured(translator: Path, generator: Path, repository: Path, rounds: int, calls: int) -> dict[str, list[float]]:
    """The p50 of every round, in ms, of each."""
    for name, bundle in (("translator", translator), ("generator", generator)):
        publish(bundle, name, repository, trial=False)
    golden = Golden.read(translator / GOLDEN).inputs[SOURCE]
    files = np.array([[encode_png(golden[0])]], np.object_)
    latents = sample_inputs(read_bundle(generator).spec, [0])
    asked: dict[str, tuple[str, dict[str, Any], str]] = {
        "translator": ("translator", {SOURCE: golden[:1]}, OUTPUT),
        "generator": ("generator", latents, OUTPUT),
        "translator_png": ("translator_png", {"png": files}, "png"),
    }
    found: dict[str, list[float]] = {name: [] for name in asked}
    with Supervisor(repository, free_ports()) as server, connect(server.url) as client:

        def caller(model: str, inputs: dict[str, Any], output: str) -> Call:
            tensors = infer_inputs(inputs)
            return lambda _: client.infer(model, tensors).as_numpy(output)

        for _ in range(rounds):
            for name, question in asked.items():
                found[name].append(statistics.median(seconds_each(caller(*question), 1, calls)) * 1e3)
    return found


def report(found: dict[str, list[float]]) -> None:
    middle = {name: statistics.median(rounds) for name, rounds in found.items()}
    for name, rounds in found.items():
        print(f"  {name:15} p50 {middle[name]:7.2f} ms   (rounds {min(rounds):.2f} to {max(rounds):.2f})")
    ratio = middle["translator"] / middle["generator"]
    print(f"  a picture costs {ratio:.2f} times a latent   (wanted: at most {WANTED})")


if __name__ == "__main__":
    main()
