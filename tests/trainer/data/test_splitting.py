from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from trainer.data.pairing import Key
from trainer.data.splitting import groups_of, parse_share, split

NAMES = [f"thing {number}" for number in range(2000)]


def test_the_part_is_a_hash_of_the_name():
    parts = split(NAMES, 0.1)
    chances = [int(sha256(name.encode()).hexdigest()[:16], 16) / 2**64 for name in NAMES]
    assert parts.tolist() == [2 if chance < 0.1 else 1 if chance < 0.15 else 0 for chance in chances]
    assert np.bincount(parts) == pytest.approx([1700, 100, 200], abs=45)  # three standard deviations and more


def test_others_do_not_change_the_part_and_more_held_out_keeps_what_was():
    parts = split(NAMES, 0.1)
    assert np.array_equal(split(NAMES[500:], 0.1), parts[500:])
    assert np.array_equal(split(NAMES[::-1], 0.1), parts[::-1])
    assert (split(NAMES, 0.2)[parts == 2] == 2).all()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=60))
def test_nothing_that_belongs_together_crosses_the_split(rows):
    groups = [f"g{group}" for group, _, _ in rows]
    twins = [(one, other) for _, one, other in rows]
    parts = split(groups, 0.3, twins)
    for place in (0, 1, 2):
        for value in {row[place] for row in rows}:
            assert len({int(part) for row, part in zip(rows, parts, strict=True) if row[place] == value}) == 1


@pytest.mark.parametrize("count", range(1, 12))
def test_a_few_groups_have_all_three_parts_and_fewer_are_all_trained_on(count):
    counts = np.bincount(split(NAMES[:count], 0.1), minlength=3)
    assert (counts.min() >= 1) if count >= 3 else (counts.tolist() == [count, 0, 0])


@pytest.mark.parametrize("count", range(3, 12))
def test_small_packs_lend_one_group_to_each_part_and_no_more(count):
    names = NAMES[:count]
    chances = [int(sha256(name.encode()).hexdigest()[:16], 16) for name in names]
    first, second, *_, last = np.argsort(chances)
    few = split(names, 1e-6)
    assert few.tolist() == [2 if row == first else 1 if row == second else 0 for row in range(count)]
    low = [name for name in NAMES if int(sha256(name.encode()).hexdigest()[:16], 16) / 2**64 < 0.4][:count]
    assert np.bincount(split(low, 0.5)).tolist() == [1, 1, count - 2]  # all of their chances are to be held out
    assert split(names, 1e-6)[last] == 0


def test_nothing_is_held_out_of_nothing():
    assert not split(NAMES, 0).any()


def test_variants_share_the_name_up_to_the_separator():
    keys = [Key(("pack", "orc", "big_1")), Key(("pack", "orc", "big_2")), Key(("pack", "elf", "_odd"))]
    assert groups_of(keys, "_", False) == ["orc/big", "orc/big", "elf/_odd"]
    assert groups_of(keys, "", False) == ["orc/big_1", "orc/big_2", "elf/_odd"]


def test_cells_are_things_of_their_own_and_frames_are_not():
    cells = [Key(("sheet",), 1), Key(("sheet",), 2)]
    assert groups_of(cells, "", False) == ["sheet no. 1", "sheet no. 2"]
    assert groups_of(cells, "", True) == groups_of(cells, "_", False) == ["sheet", "sheet"]
    assert groups_of([Key((), 7)], "", True) == ["no. 7"]


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("0%", 0), ("0", 0), (" 2.5 % ", 0.025), ("50%", 0.5)])
def test_a_share_is_a_percentage(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["0.1", "10", "-1%", "51%", "100%", "ten", "%", "nan%", "inf%"])
def test_what_is_no_share_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match=r"0% to 50%, 10%$"):
        parse_share(text)
