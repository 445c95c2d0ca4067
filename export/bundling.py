"""What every bundle is made of, whichever way its graph came to be. Torch-free."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from core.bundle import MANIFEST, SUMS, Golden, read_manifest
from core.contract import Inputs, sample_inputs, sheet_inputs
from core.errors import BundleError, ExportError
from core.images import Images, sheet
from core.spec import GeneratorSpec
from export.card import SHEET_SEEDS
from export.trial import TRUNCATIONS

GOLDEN_SEEDS = range(8)
LARGEST_FILE = 2**31 - 1  # what protobuf can hold; larger graphs would need files beside them

_SHEET_BATCH = 16

Make = Callable[[Inputs], Images]
Progress = Callable[[str], None]  # hears what is being done, a few words at a time


def check_destination(destination: Path, overwrite: bool) -> None:
    """Raise ExportError where a bundle cannot go. Overwriting replaces a bundle, and never deletes anything else."""
    if not destination.exists():
        return
    if not overwrite:
        raise ExportError(f"{destination} exists: choose another --out or add --overwrite")
    try:
        known = {MANIFEST, SUMS, *read_manifest(destination).files}
    except BundleError:
        known = set()
    held = {path.relative_to(destination).as_posix() for path in destination.rglob("*") if not path.is_dir()}
    if held - known or not known:
        raise ExportError(
            f"{destination} is not a bundle and nothing else: it is not overwritten; choose another --out"
        )


def serialised(model: ModelProto) -> bytes:
    """The ONNX file. Raises ExportError if one cannot hold it."""
    if (size := model.ByteSize()) > LARGEST_FILE:
        raise ExportError(f"the graph has {size / 2**30:.1f} GiB and one ONNX file holds 2: train a narrower network")
    return bytes(model.SerializeToString(deterministic=True))


def golden_images(spec: GeneratorSpec, make: Make) -> Golden:
    """Every golden seed at every truncation."""
    parts = [sample_inputs(spec, GOLDEN_SEEDS, truncation) for truncation in TRUNCATIONS]
    inputs: dict[str, Any] = {port: np.concatenate([part[port] for part in parts]) for port in parts[0]}
    return Golden(inputs, make(inputs))


def sample_sheet(spec: GeneratorSpec, make: Make) -> Images:
    """The first seeds in rows of eight, or a row for each class; RGBA stays transparent, gaps included."""
    inputs, columns = sheet_inputs(spec, len(SHEET_SEEDS))
    starts = range(0, len(inputs["z"]), _SHEET_BATCH)
    batches = ({name: rows[start : start + _SHEET_BATCH] for name, rows in inputs.items()} for start in starts)
    return sheet(np.concatenate([make(batch) for batch in batches]), columns, gap=2)
