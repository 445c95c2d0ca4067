"""Sampled images as PNG files that say where they come from, and a sheet of them."""

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from core.files import write_atomic
from core.images import Images, encode_png
from core.images import sheet as sheet_of
from core.spec import GeneratorSpec

MOST_ON_A_SHEET = 4096


def save_samples(
    samples: Iterable[tuple[int, Images]],
    out: Path,
    spec: GeneratorSpec,
    model: str,
    version: str,
    truncation: float = 1.0,
    label: str | None = None,
    sheet: Path | None = None,
) -> list[Path]:
    """Write each image as ``out/SEED.png`` as it arrives, then a ``sheet`` of the first few thousand.

    Every file is whole or absent, so whatever ends ``samples`` early leaves the images before it. Text chunks
    name the model, version, seed, truncation and data licence. Returns the files of the images, in order.
    """
    facts = describe(spec, model, version, truncation, label)
    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    shown: list[Images] = []
    for seed, image in samples:
        path = out / f"{seed:010d}.png"
        write_atomic(path, encode_png(image, facts | {"Seed": str(seed)}))
        paths.append(path)
        if sheet is not None and len(shown) < MOST_ON_A_SHEET:
            shown.append(image)
    if sheet is not None and shown:
        write_atomic(sheet, encode_png(sheet_of(np.stack(shown)), facts))
    return paths


def describe(
    spec: GeneratorSpec, model: str, version: str, truncation: float = 1.0, label: str | None = None
) -> dict[str, str]:
    """The text chunks that every image of a run shares."""
    facts = {
        "Software": f"Ganfoundry {importlib.metadata.version('ganfoundry')}",
        "Model": model,
        "Version": version,
        "Truncation": f"{truncation:g}",
    }
    if label is not None:
        facts["Label"] = label
    if spec.provenance.data_licence:
        facts["Source"] = f"trained on {spec.provenance.data_name}, {spec.provenance.data_licence}"
    return facts
