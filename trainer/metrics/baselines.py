"""What any translation must beat: the source as it is, the mean image, the nearest known answer, and a flood fill."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from core.images import Images, from_pillow, over_background, to_pillow
from core.pixels import to_pixels, to_values
from trainer.metrics.lines import WALL, Pen, closed

Pairs = Iterable[tuple[Images, Images]]  # sources (n, H, W, C) and targets (n, h, w, c), a few at a time
Shape = tuple[int, int, int]  # height, width, channels
Colour = NDArray[np.float64]  # (3,)

IDENTITY, MEAN, NEAREST, FLOOD = "identity", "mean image", "nearest neighbour", "flood fill"
MEANINGS = {
    IDENTITY: "the source itself, at the target's size",
    MEAN: "the mean of the training targets, whatever the source",
    NEAREST: "the target of the training source that is most like this one",
    FLOOD: "closed regions of the lines filled with their mean colour in the training targets",
}
_SIDE = 64  # pixels of the longer side of pictures that are looked for


def identity(sources: Images, shape: Shape) -> Images:
    """``sources`` as images of ``shape``: stretched with a Lanczos filter, over white where there is no alpha."""
    height, width, channels = shape
    if sources.shape[1:] == shape:
        return sources
    found = np.empty((len(sources), *shape), np.uint8)
    for row, source in enumerate(sources):
        picture = to_pillow(source if channels == 4 else over_background(source))
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)  # of RGBA, premultiplied
        found[row] = from_pillow(picture, channels)
    return found


def resized(images: Images, height: int, width: int) -> Images:
    """``images`` in another size, their channels their own."""
    return identity(images, (height, width, images.shape[3]))


def mean_image(pairs: Pairs) -> Images:
    """The mean target ``(h, w, c)``, of premultiplied values."""
    total, count = torch.zeros(()), 0
    for _, targets in pairs:
        total = total + to_values(torch.from_numpy(targets), (0.0, 1.0)).double().sum(dim=0)
        count += len(targets)
    mean: Images = to_pixels((total / count)[None], (0.0, 1.0))[0].numpy()
    return mean


def nearest_targets(sources: Images, pairs: Pairs) -> Images:
    """The targets of those sources that are nearest to each of ``sources``, in premultiplied values."""
    looked_for, found = _small(sources), np.empty(0, np.uint8)
    least = torch.full((len(sources),), torch.inf)
    for known, targets in pairs:
        if not found.size:
            found = np.zeros((len(sources), *targets.shape[1:]), np.uint8)
        distances, rows = torch.cdist(looked_for, _small(known)).min(dim=1)
        nearer = (distances < least).numpy()
        found[nearer] = targets[rows.numpy()[nearer]]
        least = torch.minimum(least, distances)
    return found


def fill_colour(pen: Pen, pairs: Pairs) -> Colour:
    """The mean colour of targets inside closed regions of their sources, where opaque; grey if there is none."""
    total, count = np.zeros(3), 0
    for sources, targets in pairs:
        inside = closed(pen.ink(resized(sources, *targets.shape[1:3])))
        if targets.shape[3] == 4:
            inside &= targets[..., 3] == 255
        chosen = over_background(targets)[inside]
        total, count = total + chosen.sum(axis=0), count + len(chosen)
    return total / count if count else np.full(3, 127.5)


def flood_fill(sources: Images, shape: Shape, pen: Pen, colour: Colour) -> Images:
    """``sources`` as images of ``shape``, with ``colour`` in and below the lines of every closed region.

    What is outside is transparent, or paper where images have no alpha.
    """
    height, width, channels = shape
    drawn = identity(sources, (height, width, 4))
    ink = pen.ink(drawn)[..., None]
    filled = (closed(ink[..., 0])[..., None] | (ink >= WALL)).astype(np.float64)
    see_through = bool((drawn[..., 3] < 255).any())
    line, over = (drawn[..., :3], drawn[..., 3:] / 255.0) if see_through else (pen.line, ink)

    # The line over the fill, over nothing or paper
    alpha = over + (1 - over) * filled
    seen = line * over + colour * (1 - over) * filled
    if channels == 4:
        page = np.concatenate([seen / np.maximum(alpha, 1e-9), 255 * alpha], axis=3)
    else:
        page = seen + pen.paper * (1 - alpha)
    return identity(np.rint(page).astype(np.uint8), shape)


def _small(images: Images) -> Tensor:
    """Premultiplied values ``(n, d)``, those of large images of their means over blocks."""
    values = to_values(torch.from_numpy(np.ascontiguousarray(images)), (0.0, 1.0))
    height, width = values.shape[2:]
    factor = max(height, width) / _SIDE
    if factor > 1:
        size = max(round(height / factor), 1), max(round(width / factor), 1)
        values = F.interpolate(values, size, mode="area")
    return values.flatten(1)
