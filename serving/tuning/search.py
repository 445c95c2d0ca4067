"""The search: a curve for each setting, the best of each stage, and the last few once more, in turn."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from core.clock import in_words
from core.errors import ServingError
from serving.tuning.bench import Bench
from serving.tuning.grid import Setting, batches, delays, most_candidates, placements
from serving.tuning.load import Point, knee

STEPS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)  # of the rate that saturates, until one breaks the limit
HALVINGS = 3  # of what lies between the last that keeps the limit and the first that breaks it
CLEAR = 0.03  # what one must be better by than another, whatever the noise
WORTH_REFUSING = 0.1  # the same for one that refuses requests which the other takes, because its batches are smaller
FINALISTS, REPEATS = 3, 3
TURN = 0.4  # of the time of a curve, for one finalist in one turn
LEAST_LIMIT_MS, TIMES_UNLOADED = 50.0, 10.0  # the limit unless told: whichever is larger

Benches = Callable[[Setting], AbstractContextManager[Bench]]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Curve:
    """What was measured of a setting; nothing, and ``fault`` says why, where it could not be served."""

    setting: Setting
    unloaded_ms: float = float("inf")
    saturated: float = 0.0
    points: tuple[Point, ...] = ()
    knee: Point | None = None
    half: Point | None = None  # at half the knee's rate
    fault: str = ""

    @property
    def goodput(self) -> float:
        """Right answers a second within the limit, at the highest rate that keeps it."""
        return self.knee.goodput if self.knee else 0.0


@dataclass(frozen=True)
class Repeats:
    """A finalist, measured in turn with the others at one rate: right answers a second in time, latency unloaded."""

    setting: Setting
    goodputs: tuple[float, ...] = ()
    unloaded_ms: tuple[float, ...] = ()

    def beats(self, other: "Repeats") -> bool:
        """Whether it is better beyond the noise: more in time, or as many and quicker when there is little to do."""
        least = WORTH_REFUSING if self.setting.max_batch < other.setting.max_batch else CLEAR
        if _clearly(self.goodputs, other.goodputs, least) or _clearly(other.goodputs, self.goodputs, CLEAR):
            return min(self.goodputs) > max(other.goodputs)
        quicker, than = ([1 / each for each in which.unloaded_ms] for which in (self, other))
        return _clearly(quicker, than, least)


@dataclass(frozen=True)
class Found:
    """What a search found: the setting there was, the one to choose, and everything it is based on."""

    present: Setting
    chosen: Setting
    limit_ms: float
    curves: tuple[Curve, ...]
    repeats: tuple[Repeats, ...]

    def curve(self, setting: Setting) -> Curve:
        """The curve of a setting that was tried."""
        return next(each for each in self.curves if each.setting == setting)


def search(benches: Benches, present: Setting, cores: int, limit_ms: float | None, tell: Tell) -> Found:
    """Try settings around ``present`` on a machine of so many cores. ``tell`` hears of each as it is measured.

    Raises ServingError where even the present one cannot be served, or none keeps the limit.
    """
    # The limit, unless it is given, comes of how fast the present setting answers.
    if limit_ms is None:
        with benches(present) as bench:
            limit_ms = max(LEAST_LIMIT_MS, TIMES_UNLOADED * bench.unloaded())
    tell(f"limit: 99 of 100 requests answered within {limit_ms:.0f} ms")

    # Stage by stage, each on top of the best so far.
    curves: dict[Setting, Curve] = {}
    best = present
    most = most_candidates(present, cores)
    start = perf_counter()
    for stage in (partial(placements, cores=cores), delays, batches):
        for setting in stage(best):
            if setting not in curves:
                curves[setting] = measure(benches, setting, limit_ms)
                left = _left(perf_counter() - start, len(curves), most)
                tell(f"{_said(curves[setting])} ({len(curves)} of up to {most}; up to {in_words(left)} left)")
        best = ranked(curves.values())[0].setting
    if not any(curve.goodput for curve in curves.values()):
        raise ServingError(f"no setting keeps to {limit_ms:.0f} ms, however few ask: give a larger --p99-ms")

    # The best few against the present one, in turn: one measurement may have been luck.
    others = [curve for curve in ranked(curves.values()) if curve.setting != present]
    finalists = [curve for curve in (curves[present], *others[: FINALISTS - 1]) if curve.goodput]
    repeats = in_turn(benches, finalists, limit_ms, tell)
    return Found(present, winner(repeats, present), limit_ms, tuple(curves.values()), tuple(repeats))


def measure(benches: Benches, setting: Setting, limit_ms: float) -> Curve:
    """The curve of one setting."""
    try:
        with benches(setting) as bench:
            unloaded, saturated = bench.unloaded(), bench.saturated()
            points = climb(lambda rate: bench.at(rate, limit_ms), saturated, limit_ms)
            found = knee(points, limit_ms)
            half = bench.at(found.offered / 2, limit_ms) if found else None
    except ServingError as error:
        return Curve(setting, fault=str(error))
    points = sorted([*points, *([half] if half else [])], key=lambda each: each.offered)
    return Curve(setting, unloaded, saturated, tuple(points), found, half)


def climb(at: Callable[[float], Point], saturated: float, limit_ms: float) -> list[Point]:
    """Points at rising rates until one breaks the limit, then ever nearer to where it is broken.

    A point that breaks it is measured once more, because a hiccup of the machine is not the setting's.
    """
    points: list[Point] = []

    def keeps(rate: float) -> bool:
        points.append(at(rate))
        if not points[-1].keeps(limit_ms):
            points.append(at(rate))
        return points[-1].keeps(limit_ms)

    good = 0.0
    for step in STEPS:
        if not keeps(step * saturated):
            bad = step * saturated
            break
        good = step * saturated
    else:
        return points
    for _ in range(HALVINGS):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if keeps(middle) else (good, middle)
    return points


def ranked(curves: Iterable[Curve]) -> list[Curve]:
    """The best first: by what they answer in time, and among those that are as good, by the latency unloaded."""
    left, order = list(curves), []
    largest = max(curve.setting.max_batch for curve in left)

    def worth(curve: Curve) -> float:
        return curve.goodput / (1 + WORTH_REFUSING * (curve.setting.max_batch < largest))

    while left:
        least = max(map(worth, left)) / (1 + CLEAR)
        order.append(min((curve for curve in left if worth(curve) >= least), key=lambda curve: curve.unloaded_ms))
        left.remove(order[-1])
    return order


def in_turn(benches: Benches, curves: Sequence[Curve], limit_ms: float, tell: Tell) -> list[Repeats]:
    """The settings of the curves again and again, in turn, at the rate that the best of them just bears."""
    (rate, *_) = (curve.knee.offered for curve in ranked(curves) if curve.knee)
    repeats = {curve.setting: Repeats(curve.setting) for curve in curves}

    for turn in range(REPEATS):
        tell(f"the best {len(curves)} in turn at {rate:.0f} requests/s, {turn + 1} of {REPEATS}")
        for setting, so_far in repeats.items():
            try:
                with benches(setting) as bench:
                    unloaded, goodput = bench.unloaded(), bench.at(rate, limit_ms).goodput
            except ServingError:  # it was served before: that it is not now speaks against it
                unloaded, goodput = float("inf"), 0.0
            repeats[setting] = Repeats(setting, (*so_far.goodputs, goodput), (*so_far.unloaded_ms, unloaded))
    return list(repeats.values())


def winner(repeats: Iterable[Repeats], present: Setting) -> Setting:
    """The present setting, unless others beat it; of those, the last that beats the best so far."""
    best = {each.setting: each for each in repeats}.get(present, Repeats(present, (0.0,), (float("inf"),)))
    for each in repeats:
        if each.beats(best):
            best = each
    return best.setting


def _clearly(values: Sequence[float], others: Sequence[float], least: float) -> bool:
    """Whether every one of ``values`` is above all the ``others``, and their medians are apart by that share."""
    return min(values) > max(others) and statistics.median(values) > (1 + least) * statistics.median(others)


def _left(elapsed: float, done: int, most: int) -> float:
    """The seconds that are left at most, after so many curves: the other ones, and the finalists' turns."""
    return elapsed / done * (most - done + TURN * FINALISTS * REPEATS)


def _said(curve: Curve) -> str:
    if curve.fault:
        return f"{curve.setting}: {curve.fault}"
    return f"{curve.setting}: {curve.goodput:.0f} requests/s within the limit, {curve.unloaded_ms:.1f} ms unloaded"
