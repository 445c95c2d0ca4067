"""Every seed once, whatever the ranges and however many shares."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RequestRefused
from core.latents import LAST_SEED, MOST_SEEDS, parse_ranges
from serving.bulk.ranges import ascending, count, share, written


def flat(ranges):
    return list(itertools.chain.from_iterable(ranges))


@st.composite
def disjoint(draw):
    """Ranges that share no seed, in any order, some of them neighbours."""
    lengths = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=8))
    start, ranges = draw(st.sampled_from([0, 1_000_000, LAST_SEED - 200])), []
    for gap, length in lengths:
        ranges.append(range(start + gap, start + gap + length))
        start += gap + length
    return draw(st.permutations(ranges))


@given(disjoint(), st.integers(1, 90))
def test_shares_hold_every_seed_once_in_runs_of_nearly_the_same_size(ranges, shares):
    ordered = ascending(ranges)
    parts = [share(ordered, index, shares) for index in range(shares)]
    assert flat(flat(parts)) == sorted(flat(ranges))
    sizes = [count(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == [len(flat(part)) for part in parts]


@given(disjoint())
def test_ranges_are_written_as_they_are_read_and_in_one_way_only(ranges):
    ordered = ascending(ranges)
    assert list(parse_ranges(written(ordered))) == ordered
    singles = [range(seed, seed + 1) for seed in flat(ranges)]
    assert ascending(singles) == ordered


@given(disjoint(), st.data())
def test_a_seed_that_is_given_twice_is_named(ranges, data):
    seed = data.draw(st.sampled_from(flat(ranges)))
    with pytest.raises(RequestRefused, match=f"seed {seed} is given twice"):
        ascending([*ranges, range(seed, seed + 1)])


def test_ten_million_seeds_are_a_few_numbers():
    everything = ascending(parse_ranges(f"0-{MOST_SEEDS - 1}"))
    assert share(everything, 3, 64) == [range(468_750, 625_000)]
    assert count(everything) == MOST_SEEDS


def test_by_hand():
    assert written([range(4), range(9, 10), range(12, 14)]) == "0-3,9,12-13"
    assert ascending([range(5, 7), range(3), range(3, 4)]) == [range(4), range(5, 7)]
    halves = [share([range(4), range(9, 10)], index, 2) for index in range(2)]
    assert halves == [[range(2)], [range(2, 4), range(9, 10)]]
