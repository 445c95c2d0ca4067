"""Whether KID still falls, or L1: what the looks at a run say of its length, while it trains and afterwards."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.spec import GeneratorSpec
from trainer.run import KID, METRICS
from trainer.settings.config import TrainConfig
from trainer.settings.growth import Growth
from trainer.settings.stack import Stack

Looks = Sequence[tuple[int, float]]  # images seen, KID or L1: in order

PATIENCE = 3  # looks without a better one: fewer are noise
SHARE = 1 / 4  # of the images seen, too: late in a run one waits longer for the same gain
HOPELESS = "longer will hardly help"


def looks_of(log: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """The looks that a log holds."""
    lines = list(log)
    name = metric_of(lines)
    return [(line["images"], line[name]) for line in lines if name in line]


def metric_of(log: Iterable[Mapping[str, Any]]) -> str:
    """What a run was judged by, of ``METRICS``: KID if nobody looked."""
    return next((name for line in log for name in METRICS if name in line), KID)


def stalled(looks: Looks) -> bool:
    """Whether KID has stopped falling.

    It has if ``PATIENCE`` looks and a quarter of all images seen have brought no new least, and the later half of
    those looks is on average no better than the earlier one: after one lucky look KID may fall for long before it
    is below that one.
    """
    if not looks:
        return False
    best = _best(looks)
    later = [kid for _, kid in looks[best + 1 :]]
    if len(later) < PATIENCE or looks[-1][0] - looks[best][0] < SHARE * looks[-1][0]:
        return False
    half = len(later) // 2
    return sum(later[-half:]) >= sum(later[:half])


def newly_stalled(looks: Looks) -> bool:
    """Whether the newest look is the first to show that KID has stopped falling since its least."""
    if not stalled(looks):
        return False
    return not any(stalled(looks[:end]) for end in range(_best(looks) + 1, len(looks)))


def settling(config: TrainConfig, spec: GeneratorSpec) -> float:
    """The thousand images after which nothing of a run moves by plan: rates, sizes and phases stand."""
    moments = [config.schedule_kimg if config.final else 0.0]
    if "progressive" in config.systems:
        moments.append(Growth.of(config.growth).length(spec.size.doublings))
    if "stacked" in config.systems:
        stack = Stack.of(config.stack)
        moments.append(stack.encoder_kimg + stack.apart_kimg)
    return max(moments)


def said_of(looks: Looks, settled_kimg: float, name: str = KID) -> str:
    """Since when ``name`` has not fallen, and what that means for a run whose plan ends after ``settled_kimg``."""
    (images, least), now = looks[_best(looks)], looks[-1][0]
    outlook = HOPELESS
    if now < settled_kimg * 1000:
        outlook = f"what changes by plan until {settled_kimg:g} kimg may still help"
    return f"{name} has not fallen for {_kimg(now - images)} kimg: best at {_kimg(images)} kimg, {least:.3f}; {outlook}"


def conclusion(looks: Looks, settled_kimg: float, name: str = KID) -> str:
    """What the looks at a finished run come to, in a line; empty if there are none."""
    if not looks:
        return ""
    images, least = looks[_best(looks)]
    if stalled(looks):
        return said_of(looks, settled_kimg, name)
    where = f"{name} {least:.3f} at {_kimg(images)} kimg is the best"
    if len(looks) <= PATIENCE:
        return f"{where} of {len(looks)} looks: too few to say whether it still falls"
    if images == looks[-1][0]:
        return f"{where}, and it was still falling: a larger --kimg would go on"
    return f"{where}; whether it still falls is not clear yet"


def _best(looks: Looks) -> int:
    return min(range(len(looks)), key=lambda index: looks[index][1])


def _kimg(images: int) -> str:
    """``images`` in thousands, as short as that is right."""
    return f"{images / 1000:.3g}" if images < 1_000_000 else f"{images / 1000:,.0f}"
