"""Load: its arithmetic against NumPy, and its counts against a real Triton."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bundle import GOLDEN
from serving.protocol.model_config import Queue
from serving.repository.golden import Reference
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from serving.tuning.load import (
    ANSWERED,
    FAILED,
    REJECTED,
    WRONG,
    Generator,
    Load,
    Point,
    golden_requests,
    knee,
    moments,
    percentile,
    point,
)
from tests.serving.conftest import QUEUE_LIMIT, configure, publish

latencies = st.lists(st.floats(0, 1e6), min_size=1, max_size=50).map(np.array)


@given(latencies, st.floats(0, 1))
def test_percentiles_are_numpys_and_infinities_do_no_harm(values, share):
    assert percentile(values, share) == np.quantile(values, share, method="inverted_cdf")
    with_lost = np.append(values, [np.inf] * len(values))
    assert percentile(with_lost, share / 2) == pytest.approx(percentile(values, share)) or share in (0, 1)
    assert percentile(with_lost, 1) == np.inf


def test_the_percentile_of_nothing_is_no_number():
    assert math.isnan(percentile(np.array([]), 0.5))


@given(st.floats(0.5, 500), st.floats(0.1, 5), st.integers(0, 2**32 - 1), st.booleans())
def test_moments_are_as_many_as_the_rate_says_and_the_same_for_a_seed(rate, seconds, seed, poisson):
    due = moments(rate, seconds, seed, poisson=poisson)
    assert len(due) == max(round(rate * seconds), 1)
    assert (np.diff(due) >= 0).all() and due[0] >= 0
    assert (due == moments(rate, seconds, seed, poisson=poisson)).all()


def test_gaps_of_a_poisson_process_are_exponential():
    gaps = np.diff(moments(100, 1000))
    for times in (0.5, 1, 2, 3):
        assert np.mean(gaps * 100 > times) == pytest.approx(math.exp(-times), abs=0.01)


def load(latency, outcome, seconds=1.0, late=0.0):
    values = np.array(latency, float)
    return Load(np.arange(len(values)) / len(values), np.full(len(values), late), values, np.array(outcome), seconds)


def test_what_was_not_answered_rightly_takes_for_ever():
    fine = point(load([0.010] * 198 + [0.030] * 2, [ANSWERED] * 200, seconds=2), limit_ms=20)
    assert (fine.offered, fine.answered, fine.goodput) == (100, 100, 99)
    assert (fine.p50_ms, fine.p99_ms) == (10, 10)
    for outcome, counted in ((REJECTED, "rejected"), (FAILED, "failed"), (WRONG, "wrong")):
        lost = point(load([0.010] * 200, [ANSWERED] * 197 + [outcome] * 3), limit_ms=20)
        assert getattr(lost, counted) == 3
        assert (lost.p50_ms, lost.p99_ms, lost.goodput) == (10, math.inf, 197)
        assert not lost.keeps(1e9)


def at(rate, p99):
    return Point(rate, rate, rate, p99 / 2, p99, 0, 0, 0, 0.0)


@given(st.floats(10, 1000), st.floats(1, 50), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=9, unique=True))
def test_the_knee_of_a_queue_is_where_its_formula_breaks_the_limit(capacity, served_ms, loads):
    """Latency of a queue, served / (1 - load), keeps ten times what it takes to serve up to a load of 0.9."""
    points = [at(load * capacity, served_ms / (1 - load)) for load in loads]
    found = knee(points, 10 * served_ms)
    kept = [load for load in loads if served_ms / (1 - load) <= 10 * served_ms]
    assert (found.offered if found else None) == (max(kept) * capacity if kept else None)


def test_the_knee_ends_at_the_first_rate_that_breaks_the_limit_twice():
    points = [at(100, 5), at(200, 5), at(300, 90), at(400, 5)]
    assert knee(points, 50) == points[1]
    assert knee([*points, at(300, 6)], 50) == points[3]
    assert knee([at(100, 90)], 50) is None
    assert knee([], 50) is None


@pytest.fixture(scope="module")
def server(tmp_path_factory, bundle):
    """A Triton whose queue has no limits: those of 2.51 may stall it on a machine that is at other work."""
    repository = tmp_path_factory.mktemp("loaded") / "repository"
    publish(bundle, "tiny", repository)
    configure(repository / "tiny", max_batch_size=16, queue=Queue(size=0, timeout_us=0))
    with Supervisor(repository, free_ports()) as supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def golden(bundle):
    return Reference.read(bundle / GOLDEN)


@pytest.mark.parametrize("images", [1, 3, 16])
def test_every_image_is_held_against_the_golden_ones(server, golden, images):
    requests = golden_requests("tiny", golden, images)
    with Generator(server.url) as generator:
        load = generator.offer(requests, moments(200, 0.3), 0.3)
    assert (load.count(ANSWERED), load.images, load.errors) == (60, images, ())
    assert (load.latency >= load.late).all() and (load.late >= 0).all() and (np.diff(load.due) >= 0).all()


def test_other_images_than_expected_are_wrong(server, golden):
    other = replace(golden, values=golden.values ^ 4)
    with Generator(server.url) as generator:
        load = generator.offer(golden_requests("tiny", other), moments(50, 0.1), 0.1)
    assert load.count(WRONG) == len(load.due) == 5


def test_an_answer_that_cannot_be_judged_is_wrong_and_holds_nothing_up(server, golden):
    def broken(number, response):
        raise ValueError("of another shape")

    with Generator(server.url) as generator:
        load = generator.offer(replace(golden_requests("tiny", golden), is_right=broken), moments(50, 0.1), 0.1)
    assert load.count(WRONG) == 5
    assert "of another shape" in load.errors[0]


def test_lateness_of_the_sender_counts_as_latency(server, golden):
    """All are due at once, and sent one after the other."""
    with Generator(server.url) as generator:
        load = generator.offer(golden_requests("tiny", golden), np.zeros(100), 0.1)
    assert load.count(ANSWERED) == 100
    assert (load.late > 0).all() and (load.latency > load.late).all()


def test_a_closed_loop_keeps_as_many_under_way_as_told(server, golden):
    with Generator(server.url) as generator:
        load = generator.saturate(golden_requests("tiny", golden), 4, 0.3)
    assert load.count(ANSWERED) == len(load.due) > 4
    begins, ends = load.due + load.late, np.sort(load.due + load.latency)
    assert max(np.searchsorted(begins, end) - number for number, end in enumerate(ends)) <= 4 + 1


def test_rejects_are_not_failures(limited_ports, bundle):
    requests = golden_requests("limited", Reference.read(bundle / GOLDEN))
    with Generator(f"127.0.0.1:{limited_ports.grpc}") as generator:
        load = generator.offer(requests, np.zeros(20), 0.1)
    assert load.count(ANSWERED) >= QUEUE_LIMIT
    assert load.count(REJECTED) == 20 - load.count(ANSWERED) > 0
    assert "too many requests" in load.errors[0]


def test_what_cannot_be_answered_fails(server, golden):
    for url, model, says in ((server.url, "nobody", "does not have 'nobody'"), ("127.0.0.1:9", "tiny", "no server")):
        with Generator(url) as generator:
            load = generator.offer(golden_requests(model, golden), moments(50, 0.1), 0.1)
        assert load.count(FAILED) == 5
        assert says in load.errors[0]
