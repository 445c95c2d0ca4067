"""What a bundle holds beside the fp32 graph, where it is asked for. Torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx import ModelProto

from core.bundle import FP16, GRAPH
from core.errors import ExportError
from core.golden import Golden
from core.spec import GeneratorSpec
from export.bundles.contents import Progress
from export.checks.verification import Verification
from export.precisions.gates import MeasureKid, write_precisions
from export.precisions.limits import FILES
from export.targets.runtimes import TARGETS
from export.targets.variants import write_targets
from export.tensorrt.gate import check_installed
from export.tensorrt.writing import write_tensorrt


@dataclass(frozen=True)
class ExportOptions:
    """``precisions`` of fp32 (there anyway), fp16 and int8, which needs ``measure_kid``: the KID of what a graph makes.

    ``targets`` are what it must run on; each is given what it needs. ``tensorrt`` adds fp16 and the folder of that
    name.
    """

    precisions: Sequence[str] = ()
    measure_kid: MeasureKid | None = None
    targets: Sequence[str] = ()
    tensorrt: bool = False

    def check(self) -> None:
        """Raise ExportError for what cannot be had, before anything takes time."""
        known = {"fp32", *FILES}
        if unknown := sorted(set(self.precisions) - known):
            raise ExportError(f"there is no precision '{unknown[0]}': choose from {', '.join(sorted(known))}")
        if "int8" in self.precisions and self.measure_kid is None:
            raise ExportError("int8 is judged by its KID: give the pack to judge by with --data")
        if self.tensorrt:
            check_installed()
        if unknown := sorted(set(self.targets) - set(TARGETS)):
            raise ExportError(f"there is no target '{unknown[0]}': choose from {', '.join(TARGETS)}")

    def write(
        self,
        bundle: Path,
        model: ModelProto,
        spec: GeneratorSpec,
        golden: Golden,
        verification: Verification,
        tell: Progress,
    ) -> Verification:
        """Write what is asked for into ``bundle``, made from the fp32 ``model``; ``verification`` with its reports."""
        if self.targets:
            tell(f"checking for {', '.join(sorted(set(self.targets)))}")
            verification = replace(verification, targets=write_targets(bundle, model, spec, golden, self.targets))

        asked = {*self.precisions, "fp16"} if self.tensorrt else set(self.precisions)
        if wanted := sorted(asked & set(FILES)):
            tell(f"making {' and '.join(wanted)} and comparing with fp32")
            reports = write_precisions(bundle, model, spec, golden, wanted, self.measure_kid)
            verification = replace(verification, precisions=reports)

        if self.tensorrt:
            tell("building the TensorRT engines")
            fp16 = {"fp16": FP16} if verification.precisions["fp16"].failed is None else {}
            verification = replace(verification, tensorrt=write_tensorrt(bundle, spec, {"fp32": GRAPH} | fp16))
        return verification


FP32_ONLY = ExportOptions()
