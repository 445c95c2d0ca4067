"""Pictures to try a translator with: real ones that travel with it, varied by seeds, or drawn where there are none."""

from collections.abc import Sequence

import numpy as np

from core.images import Images, clear_hidden_colour
from core.spec import SourceSpec

SPOTS = 4  # of a drawn picture


def pictures(source: SourceSpec, seeds: Sequence[int], examples: Images | None = None) -> Images:
    """One picture a seed, uint8 ``(len(seeds), h, w, c)``, straight alpha; a seed always gives the same one.

    Seed s shows example s as long as there are so many; those of higher seeds begin again, mirrored and moved by a
    few pixels round the edges, so that they differ.
    """
    if examples is None or not len(examples):
        return np.stack([_drawn(source, seed) for seed in seeds])
    return np.stack([_varied(examples[seed % len(examples)], seed // len(examples)) for seed in seeds])


def extremes(source: SourceSpec, count: int) -> Images:
    """``count`` pictures ``(h, w, c)`` of nothing but levels 0 and 255: chequers of two colours and chance in turn, in
    blocks that grow from a pixel to 8.

    None is flat: of a flat one, instance norms blow up the last bits of whatever computes them.
    """
    down, across = np.mgrid[0 : source.height, 0 : source.width]
    made = []
    for step in range(count):
        stream, block = np.random.RandomState(step), 2 ** (step // 2 % 4)
        rows, columns = down // block, across // block
        if step % 2:
            first = stream.randint(2, size=source.channels)
            made.append(np.where((rows + columns)[..., None] % 2, first, 1 - first))
        else:
            made.append(stream.randint(2, size=(source.height, source.width, source.channels))[rows, columns])
    return np.stack([clear_hidden_colour((255 * picture).astype(np.uint8)) for picture in made])


def _varied(picture: Images, turn: int) -> Images:
    """The picture ``(h, w, c)`` itself in turn 0; later mirrored, and moved by up to a quarter of its sides."""
    if turn == 0:
        return picture
    stream = np.random.RandomState(turn % 2**32)
    shift = [stream.randint(-(side // 4), side // 4 + 1) for side in picture.shape[:2]]
    mirrored = picture[:, ::-1] if stream.randint(2) else picture
    return np.roll(mirrored, shift, axis=(0, 1))


def _drawn(source: SourceSpec, seed: int) -> Images:
    """Soft spots of any colour over each other, ``(h, w, c)``: edges, gradients, and every level of alpha."""
    stream = np.random.RandomState(seed)
    down, across = np.mgrid[0 : source.height, 0 : source.width]
    page = np.zeros((source.height, source.width, source.channels))
    for _ in range(SPOTS):
        y, x = stream.uniform(0, source.height), stream.uniform(0, source.width)
        radius = stream.uniform(0.1, 0.5) * max(source.height, source.width)
        share = np.clip(1.5 - np.hypot(down - y, across - x) / radius, 0, 1)[..., None]
        page = page * (1 - share) + stream.uniform(0, 255, source.channels) * share
    return clear_hidden_colour(np.round(page).astype(np.uint8))
