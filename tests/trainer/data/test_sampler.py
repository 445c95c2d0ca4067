import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DataError
from trainer.data.sampler import balanced, indices

COUNTS = st.integers(1, 60)
SEEDS = st.integers(0, 2**32 - 1)


@given(COUNTS, SEEDS, st.integers(0, 500), st.integers(0, 150), st.integers(0, 150))
def test_reading_in_two_parts_equals_reading_at_once(count, seed, start, a, b):
    whole = indices(count, seed, start, a + b)
    parts = np.concatenate([indices(count, seed, start, a), indices(count, seed, start + a, b)])
    assert whole.dtype == np.int64
    assert np.array_equal(whole, parts)


@given(COUNTS, SEEDS, st.integers(0, 20))
def test_every_epoch_is_a_permutation(count, seed, epoch):
    assert sorted(indices(count, seed, epoch * count, count)) == list(range(count))


def test_epochs_and_seeds_differ():
    first = indices(100, 0, 0, 100)
    assert not np.array_equal(first, indices(100, 0, 100, 100))
    assert not np.array_equal(first, indices(100, 1, 0, 100))


def test_the_order_is_the_one_of_every_release():
    order = indices(1000, 7, 1500, 2000)
    assert hashlib.sha256(order.tobytes()).hexdigest()[:16] == "a24549c48eb26688"


def test_the_order_is_the_readers_own():
    indices(10, 0, 0, 10)[:] = 0
    assert sorted(indices(10, 0, 0, 10)) == list(range(10))


def test_no_images_have_no_order():
    with pytest.raises(DataError, match="at least one"):
        indices(0, 0, 0, 1)


MEMBERS = [np.arange(0, 40), np.array([40]), np.arange(41, 44)]


@given(SEEDS, st.integers(0, 300), st.integers(0, 60), st.integers(0, 60))
def test_a_balanced_order_is_a_function_of_the_place(seed, start, a, b):
    whole = balanced(MEMBERS, seed, start, a + b)
    parts = np.concatenate([balanced(MEMBERS, seed, start, a), balanced(MEMBERS, seed, start + a, b)])
    assert whole.dtype == np.int64 and np.array_equal(whole, parts)


@given(SEEDS)
def test_classes_come_equally_often_and_each_shows_all_of_its_images(seed):
    order = balanced(MEMBERS, seed, 0, 360)
    for turn in order.reshape(120, 3):
        assert [int(np.isin(turn, rows).sum()) for rows in MEMBERS] == [1, 1, 1]
    large = order[order < 40]
    assert all(sorted(epoch) == list(range(40)) for epoch in large.reshape(3, 40))
    assert not np.array_equal(large[:40], large[40:80])


def test_the_balanced_order_is_the_one_of_every_release():
    order = balanced(MEMBERS, 7, 100, 500)
    assert hashlib.sha256(order.tobytes()).hexdigest()[:16] == "2e6a0db99fe05f4d"
    assert not np.array_equal(order, balanced(MEMBERS, 8, 100, 500))
