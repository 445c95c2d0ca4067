"""The contact sheet of a pack: some of its images, or of its pairs, spread evenly over it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from core.images import Images, from_pillow, to_pillow
from core.lettering import one_line
from core.sheets import AUTO, Look, Pages, Sheet
from trainer.data.classes import members
from trainer.data.info import PARTS
from trainer.data.pack import Pack, Parts
from trainer.data.sampler import Order

MOST_CLASSES = 32  # on a contact sheet
_COLUMNS = 8
_PAIRS_ACROSS, _PAIRS = 4, 32
_BETWEEN = (246, 246, 246, 255)  # a sheet's page
_SHOWN = 128  # pixels of a picture of a pair, at most twice as many
_GAP = 4  # between both of a pair, in pixels of theirs


def contact_sheet(pack: Pack, count: int = 64) -> Image.Image:
    """``count`` images spread evenly over the pack, each with its number there; its texts are in ``info``.

    Of a pack with classes each has a row of its own, spread over the class. Of pairs each source is left of its image;
    of two domains the first rows are sources. What is held out says so.
    """
    if pack.sources is not None and not pack.info.paired:
        return _domains(pack)
    if pack.labels is None:
        return _drawn(pack, _spread(np.arange(len(pack)), min(count, _PAIRS) if pack.info.paired else count))
    some = members(pack)[:MOST_CLASSES]
    names = [pack.info.classes[int(pack.labels[rows[0]])] for rows in some]
    across = _PAIRS_ACROSS if pack.info.paired else _COLUMNS
    return _drawn(pack, np.concatenate([_padded(rows, across) for rows in some]), names)


def _drawn(pack: Pack, chosen: Order, classes: Sequence[str] = ()) -> Image.Image:
    """The sheet of the ``chosen`` images, in rows of ``classes`` where there are any; -1 is none."""
    pictures, look = pack.gather(chosen), AUTO
    across = _COLUMNS if classes else None
    what = "images, the number of each below it"

    # Pairs side by side
    if pack.info.paired:
        pictures = _beside(pack.gather_sources(chosen), pictures)
        look = Look(max(_SHOWN // max(pictures.shape[1:3]) * 2, 1)) if max(pictures.shape[1:3]) <= 4 * _SHOWN else AUTO
        across, what = _PAIRS_ACROSS, "pairs, each source left of its image, its number below"

    # A cell for each, empty where a class has no more
    shown = (chosen >= 0).tolist()
    cells = [picture if there else None for picture, there in zip(pictures, shown, strict=True)]
    captions = [_caption(int(row), pack.parts) if there else "" for row, there in zip(chosen, shown, strict=True)]
    title = [one_line(pack.info.name), f"{sum(shown):,} of {len(pack):,} {what}"]
    drawn = Sheet(cells, across, rows=classes, captions=captions, title=title)
    (page,) = Pages(drawn, (pictures.shape[1], pictures.shape[2]), look, one=True)
    return page.image()


def _domains(pack: Pack) -> Image.Image:
    """Rows of sources, then rows of images."""
    assert pack.sources is not None and pack.info.sources is not None
    rows = [_spread(np.arange(len(some)), _PAIRS) for some in (pack.sources, pack.images)]
    some = _of_one_size(pack.gather_sources(rows[0]), pack.gather(rows[1]))

    # Whole rows of each
    cells, captions, names = list[Images | None](), list[str](), list[str]()
    said = ("sources", pack.source_parts), ("images", pack.parts)
    for pictures, chosen, (name, parts) in zip(some, rows, said, strict=True):
        empty = -len(chosen) % _COLUMNS
        cells += [*pictures, *[None] * empty]
        captions += [*(_caption(int(row), parts) for row in chosen), *[""] * empty]
        names += [f"{name} {row}" for row in range(1, (len(chosen) + empty) // _COLUMNS + 1)]

    title = [one_line(pack.info.name), f"{len(pack):,} images and {len(pack.sources):,} sources that belong to none"]
    drawn = Sheet(cells, _COLUMNS, rows=names, captions=captions, title=title)
    (page,) = Pages(drawn, (some[0].shape[1], some[0].shape[2]), one=True)
    return page.image()


def _caption(row: int, parts: Parts | None) -> str:
    """The number of a picture, and its part if that is not to be trained on."""
    part = PARTS[0] if parts is None else PARTS[parts[row]]
    return str(row) if part == PARTS[0] else f"{row} {part}"


def _beside(sources: Images, images: Images) -> Images:
    """Each source with its image to the right, RGBA ``(n, h, w, 4)``; a smaller one is enlarged, pixel by pixel."""
    left, right = _of_one_size(sources, images)
    gap = np.full((len(left), left.shape[1], _GAP, 4), _BETWEEN, np.uint8)
    return np.concatenate([left, gap, right], axis=2)


def _of_one_size(*some: Images) -> list[Images]:
    """The same in RGBA, those that are smaller enlarged by a whole factor, with a margin around."""
    height, width = (max(pictures.shape[axis] for pictures in some) for axis in (1, 2))
    found = []
    for pictures in some:
        factor = min(height // pictures.shape[1], width // pictures.shape[2])
        large = _rgba(pictures).repeat(factor, axis=1).repeat(factor, axis=2)
        above, beside = height - large.shape[1], width - large.shape[2]
        margins = ((0, 0), (above // 2, above - above // 2), (beside // 2, beside - beside // 2), (0, 0))
        found.append(np.pad(large, margins))
    return found


def _rgba(pictures: Images) -> Images:
    return np.stack([from_pillow(to_pillow(picture), 4) for picture in pictures])


def _spread(rows: Order, count: int) -> Order:
    """``count`` of the rows, or all, evenly."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)]


def _padded(rows: Order, across: int) -> Order:
    """A row of the sheet: some of these images, and then -1 for cells that stay empty."""
    some = _spread(rows, across)
    return np.pad(some, (0, across - len(some)), constant_values=-1)
