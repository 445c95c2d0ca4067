"""What a KID means with these images: the same figure of pictures whose faults anybody can imagine."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from core.images import Images, from_pillow, to_pillow
from trainer.data.pack import Pack
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import Progress, chosen_reals, keep, read_kept
from trainer.metrics.kid import kid

SPOILED = 128  # real images that are spoiled for each


@dataclass(frozen=True)
class Scale:
    """KID of spoiled real images against the others: at half and a quarter of their size, and of nothing but noise."""

    half: float
    quarter: float
    noise: float


def coarser(images: Images, factor: int) -> Images:
    """``(n, h, w, c)`` reduced by ``factor`` and enlarged again, so that what is finer is gone."""
    return np.stack([_coarse(image, factor) for image in images])


def noise_like(images: Images) -> Images:
    """Nothing but noise, uniform in every value, of the shape of ``images`` and the same every time."""
    return np.random.RandomState(len(images)).randint(0, 256, images.shape).astype(np.uint8)


KINDS: dict[str, Callable[[Images], Images]] = {
    "half": lambda images: coarser(images, 2),
    "quarter": lambda images: coarser(images, 4),
    "noise": noise_like,
}


def scale_of(pack: Pack, extractor: Extractor, reals: Tensor, progress: Progress = lambda *_: None) -> Scale:
    """The scale of a pack, given the features of its ``chosen_reals``; what is computed for it is kept in the pack.

    The spoiled images are others than those they are compared with, as a generator's are.
    """
    count = _count(len(reals))
    found = {}
    for index, kind in enumerate(KINDS):
        before = index * count

        def told(done: int, _: int, before: int = before) -> None:
            progress(before + done, count * len(KINDS))

        found[kind] = kid(_spoiled(pack, extractor, kind, count, told), reals[count:])
    return Scale(**found)


def _spoiled(pack: Pack, extractor: Extractor, kind: str, count: int, progress: Progress) -> Tensor:
    """Features of the first ``count`` real images, spoiled: read from the pack if they are there, else kept."""
    if (kept := read_kept(pack, extractor, _name(kind, count), count)) is not None:
        return kept
    chosen, spoil = chosen_reals(pack)[:count], KINDS[kind]
    return keep(pack, extractor, _name(kind, count), count, lambda rows: spoil(pack.gather(chosen[rows])), progress)


def to_compute(pack: Pack, extractor: Extractor, reals: int) -> int:
    """How many pictures ``scale_of`` has yet to look at, in a pack of which so many are."""
    count = _count(reals)
    return sum(count for kind in KINDS if read_kept(pack, extractor, _name(kind, count), count) is None)


def _count(reals: int) -> int:
    return min(SPOILED, reals // 2)


def _name(kind: str, count: int) -> str:
    return f"{kind} of {count}"


def _coarse(image: Images, factor: int) -> Images:
    picture = to_pillow(image)
    mode, size = picture.mode, picture.size
    if mode == "RGBA":  # or what is hidden would show
        picture = picture.convert("RGBa")
    small = picture.resize((max(size[0] // factor, 1), max(size[1] // factor, 1)), Image.Resampling.BOX)
    large = small.resize(size, Image.Resampling.BILINEAR)
    return from_pillow(large.convert(mode), image.shape[-1])
