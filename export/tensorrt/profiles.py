"""What TensorRT is to build: the batch sizes it may meet, as profiles.json, and the same as a script for trtexec."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from core.contract import input_ports
from core.spec import GeneratorSpec
from export.precisions.limits import TRUE_HALVES, Limits

BATCHES = {"one": (1, 1, 4), "batch": (1, 16, 64)}  # of each profile the least, the usual and the largest
# Without TF32, fp32 is another order of adding up and no more.
_LIMITS = {"fp32": Limits(mean=0.25, most=1), "fp16": TRUE_HALVES}


def plan(spec: GeneratorSpec, graphs: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """``profiles.json``: ``graphs`` are file, seen from its folder, and sha256 by precision."""
    return {
        "format_version": 1,
        "graphs": {
            name: {"file": file, "sha256": digest, "limits": asdict(_LIMITS[name])}
            for name, (file, digest) in graphs.items()
        },
        "profiles": [{"name": name, "shapes": _shapes(spec, batches)} for name, batches in _batches(spec).items()],
    }


def _batches(spec: GeneratorSpec) -> dict[str, tuple[int, int, int]]:
    """As many profiles for one that takes one image at a time: configurations for Triton name them."""
    largest = spec.most_at_once(max(map(max, BATCHES.values())))
    return {name: (least, min(usual, largest), min(most, largest)) for name, (least, usual, most) in BATCHES.items()}


def _shapes(spec: GeneratorSpec, batches: tuple[int, int, int]) -> dict[str, dict[str, list[int]]]:
    sizes = dict(zip(("min", "opt", "max"), batches, strict=True))
    return {port.name: {which: [count, *port.shape] for which, count in sizes.items()} for port in input_ports(spec)}


def render_plan(values: Mapping[str, Any]) -> str:
    """The text of ``profiles.json``."""
    return json.dumps(values, indent=2) + "\n"


def render_trtexec(values: Mapping[str, Any]) -> str:
    """A shell script that builds the same engines with trtexec, of TensorRT 10.12 or newer, or 11.

    11 has no flags for precisions, which are in the graphs; ``--stronglyTyped`` is given where trtexec knows it.
    """
    runs = "\n".join(f'build {name} "{graph["file"]}"' for name, graph in values["graphs"].items())
    shapes = " \\\n        ".join(_flags(index, profile) for index, profile in enumerate(values["profiles"]))
    return f"""#!/bin/sh -e
# Build every engine with trtexec instead of build_engine.py; then nothing is verified, and no manifest is written.
here=$(cd "$(dirname "$0")" && pwd)
engines=${{1:-"$(cd "$here/.." && pwd).engines"}}
typed=
if trtexec --help 2>&1 | grep -q -e --stronglyTyped; then typed=--stronglyTyped; fi

build() {{
    trtexec --onnx="$here/$2" --saveEngine="$engines/$1.trtexec.plan" $typed --noTF32 --skipInference \\
        --timingCacheFile="$engines/trtexec.cache" \\
        {shapes}
}}

mkdir -p "$engines"
{runs}
"""


def _flags(index: int, profile: Mapping[str, Any]) -> str:
    """One profile's flags; a shape is written 1x100."""
    flags = [f"--profile={index}"]
    for which in ("min", "opt", "max"):
        shapes = [f"{name}:{'x'.join(map(str, shape[which]))}" for name, shape in profile["shapes"].items()]
        flags.append(f"--{which}Shapes={','.join(shapes)}")
    return " ".join(flags)
