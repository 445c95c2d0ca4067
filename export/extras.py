"""What a bundle holds beside the fp32 graph, where it is asked for. Torch-free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from core.bundle import Golden
from core.errors import ExportError
from core.spec import GeneratorSpec
from export.gates import Judge, write_precisions
from export.precision import FILES


@dataclass(frozen=True)
class Extras:
    """``precisions`` of fp32 (there anyway), fp16 and int8, which needs a ``judge``: the KID of what a graph makes."""

    precisions: Sequence[str] = ()
    judge: Judge | None = None

    def check(self) -> None:
        """Raise ExportError for what cannot be had, before anything takes time."""
        known = {"fp32", *FILES}
        if unknown := sorted(set(self.precisions) - known):
            raise ExportError(f"there is no precision '{unknown[0]}': choose from {', '.join(sorted(known))}")
        if "int8" in self.precisions and self.judge is None:
            raise ExportError("int8 is judged by its KID: give the pack to judge by with --data")

    def write(
        self, bundle: Path, model: ModelProto, spec: GeneratorSpec, golden: Golden, tell: Callable[[str], None]
    ) -> dict[str, Any]:
        """Write what is asked for into ``bundle``, made from the fp32 ``model``; figures for the manifest, by name."""
        if not (wanted := sorted(set(self.precisions) & set(FILES))):
            return {}
        tell(f"making {' and '.join(wanted)} and comparing with fp32")
        return {"precisions": write_precisions(bundle, model, spec, golden, wanted, self.judge)}
