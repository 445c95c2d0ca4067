"""Where a graph comes from: what its metadata and the manifest both say of it. Torch-free."""

import importlib.metadata
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from core import latents
from core.bundle import Manifest
from core.contract import CHECKPOINT_KEY, JUDGED_KEY, SEEDS_KEY, TOOLS_KEY
from core.files import sha256
from core.run import B_TO_A, EVALUATION, GENERATOR, LOG
from core.spec import GeneratorSpec

LARGEST_RECORD = 1 << 26  # bytes of figures or a log that are read; a line is some 300
KIDS = ("KID", "KID-lite0", "KID-lite2")  # by which network KID was taken, the usual one first
# Of a translator's results, those of pairs first: what leads in 'evaluate'. L1 is in levels of 255.
OF_RESULTS = {
    "l1": "L1",
    "filled": "L1 inside filled regions",
    "iou": "alpha IoU",
    **dict(zip(KIDS, KIDS, strict=True)),
    "cycle_l1": "L1 there and back",
    "identity_l1": "L1 of what is there already",
}

logger = logging.getLogger(__name__)

_TOOLS = ("ganfoundry", "torch", "onnx", "onnxscript", "onnxruntime-gpu", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Origin:
    """What the manifest says beside the spec: the generator file's sha256, the tools, and its KID where known."""

    checkpoint_sha256: str
    tools: dict[str, str]
    judged: dict[str, Any]
    seed_algorithm: str = latents.ALGORITHM

    @classmethod
    def of(cls, checkpoint: Path, spec: GeneratorSpec) -> "Origin":
        """That of the generator file ``checkpoint``, whose spec is ``spec``, exported now and here."""
        return cls(sha256(checkpoint), tool_versions(), judgement(checkpoint, spec))

    @classmethod
    def told_by(cls, manifest: Manifest) -> "Origin":
        """What a bundle says."""
        return cls(manifest.checkpoint_sha256, manifest.tools, manifest.judged, manifest.seed_algorithm)

    def metadata(self) -> dict[str, str]:
        """The same as the graph's metadata."""
        return {
            SEEDS_KEY: self.seed_algorithm,
            CHECKPOINT_KEY: self.checkpoint_sha256,
            TOOLS_KEY: json.dumps(self.tools, sort_keys=True),
            JUDGED_KEY: json.dumps(self.judged, sort_keys=True),
        }

    def stamp(self, model: onnx.ModelProto) -> None:
        """Add it to the metadata of ``model``."""
        onnx.helper.set_model_props(model, {e.key: e.value for e in model.metadata_props} | self.metadata())


def tool_versions() -> dict[str, str]:
    """The versions of what makes and checks a graph, of those that are installed."""
    versions = {}
    for tool in _TOOLS:
        try:
            versions[tool] = importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def judgement(checkpoint: Path, spec: GeneratorSpec) -> dict[str, Any]:
    """The KID of the generator file ``checkpoint`` and what it rests on, or a translator's figures; empty if nobody
    took any.

    Read from what 'evaluate' left beside the file, else from the log of its run, where training took it: not of a
    translator, whose log judges by the pictures that the best one is chosen by. Either only counts if it is about a
    generator of the same preset and data after exactly as many images seen.
    """
    return _evaluated(checkpoint, spec) or ({} if spec.source else _logged(checkpoint, spec))


def _evaluated(checkpoint: Path, spec: GeneratorSpec) -> dict[str, Any]:
    origin = spec.provenance
    same = {"preset": origin.preset, "images_seen": origin.images_seen, "trained_on": origin.data_name}

    for path in _evaluations(checkpoint):
        record = next(_objects(path, whole=True), {})
        figures = _of_seeds(record) if spec.source is None else _of_results(record, spec.source.direction)
        if figures and record.get("generator") == same:
            return {
                **figures,
                "taken_by": "evaluate",
                "images_seen": origin.images_seen,
                "on_the_training_data": _part(record, "data").get("trained_on_these") is True,
            }
    return {}


def _of_seeds(record: dict[str, Any]) -> dict[str, Any]:
    """KID as 'evaluate' wrote it, and of how many images."""
    kids = {name: record[name] for name in KIDS if _is_number(record.get(name))}
    counts = {name: _number(_part(record, "protocol"), name) for name in ("samples", "real_images")}
    return {**kids, **counts} if kids else {}


def _of_results(record: dict[str, Any], direction: str) -> dict[str, Any]:
    """A translator's figures as 'evaluate' wrote them, and of how many held-out pairs, or pictures where nobody knows
    the answers."""
    protocol, figures = _part(record, "protocol"), _part(record, "figures")
    if record.get("direction") == direction and (pairs := _named(figures)):
        return {**pairs, "pairs": _number(protocol, "pairs")}
    both = _part(record, "there_and_back") or record  # of a translator of pairs, or without
    pictures = _part(_part(_part(both, "protocol"), "pictures"), direction)
    found = _named(_part(_part(both, "figures"), direction))
    return {**found, "pictures": _number(pictures, "held")} if found else {}


def _named(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in OF_RESULTS if _is_number(figures.get(name))}


def _evaluations(checkpoint: Path) -> list[Path]:
    """Where 'evaluate' puts the figures of a generator file, and of the run that it is the generator of.

    Those of the way back stand beside those of the way there.
    """
    stems = dict.fromkeys((checkpoint.stem.removesuffix(f".{B_TO_A}"), checkpoint.stem))
    run = [checkpoint.with_name(EVALUATION)] if Path(GENERATOR).stem in stems else []
    return [*run, *(checkpoint.with_name(f"{stem}.{EVALUATION}") for stem in stems)]


def _logged(checkpoint: Path, spec: GeneratorSpec) -> dict[str, Any]:
    """The last entry counts: a run that went on from an earlier state took the same moment's again."""
    found: dict[str, Any] = {}
    for line in _objects(checkpoint.with_name(LOG)):
        kids = {name: line[name] for name in KIDS if _is_number(line.get(name))}
        if kids and line.get("images") == spec.provenance.images_seen:
            samples = _number(line, "metric_samples")
            seen = line["images"]
            found = {**kids, "taken_by": "train", "images_seen": seen, "samples": samples, "on_the_training_data": True}
    return found


def _objects(path: Path, whole: bool = False) -> Iterator[dict[str, Any]]:
    """The JSON objects in a file, one a line or the ``whole`` of it. What is none, or cannot be read, is left out."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_RECORD:
            return
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        logger.info("%s is left out, because it cannot be read: %s", path, error)
        return

    for part in [text] if whole else text.splitlines():
        try:
            value = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _part(values: dict[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def _number(values: dict[str, Any], name: str) -> int | float | None:
    value = values.get(name)
    return value if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300  # nor NaN
