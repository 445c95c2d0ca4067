"""The folder ``tensorrt/`` of a bundle: what a machine with TensorRT and a GPU needs to make engines and trust them.

tensorrt/profiles.json       the graphs (those of the bundle), the limits of each, the profiles
tensorrt/build_engine.py     builds, verifies and keeps an engine, with a manifest of what it fits
tensorrt/verify_engine.py    the golden images, on the GPU
tensorrt/machine.py          what both need of CUDA's driver
tensorrt/trtexec.sh          the same engines by TensorRT's own tool
tensorrt/parse_report.json   what the gate found: every engine parsed and built, without a GPU
"""

import json
from collections.abc import Mapping
from pathlib import Path

from core.files import sha256
from core.spec import GeneratorSpec
from export.checks.verification import EngineReport
from export.tensorrt.gate import try_build, version
from export.tensorrt.profiles import plan, render_plan, render_trtexec

FOLDER = "tensorrt"
SCRIPTS = ("build_engine.py", "verify_engine.py", "machine.py")


def write_tensorrt(bundle: Path, spec: GeneratorSpec, graphs: Mapping[str, str]) -> EngineReport:
    """Write the folder into ``bundle`` for its ``graphs``, file by precision; what was built, and by what.

    Raises ExportError if TensorRT cannot parse or build one of them with every profile.
    """
    values = plan(spec, {name: (f"../{file}", sha256(bundle / file)) for name, file in graphs.items()})
    built = {n: try_build(file, (bundle / file).read_bytes(), values["profiles"]) for n, file in graphs.items()}
    report = {"built_with": f"tensorrt-rtx {version()}", "engines": built}

    folder = bundle / FOLDER
    folder.mkdir()
    (folder / "profiles.json").write_text(render_plan(values), encoding="utf-8", newline="\n")
    (folder / "trtexec.sh").write_text(render_trtexec(values), encoding="utf-8", newline="\n")
    (folder / "parse_report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8", newline="\n")
    for script in SCRIPTS:
        source = Path(__file__).with_name("scripts") / script
        (folder / script).write_text(source.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    return EngineReport(f"tensorrt-rtx {version()}", {name: found["layers"] for name, found in built.items()})
