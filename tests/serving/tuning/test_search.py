"""The search on machines that are formulas: a queue whose latency is its time of service over what is left idle."""

import math
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ServingError
from serving.tuning.grid import Setting, most_candidates
from serving.tuning.load import Point, knee
from serving.tuning.search import REPEATS, WORTH_REFUSING, Repeats, climb, ranked, search

PRESENT = Setting(1, 2)


@dataclass
class Formula:
    """A machine of so many cores; ``spoiled`` settings lose that share of what they could do."""

    cores: int = 2
    spoiled: tuple[tuple[Setting, float], ...] = ()

    @contextmanager
    def __call__(self, setting):
        yield Queue(self, setting)


@dataclass
class Queue:
    machine: Formula
    setting: Setting

    @property
    def capacity(self):
        """Threads of one run help each other by half as much as runs beside one another; those in turns, not at all."""
        beside = min(self.setting.instances, max(self.machine.cores // self.setting.threads, 1))
        return 100 * beside * self.setting.threads**0.5 * dict(self.machine.spoiled).get(self.setting, 1)

    def unloaded(self):
        return 10 / self.setting.threads**0.5 + self.setting.delay_us / 1000

    def saturated(self):
        return self.capacity

    def at(self, rate, limit_ms):
        load = rate / self.capacity
        p99 = self.unloaded() / (1 - load) if load < 1 else math.inf
        goodput = rate if p99 <= limit_ms else rate * 0.5
        return Point(rate, goodput, min(rate, self.capacity), p99 / 2, p99, 0, 0, 0, 0.0)


def found_by(machine, present=PRESENT, limit=None, said=None):
    return search(machine, present, machine.cores, limit, [].append if said is None else said.append)


@given(st.floats(5, 5000), st.floats(1, 30), st.floats(0.7, 1.2))
def test_climbing_comes_near_to_where_the_limit_is_broken(capacity, service_ms, guess):
    """Latency keeps ten times the service up to nine tenths of the capacity."""

    def at(rate):
        load = rate / capacity
        p99 = service_ms / (1 - load) if load < 1 else math.inf
        return Point(rate, rate, rate, p99, p99, 0, 0, 0, 0.0)

    found = knee(climb(at, capacity * guess, 10 * service_ms), 10 * service_ms)
    assert 0.9 * capacity - capacity * guess / 32 <= found.offered + 1e-9 <= 0.9 * capacity + 1e-6


def test_a_hiccup_is_measured_again():
    hiccups = iter([True])

    def at(rate):
        p99 = 500.0 if rate > 60 and next(hiccups, False) else 5.0
        return Point(rate, rate, rate, p99, p99, 0, 0, 0, 0.0)

    points = climb(at, 100, 50)
    assert knee(points, 50).offered == 150
    assert len(points) == 7


def test_the_limit_is_fifty_or_ten_times_unloaded_whichever_is_larger():
    assert found_by(Formula()).limit_ms == pytest.approx(10 * 10 / 2**0.5)
    assert found_by(Formula(), Setting(1, 64)).limit_ms == 50
    assert found_by(Formula(), limit=123).limit_ms == 123


@pytest.mark.parametrize("cores", [2, 4, 16])
def test_what_the_machine_does_best_is_found(cores):
    said = []
    found = found_by(Formula(cores), Setting(1, cores), said=said)
    assert (found.chosen.instances, found.chosen.threads, found.chosen.max_batch) == (cores, 1, 64)
    assert found.curve(found.chosen).goodput == max(curve.goodput for curve in found.curves)
    assert (
        len(found.curves) == len({curve.setting for curve in found.curves}) <= most_candidates(Setting(1, cores), cores)
    )
    assert all(len(each.goodputs) == len(each.unloaded_ms) == REPEATS for each in found.repeats)
    assert len(said) == 1 + len(found.curves) + REPEATS


def test_what_is_best_already_stays():
    assert found_by(Formula(), Setting(2, 1)).chosen == Setting(2, 1)
    one_core = found_by(Formula(1), Setting(1, 1))
    assert one_core.chosen == Setting(1, 1)


def test_a_larger_batch_is_not_given_up_for_nothing():
    """All else being equal, a smaller largest batch must be worth the requests that it refuses."""
    smaller = Setting(2, 1, max_batch=16)
    for share, worth in ((1.05, False), (1.3, True)):
        found = found_by(Formula(spoiled=((smaller, share),)), Setting(2, 1))
        assert (found.chosen == smaller) == worth


def test_a_setting_that_cannot_be_served_is_left_out_and_said():
    class Broken(Formula):
        def __call__(self, setting):
            if setting.instances == 2:
                raise ServingError("no memory")
            return super().__call__(setting)

    said = []
    found = found_by(Broken(), said=said)
    assert found.chosen.instances == 1
    assert found.curve(Setting(2, 1)).fault == "no memory"
    assert ranked(found.curves)[-1].fault
    assert any("no memory" in line for line in said)


def test_a_finalist_that_fails_later_is_not_chosen():
    class Failing(Formula):
        served = 0

        def __call__(self, setting):
            self.served += setting.instances == 2
            if self.served > 3 and setting.instances == 2:
                raise ServingError("the server did not start")
            return super().__call__(setting)

    found = found_by(Failing())
    assert found.curve(Setting(2, 1)).goodput > found.curve(PRESENT).goodput
    assert found.chosen.instances == 1


def test_a_limit_that_nothing_keeps_is_an_error_of_ours():
    with pytest.raises(ServingError, match=r"1 ms.*--p99-ms"):
        found_by(Formula(), limit=1)


def test_noise_is_no_reason_to_change():
    present, other = Setting(1, 2), Setting(2, 1)
    steady = Repeats(present, (100, 101, 99), (10, 10, 10))
    assert not Repeats(other, (120, 121, 100.5), (10, 10, 10)).beats(steady), "they overlap"
    assert not Repeats(other, (102, 102.5, 101.5), (10, 10, 10)).beats(steady), "too little"
    assert Repeats(other, (105, 106, 107), (30, 30, 30)).beats(steady)
    assert Repeats(other, (100, 99, 101), (8, 8, 9)).beats(steady), "as many, and quicker"
    assert not Repeats(other, (90, 91, 92), (1, 1, 1)).beats(steady), "quicker, but fewer"
    refusing = Repeats(Setting(1, 2, max_batch=16), (105, 106, 107), (10, 10, 10))
    assert not refusing.beats(steady)
    assert WORTH_REFUSING > 0.07
