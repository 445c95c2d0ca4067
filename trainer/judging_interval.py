"""How often a run is judged where nobody said: so that it costs little, by what a picture costs here and now."""

import math
from dataclasses import replace
from time import perf_counter

from core.errors import DataError, MissingDependency
from trainer.hooks.measures import PART, measure_of
from trainer.metrics.evaluate import LEAST
from trainer.metrics.extractor import lite0
from trainer.metrics.features import fake_features, inputs_like, kept_features, maker
from trainer.planning import Plan
from trainer.run import L1
from trainer.training import begin

SHARE = 0.03  # of the time that training takes
REALS = 128  # of the pack: the same ones at each look, so that looks compare
SAMPLES = (256, 128, 64)  # for each look: KID is steadier by more
LOOKS = (20, 5)  # the most there are, and the fewest that show whether it falls
LOOKS_AT_PAIRS = 50  # the most, where a look costs next to nothing
PICTURES = 256  # of the validation part, for each look
_QUICKEST = 1e-4  # seconds a picture, on whatever there is
_TRIED = 16  # pictures


def by_default(planned: Plan, seconds: float) -> tuple[Plan, str]:
    """``planned`` with looks that cost at most ``SHARE`` of ``seconds``, and a line that says so.

    Nothing, and no line, where that is not enough for ``LOOKS[1]``; without the network that judges, and for packs of
    too few images, nothing, and of translators a line that says so.
    """
    return (_at_seeds if planned.spec.kind == "noise" else _at_pictures)(planned, seconds)


def _at_pictures(planned: Plan, seconds: float) -> tuple[Plan, str]:
    """``by_default`` of translators: by what they make of the validation part of the pack."""
    config, pack = planned.config, planned.pack
    if not len(pack.rows(PART)):
        return planned, (
            "the pack holds nothing out, so nobody can say while it trains whether results get better: import it again "
            "with --held 10%"
        )
    most, fewest = LOOKS
    if SHARE * seconds < fewest * _QUICKEST:
        return planned, ""

    # What a look costs
    try:
        measure = measure_of(planned.spec, pack, PICTURES, lambda: lite0(planned.device), apart=config.apart)
    except (DataError, MissingDependency) as error:
        return planned, f"nobody looks while it trains whether results get better: {error}"
    averages = begin(planned).averages
    measure.takes(averages)  # the first of a shape chooses its kernels
    start = perf_counter()
    measure.takes(averages)
    price = perf_counter() - start

    # As many as may be
    of_pairs = measure.name == L1
    looks = min(int(SHARE * seconds / max(price, _QUICKEST)), LOOKS_AT_PAIRS if of_pairs else most)
    if looks < fewest:
        return planned, ""
    every = _round(config.kimg / looks)
    share, what = price * config.kimg / every / seconds, "validation pairs" if of_pairs else "validation pictures"
    return replace(planned, config=replace(config, metric_kimg=every, metric_samples=PICTURES)), (
        f"{measure.name.split('-')[0]} of {measure.samples} {what} is taken every {every:g} kimg (about {share:.1%} of "
        "the time), and the best generator is kept; --metric-every 0 leaves it out"
    )


def _at_seeds(planned: Plan, seconds: float) -> tuple[Plan, str]:
    """``by_default`` of noise generators: KID."""
    fewest = REALS + LOOKS[1] * SAMPLES[-1]
    distinct = planned.pack.info.distinct or len(planned.pack)
    if distinct < 2 * LEAST or SHARE * seconds < fewest * _QUICKEST:
        return planned, ""

    # What a picture costs
    try:
        price, known = _price(planned)
    except MissingDependency:
        return planned, ""

    # As many as may be, once the real ones are looked at
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
