"""How often KID is taken where nobody said: so that it costs little, by what a picture costs to judge here and now."""

import math
from dataclasses import replace
from time import perf_counter

from core.errors import MissingDependency
from trainer.metrics.evaluate import LEAST
from trainer.metrics.extractor import lite0
from trainer.metrics.features import fake_features, inputs_like, kept_features, maker
from trainer.training import Plan, begin

SHARE = 0.03  # of the time that training takes
REALS = 128  # of the pack: the same ones at each look, so that looks compare
SAMPLES = (256, 128, 64)  # for each look: KID is steadier by more
LOOKS = (20, 5)  # the most there are, and the fewest that show whether it falls
_QUICKEST = 1e-4  # seconds a picture, on whatever there is
_TRIED = 16  # pictures


def by_default(planned: Plan, seconds: float) -> tuple[Plan, str]:
    """``planned`` with looks at KID that cost at most ``SHARE`` of ``seconds``, and a line that says so.

    Nothing, and no line, where that is not enough for ``LOOKS[1]``, for packs of too few images, and without the
    network that judges.
    """
    fewest = REALS + LOOKS[1] * SAMPLES[-1]
    distinct = planned.pack.info.distinct or len(planned.pack)
    if distinct < 2 * LEAST or SHARE * seconds < fewest * _QUICKEST:
        return planned, ""
    try:
        price, known = _price(planned)
    except MissingDependency:
        return planned, ""
    reals = min(REALS, len(planned.pack))
    found = affordable(SHARE * seconds / price - (0 if known else reals))
    if found is None:
        return planned, ""
    samples, looks = found
    every = _round(planned.config.kimg / looks)
    share = price * (samples * planned.config.kimg / every + (0 if known else reals)) / seconds
    config = replace(planned.config, metric_kimg=every, metric_samples=samples, metric_reals=reals)
    return replace(planned, config=config), (
        f"KID is taken every {every:g} kimg of {samples} pictures (about {share:.1%} of the time), and the best "
        "generator is kept; --metric-every 0 leaves it out"
    )


def affordable(pictures: float) -> tuple[int, int] | None:
    """How many pictures a look is to have, and how many looks there are to be, of so many ``pictures``; or None.

    Larger looks are taken only where there can still be twice as many as needed.
    """
    most, fewest = LOOKS
    for samples in SAMPLES:
        looks = int(pictures // samples)
        if looks >= (fewest if samples == SAMPLES[-1] else 2 * fewest):
            return samples, min(looks, most)
    return None


def _price(planned: Plan) -> tuple[float, bool]:
    """Seconds to make and judge a picture here, and whether the real ones have been looked at already."""
    extractor, generator = lite0(planned.device), begin(planned).average
    inputs = inputs_like(planned.pack, planned.spec, range(_TRIED))
    fake_features(maker(generator), inputs, extractor)  # the first of a shape chooses its kernels
    start = perf_counter()
    fake_features(maker(generator), inputs, extractor)
    seconds = (perf_counter() - start) / _TRIED
    return seconds, kept_features(planned.pack, extractor, min(REALS, len(planned.pack))) is not None


def _round(kimg: float) -> float:
    """``kimg``, or a little more, as a number that one would choose: two figures."""
    step = 10.0 ** (math.floor(math.log10(kimg)) - 1)
    return float(f"{math.ceil(kimg / step - 1e-9) * step:.3g}")
