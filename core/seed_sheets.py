"""Sheets of seeds and of classes, which every room makes, and the pictures on a page, found again."""

import json
from collections.abc import Sequence

from PIL import Image

from core.images import Images, from_pillow
from core.lettering import legible
from core.sheets import CAPTION, Cell, Sheet


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
