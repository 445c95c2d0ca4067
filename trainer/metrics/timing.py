"""How long an evaluation will take here: a few images made and looked at, and one comparison, by the clock."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch

from core.clock import in_words
from trainer.data.pack import Pack
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import ImageFunction, chosen_reals, kept_features, take
from trainer.metrics.kid import kid
from trainer.metrics.scale import to_compute

TRIED = 8  # images
_ROWS = 256  # features of each set, of the comparison


def announcement(make: ImageFunction, inputs: Mapping[str, Any], pack: Pack, extractor: Extractor, pairs: float) -> str:
    """About how long it takes to judge the images of ``inputs`` by ``pack``, in a line.

    ``pairs`` are those of features that the comparison takes the kernel of.
    """
    # How many pictures there are to make and to look at
    samples = len(inputs["z"])
    reals = len(chosen_reals(pack))
    known = kept_features(pack, extractor) is not None
    looked_at = (0 if known else reals) + to_compute(pack, extractor, reals)

    # What each costs here, and each pair of features
    tried = take(inputs, range(min(TRIED, samples)))
    images = make(tried)
    width = extractor.features(images).shape[1]  # and the first of a shape chooses its kernels
    making = _seconds(lambda: make(tried)) / len(images)
    looking = _seconds(lambda: extractor.features(images)) / len(images)
    features = torch.rand(_ROWS, width)
    comparing = _seconds(lambda: kid(features, features)) / (3 * _ROWS**2)

    seconds = samples * (making + looking) + looked_at * looking + pairs * comparing
    real = f"{reals:,} real ones {'are known' if known else 'to look at'}"
    return f"about {in_words(seconds)} here: {samples:,} images to make and judge, {real}"


def _seconds(call: Any) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
