"""Does a generator copy the images it learned from? The samples nearest to one, beside what they are nearest to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from core.errors import DataError
from core.images import Images, enlarged, over_checkerboard, to_pillow
from trainer.metrics.precision_recall import distinct, neighbours

SAMPLES = 16
NEAREST = 4  # real images shown for each sample
_PERCENTS = (1, 5, 25, 50)
_CELL, _GAP, _TEXT, _HEAD = 96, 6, 230, 28  # pixels


@dataclass(frozen=True)
class Memorisation:
    """The ``SAMPLES`` samples that come nearest to a real image, nearest first.

    ``samples`` are their rows, ``reals`` ``(16, 4)`` the rows of the nearest real images and ``distances``
    ``(16, 4)`` how far those are in feature space; ``percentiles`` ``(16,)`` says how many per cent of the real
    images have another one as near as that. ``between`` maps 1, 5, 25 and 50 to the percentile of distances from a
    real image to its nearest other one; ``suspicious`` is the share of all samples nearer to a real image than the
    first of these: about 1 % is what images of the same kind, none of them copied, would give. A real image that is
    there several times counts once in all of this: its twin, at distance 0, says nothing of how near two images are.
    """

    samples: NDArray[np.int64]
    reals: NDArray[np.int64]
    distances: NDArray[np.float64]
    percentiles: NDArray[np.float64]
    between: dict[int, float]
    suspicious: float


def find_copies(fakes: Tensor, reals: Tensor) -> Memorisation:
    """Look for copies among features ``(m, d)`` of samples, given those ``(n, d)`` of the real images.

    Raises DataError unless at least two of the real images are distinct.
    """
    kept = distinct(reals)  # (k,)
    if len(kept) < 2:
        raise DataError("all real images look the same: judging by them needs at least two that differ")
    own = reals[kept]

    # How far samples are from the nearest real images, and these from each other
    nearest = neighbours(fakes, own, min(NEAREST, len(own)))  # distances and rows, (m, 4)
    among = np.sort(neighbours(own, own, 1, same=True)[0][:, 0].numpy())  # (k,)
    near, rows = nearest[0].numpy(), kept[nearest[1]].numpy()

    # The samples that are nearest of all
    first = np.argsort(near[:, 0], kind="stable")[:SAMPLES]
    between = {percent: float(np.percentile(among, percent)) for percent in _PERCENTS}
    return Memorisation(
        samples=first,
        reals=rows[first],
        distances=near[first],
        percentiles=100 * np.searchsorted(among, near[first, 0], side="right") / len(among),
        between=between,
        suspicious=float((near[:, 0] < between[_PERCENTS[0]]).mean()),
    )


def draw(found: Memorisation, samples: Images, reals: Sequence[Images]) -> Image.Image:
    """A row for each sample ``(16, h, w, c)``: the sample, a gap, and its nearest real images ``(4, h, w, c)``.

    Two columns of such rows, each with the distance to the nearest and what that means.
    """
    # A page of two columns
    height, width = samples.shape[1:3]
    scale = max(_CELL // max(height, width), 1)
    cell = max(height, width) * scale + _GAP
    across = _TEXT + cell * (1 + NEAREST) + 4 * _GAP
    half = -(-len(samples) // 2)
    page = Image.new("RGB", (2 * across, _HEAD + half * cell), "white")

    # What real images come to, above
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    typical = ", ".join(f"{distance:.2f} ({percent} %)" for percent, distance in found.between.items())
    pen.text((_GAP, 7), f"Real images from their nearest other one: {typical}", "black", font)

    # Each sample, its nearest, and what their distance means
    for index, sample in enumerate(samples):
        left, top = (index // half) * across, _HEAD + (index % half) * cell
        page.paste(_enlarged(sample, scale), (left + _GAP, top))
        for column, real in enumerate(reals[index]):
            page.paste(_enlarged(real, scale), (left + 4 * _GAP + cell * (1 + column), top))
        said = (
            f"{found.distances[index, 0]:.2f} away; {found.percentiles[index]:.1f} % of\nreal images have one as near"
        )
        pen.text((left + 5 * _GAP + cell * (1 + NEAREST), top + cell // 3), said, "black", font)
    return page


def _enlarged(image: Images, scale: int) -> Image.Image:
    return to_pillow(over_checkerboard(enlarged(image, scale)))
