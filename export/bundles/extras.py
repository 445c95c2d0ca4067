"""What a bundle holds beside the fp32 graph, where it is asked for. Torch-free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from core.bundle import FP16, GRAPH
from core.errors import ExportError
from core.golden import Golden
from core.spec import GeneratorSpec
from export.precisions.gates import Judge, write_precisions
from export.precisions.limits import FILES
from export.targets.runtimes import TARGETS
from export.targets.variants import write_targets
from export.tensorrt.gate import check_installed
from export.tensorrt.writing import write_tensorrt


@dataclass(frozen=True)
class Extras:
    """``precisions`` of fp32 (there anyway), fp16 and int8, which needs a ``judge``: the KID of what a graph makes.

    ``targets`` are what it must run on; each is given what it needs. ``tensorrt`` adds fp16 and the folder of that
    name.
    """

    precisions: Sequence[str] = ()
    judge: Judge | None = None
    targets: Sequence[str] = ()
    tensorrt: bool = False

    def check(self) -> None:
        """Raise ExportError for what cannot be had, before anything takes time."""
        known = {"fp32", *FILES}
        if unknown := sorted(set(self.precisions) - known):
            raise ExportError(f"there is no precision '{unknown[0]}': choose from {', '.join(sorted(known))}")
        if "int8" in self.precisions and self.judge is None:
            raise ExportError("int8 is judged by its KID: give the pack to judge by with --data")
        if self.tensorrt:
            check_installed()
        if unknown := sorted(set(self.targets) - set(TARGETS)):
            raise ExportError(f"there is no target '{unknown[0]}': choose from {', '.join(TARGETS)}")

    def write(
        self, bundle: Path, model: ModelProto, spec: GeneratorSpec, golden: Golden, tell: Callable[[str], None]
    ) -> dict[str, Any]:
        """Write what is asked for into ``bundle``, made from the fp32 ``model``; figures for the manifest, by name."""
        facts: dict[str, Any] = {}
        if self.targets:
            tell(f"checking for {', '.join(sorted(set(self.targets)))}")
            facts["targets"] = write_targets(bundle, model, spec, golden, self.targets)
        asked = {*self.precisions, "fp16"} if self.tensorrt else set(self.precisions)
        if wanted := sorted(asked & set(FILES)):
            tell(f"making {' and '.join(wanted)} and comparing with fp32")
            facts["precisions"] = write_precisions(bundle, model, spec, golden, wanted, self.judge)
        if self.tensorrt:
            tell("building the TensorRT engines")
            fp16 = {"fp16": FP16} if facts["precisions"]["fp16"]["written"] else {}
            facts["tensorrt"] = write_tensorrt(bundle, spec, {"fp32": GRAPH} | fp16)
        return facts


PLAIN = Extras()  # none
