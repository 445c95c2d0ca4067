"""Sheets of seeds, of classes and of translations, which every room makes, and the pictures on a page, found again."""

import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from core.contract import SOURCE, Inputs
from core.images import Images, from_pillow, to_pillow
from core.lettering import legible
from core.sheets import CAPTION, Cell, Sheet
from core.spec import GeneratorSpec

_PAIRS = 4  # of a source and its result, in a row


def sheet_of_inputs(
    spec: GeneratorSpec, inputs: Inputs, columns: int, images: Sequence[Images], title: Sequence[str]
) -> Sheet:
    """What ``images`` became of ``inputs``, both as ``core.contract.sheet_inputs`` has them."""
    if SOURCE in inputs:
        return sheet_of_translations(inputs[SOURCE], images, title)
    return sheet_of_seeds(images, columns, spec.classes, [*title, "truncation 1"])


def sheet_of_translations(sources: Images, images: Sequence[Images], title: Sequence[str]) -> Sheet:
    """Each source beside what it became, ``_PAIRS`` in a row."""
    cells = [
        cell for pair in zip(sources, images, strict=True) for cell in (fitted(pair[0], *pair[1].shape[:2]), pair[1])
    ]
    return Sheet(cells, 2 * min(_PAIRS, len(images)), title=[*title, "each source, and its result to the right"])


def fitted(picture: Images, height: int, width: int) -> Images:
    """``picture`` ``(h, w, c)`` to be shown beside others of another size: as large as these, its pixels kept sharp,
    its sides' ratio too, on nothing."""
    if picture.shape[:2] == (height, width):
        return picture
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    shown = from_pillow(to_pillow(picture).resize(size, how), 4)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    return np.pad(shown, ((top, height - size[1] - top), (left, width - size[0] - left), (0, 0)))


def sheet_of_seeds(cells: Sequence[Cell], columns: int, classes: Sequence[str], title: Sequence[str]) -> Sheet:
    """What ``core.contract.sheet_inputs`` asks for, in ``columns``: seeds from 0, or a row of them for each class."""
    count = len(cells)
    if not classes:
        return Sheet(cells, columns, captions=[*map(str, range(count))], title=[*title, "the seed below each"])
    return sheet_of_classes(cells, range(columns), classes[: count // columns], title)


def sheet_of_classes(
    cells: Sequence[Cell], seeds: Sequence[int], classes: Sequence[str], title: Sequence[str]
) -> Sheet:
    """A row for each class and a column for each seed; of one seed, a picture for each class."""
    if len(seeds) > 1:
        return Sheet(cells, columns=[*map(str, seeds)], rows=classes, corner="seed", title=title)
    names, legend = legible(classes, CAPTION)
    return Sheet(cells, captions=names, legend=legend, title=[*title, f"seed {seeds[0]}"])


def cut(picture: Image.Image, height: int, width: int) -> tuple[list[Images], int]:
    """The pictures on an opened page, row by row, each pixel once, and how many are in a row.

    A page says where they lie; one that does not, as of before, holds nothing but pictures of ``height`` and ``width``.
    """
    whole, said = from_pillow(picture, len(picture.getbands())), picture.info.get("Layout")
    if said is None:
        across, down = max(whole.shape[1] // width, 1), max(whole.shape[0] // height, 1)
        return [whole[y * height :, x * width :][:height, :width] for y in range(down) for x in range(across)], across
    page = json.loads(said)
    height, width, scale = page["height"], page["width"], max(int(page["scale"]), 1)
    return [whole[y : y + height : scale, x : x + width : scale] for x, y in page["places"]], page["across"]
