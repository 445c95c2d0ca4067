"""Sampled images as PNG files that say where they come from, and a sheet of them."""

import errno
import importlib.metadata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.errors import RequestRefused, ServingError
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
    """Write each image as ``out/SEED.png`` as it arrives, then a ``sheet`` of the first MOST_ON_A_SHEET of them.

    Every file is whole or absent, so whatever ends ``samples`` early leaves the images before it. Text chunks
    name the model, version, seed, truncation and data licence. Returns the files of the images, in order; where
    they are more than MOST_ON_A_SHEET, the sheet shows less than all. Raises RequestRefused, before it takes the
    first image, for an ``out`` or ``sheet`` that cannot be one, and ServingError for a disk that is full.
    """
    facts = describe(spec, model, version, truncation, label)
    _make_place(out, sheet)
    paths: list[Path] = []
    shown: list[Images] = []
    for seed, image in samples:
        path = out / f"{seed:010d}.png"
        with _writing(out):
            write_atomic(path, encode_png(image, facts | {"Seed": str(seed)}))
        paths.append(path)
        if sheet is not None and len(shown) < MOST_ON_A_SHEET:
            shown.append(image)
    if sheet is not None and shown:
        with _writing(sheet):
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


def _make_place(out: Path, sheet: Path | None) -> None:
    """Make the folders. Raises RequestRefused if a file or a folder is in the way."""
    if sheet is not None and sheet.is_dir():
        raise RequestRefused(f"{sheet} is a folder: give the sheet the name of a file, {sheet / 'sheet.png'}")
    for folder in filter(None, [out, sheet and sheet.parent]):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RequestRefused(f"{folder} is not a folder and cannot become one: choose another") from None
        except OSError as error:
            raise RequestRefused(f"{folder} cannot be made ({error.strerror}): choose another") from None


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ServingError(f"no room for {place}: make room and ask again; what is complete is kept") from None
        raise ServingError(f"{place} cannot be written ({error.strerror}); what is complete is kept") from None
