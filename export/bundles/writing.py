"""The files of a bundle, whichever way its graph came to be; the manifest is written last. Torch-free."""

from dataclasses import asdict, dataclass
from pathlib import Path

from onnx import load_model_from_string

from core.bundle import CARD, GOLDEN, GRAPH, SHEET, Manifest, write_manifest
from core.contract import Port
from core.golden import Golden
from core.spec import GeneratorSpec
from export.bundles.card import render_card
from export.bundles.contents import Progress
from export.bundles.options import ExportOptions
from export.bundles.provenance import Origin
from export.checks.verification import Verification


@dataclass(frozen=True)
class BundleContents:
    """What every bundle holds: the ONNX file, what it is and comes from, and what was found when it was checked.

    ``sheet`` is a PNG file; ``styles`` what lies between the two parts of a generator that ships in two as well.
    """

    graph: bytes
    spec: GeneratorSpec
    opset: int
    origin: Origin
    golden: Golden
    sheet: bytes
    verification: Verification
    styles: Port | None = None

    def write(self, bundle: Path, name: str, options: ExportOptions, tell: Progress) -> Manifest:
        """Write it and what the ``options`` ask for into the folder ``bundle``; ``name`` is for the model card."""
        (bundle / GRAPH).write_bytes(self.graph)
        (bundle / GOLDEN).write_bytes(self.golden.to_bytes())
        (bundle / SHEET).write_bytes(self.sheet)

        model = load_model_from_string(self.graph)
        verification = options.write(bundle, model, self.spec, self.golden, self.verification, tell)
        card = render_card(name, self.spec, verification, self.styles, self.origin.judged, self.opset)
        (bundle / CARD).write_text(card, "utf-8", "backslashreplace", newline="\n")
        return write_manifest(
            bundle, spec=self.spec, opset=self.opset, verification=verification.to_json(), **asdict(self.origin)
        )
