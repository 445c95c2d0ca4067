"""Pictures larger than a translator takes: cut into tiles that overlap, translated, and blended into one again.

Each tile weighs less towards the edges that others overlap, by a sine squared, and at every pixel the weights sum to
one: a translator that changes nothing gives the very picture back, and no seam is a step. Colours are blended
premultiplied, so what is hidden in one tile never bleeds into another.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import RequestRefused
from core.images import Images
from core.spec import GeneratorSpec
from serving.client.fitted import factors, in_channels, rgba_of, source_of

Weights = NDArray[np.float64]


class Tiled:
    """A picture in tiles of the translator's source, each over the next by ``overlap`` pixels of it or more.

    Where the picture is narrower or lower than a tile, its edge is reflected, and cut off again. Raises RequestRefused
    where the translator's results are no whole times as large as its sources, or for an overlap that cannot be.
    """

    def __init__(self, picture: Image.Image, spec: GeneratorSpec, overlap: int | None = None) -> None:
        source = source_of(spec)
        self._factors = whole_factors(spec)
        self._spec, self._sides = spec, (source.height, source.width)
        overlap = usual_overlap(spec) if overlap is None else overlap
        check_overlap(overlap, spec)
        self._picture = in_channels(rgba_of(picture), picture, source)
        self._before = [max(side - own, 0) // 2 for side, own in zip(self._sides, self._picture.shape, strict=False)]
        self._page = _reflected(self._picture, self._sides)
        shape = self._page.shape[:2]
        self._starts = [starts(own, side, overlap) for own, side in zip(shape, self._sides, strict=True)]

    def sources(self) -> Iterator[Images]:
        """The tiles, row by row."""
        height, width = self._sides
        for top in self._starts[0]:
            for left in self._starts[1]:
                yield np.ascontiguousarray(self._page[top : top + height, left : left + width])

    def made_of(self, results: Iterator[Images]) -> Images:
        """The picture that the tiles' results blend into. Held are one row of tiles and what is finished."""
        down, across = self._factors
        rows = [top * down for top in self._starts[0]]
        columns = [left * across for left in self._starts[1]]
        wide, high = self._spec.width, self._spec.height
        page = np.empty((self._page.shape[0] * down, self._page.shape[1] * across, self._spec.channels), np.uint8)
        down_weights = weights(rows, high)
        across_weights = weights(columns, wide)

        # Row by row: each band is added to what the one before left open, and what no later tile reaches is finished.
        open_rows = np.zeros((high, page.shape[1], self._spec.channels))
        for index, (top, weight) in enumerate(zip(rows, down_weights, strict=True)):
            band = np.zeros_like(open_rows)
            for left, share in zip(columns, across_weights, strict=True):
                band[:, left : left + wide] += premultiplied(next(results)) * share[:, None]
            open_rows += band * weight[:, None, None]
            done = rows[index + 1] - top if index + 1 < len(rows) else high
            page[top : top + done] = straight(open_rows[:done])
            open_rows = np.concatenate([open_rows[done:], np.zeros_like(open_rows[:done])])

        # Without the edge that was reflected.
        top, left = (before * factor for before, factor in zip(self._before, self._factors, strict=True))
        height, width = self._picture.shape[:2]
        return page[top : top + height * down, left : left + width * across]


def usual_overlap(spec: GeneratorSpec) -> int:
    """How far tiles overlap unless told: a quarter of the source's shorter side."""
    source = source_of(spec)
    return min(source.height, source.width) // 4


def check_overlap(overlap: int, spec: GeneratorSpec) -> None:
    """Raise RequestRefused unless tiles can overlap so far."""
    source = source_of(spec)
    side = min(source.height, source.width)
    if not 0 <= overlap < side:
        raise RequestRefused(f"an overlap of {overlap} pixels: it must be 0 to {side - 1}, less than a tile's side")


def whole_factors(spec: GeneratorSpec) -> tuple[int, int]:
    """How many times as high and wide as its source a result is. Raises RequestRefused where they are not whole."""
    down, across = factors(spec)
    if down.denominator != 1 or across.denominator != 1:
        source = source_of(spec)
        raise RequestRefused(
            f"a translator of {source.width}x{source.height} to {spec.width}x{spec.height} pixels cannot be tiled: "
            "only to whole multiples; leave --tile out"
        )
    return int(down), int(across)


def starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles of ``side`` begin that cover ``length``: as few as overlap by ``overlap``, evenly spread."""
    count = max(math.ceil((length - overlap) / (side - overlap)), 1)
    return [round(index * (length - side) / max(count - 1, 1)) for index in range(count)]


def weights(begins: list[int], side: int) -> list[Weights]:
    """What each tile weighs along one axis, ``(side,)``: 1 where it is alone, and at every pixel all sum to one."""
    shares = []
    for index, begin in enumerate(begins):
        share = np.ones(side)
        if index and (over := begins[index - 1] + side - begin) > 0:
            share[:over] *= _ramp(over)
        if index + 1 < len(begins) and (over := begin + side - begins[index + 1]) > 0:
            share[-over:] *= _ramp(over)[::-1]
        shares.append(share)

    # Where more than two tiles meet, their weights are made to sum to one.
    total = np.zeros(begins[-1] + side)
    for begin, share in zip(begins, shares, strict=True):
        total[begin : begin + side] += share
    return [share / total[begin : begin + side] for begin, share in zip(begins, shares, strict=True)]


def premultiplied(image: Images) -> NDArray[np.float64]:
    """Straight alpha ``(…, c)`` as values that may be added up."""
    values = image.astype(np.float64)
    if image.shape[-1] == 4:
        values[..., :3] *= values[..., 3:] / 255
    return values


def straight(values: NDArray[np.float64]) -> Images:
    """The same back: rounded, and without colour where nothing is seen."""
    if values.shape[-1] == 4:
        alpha = values[..., 3:]
        colour = np.divide(values[..., :3] * 255, alpha, out=np.zeros_like(values[..., :3]), where=alpha >= 0.5)
        values = np.concatenate([colour, alpha], axis=-1)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _ramp(length: int) -> Weights:
    """From nearly 0 to nearly 1; with its mirror image it sums to one."""
    ramp: Weights = np.sin((np.arange(length) + 0.5) * (np.pi / 2 / length)) ** 2
    return ramp


def _reflected(picture: Images, sides: tuple[int, int]) -> Images:
    """The picture ``(h, w, c)`` with its edges reflected to at least ``sides``, in the middle."""
    missing = [max(side - own, 0) for side, own in zip(sides, picture.shape, strict=False)]
    return np.pad(picture, [(each // 2, each - each // 2) for each in missing] + [(0, 0)], "symmetric")
