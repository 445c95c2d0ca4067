"""Sampled images as PNG files that say where they come from, and a sheet of them."""

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.errors import RequestRefused, ServingError
from core.files import write_atomic
from core.images import Images, encode_png
from core.images import sheet as sheet_of
from core.ours import may_write, software
from core.places import why_not
from core.spec import GeneratorSpec

MOST_ON_A_SHEET = 4096


class Picture(NamedTuple):
    """An image to be written: the name of its file without ``.png``, and what is to be said of it alone."""

    name: str
    image: Images
    facts: Mapping[str, str]


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
    make_places(out, sheet)
    pictures = (Picture(f"{seed:010d}", image, {"Seed": str(seed)}) for seed, image in samples)
    paths, shown = save_pictures(pictures, out, facts, MOST_ON_A_SHEET if sheet else 0)
    save_sheet(shown, sheet, facts)
    return paths


def save_pictures(
    pictures: Iterable[Picture], out: Path, facts: Mapping[str, str], keep: int = 0
) -> tuple[list[Path], list[Images]]:
    """Write each picture into ``out`` as it arrives; the files, and the first ``keep`` images.

    ``facts`` go into the text chunks of all. Raises ServingError for a disk that is full.
    """
    paths: list[Path] = []
    kept: list[Images] = []
    for name, image, more in pictures:
        path = out / f"{name}.png"
        write_picture(path, encode_png(image, {**facts, **more}), out)
        paths.append(path)
        if len(kept) < keep:
            kept.append(image)
    return paths, kept


def save_sheet(
    images: Sequence[Images], path: Path | None, facts: Mapping[str, str], columns: int | None = None
) -> None:
    """Write the images in rows of ``columns`` as one PNG, if there are any and there is a ``path`` to write to."""
    if path is not None and images:
        write_picture(path, encode_png(sheet_of(np.stack(images), columns), facts))


def write_file(path: Path, data: bytes, named: Path | None = None) -> None:
    """Write ``data`` whole or not at all. Raises ServingError, which names ``named`` or the path, if it cannot."""
    with writing(named or path):
        write_atomic(path, data)


def write_picture(path: Path, data: bytes, named: Path | None = None) -> None:
    """``write_file`` for a picture of ours. Raises RequestRefused where one is that somebody else made."""
    check_free(path)
    write_file(path, data, named)


def check_free(path: Path) -> None:
    """Raise RequestRefused if writing ``path`` would replace what Ganfoundry did not make."""
    if not may_write(path):
        raise RequestRefused(f"{path} is there, and Ganfoundry did not make it: move it, or choose another place")


def describe(
    spec: GeneratorSpec, model: str, version: str, truncation: str | float = 1.0, label: str | None = None
) -> dict[str, str]:
    """The text chunks that every image of a run shares; ``truncation`` as text is taken as it is."""
    facts = {
        "Software": software(),
        "Model": model,
        "Version": version,
        "Truncation": truncation if isinstance(truncation, str) else f"{truncation:g}",
    }
    if label is not None:
        facts["Label"] = label
    if spec.provenance.data_licence:
        facts["Source"] = f"trained on {spec.provenance.data_name}, {spec.provenance.data_licence}"
    return facts


def make_places(out: Path, *files: Path | None) -> None:
    """Make ``out`` and the folders of ``files``. Raises RequestRefused if something is in the way."""
    named = [file for file in files if file is not None]
    for place in (out, *named):
        if problem := why_not(place, whole=False):
            raise RequestRefused(problem)
    for file in named:
        if file.is_dir():
            raise RequestRefused(f"{file} is a folder: write the name of a file, like {file / 'sheet.png'}")
    for file in named:
        check_free(file)
    for folder in [out, *(file.parent for file in named)]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RequestRefused(f"{folder} is not a folder and cannot become one: choose another") from None
        except OSError as error:
            raise RequestRefused(f"{folder} cannot be made ({error.strerror}): choose another") from None


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise ServingError, which names ``place`` in a line, for what the file system refuses in the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ServingError(f"no room for {place}: make room and ask again; what is complete is kept") from None
        raise ServingError(f"{place} cannot be written ({error.strerror}); what is complete is kept") from None
