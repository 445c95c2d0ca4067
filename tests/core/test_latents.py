"""Seeds mean the same latent for ever."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RequestRefused
from core.latents import ALGORITHM, LAST_SEED, MOST_SEEDS, latents, parse_ranges, parse_seeds


def test_the_stream_is_the_one_numpy_froze() -> None:
    # If this fails, every published generator now shows other pictures: the stream must not change.
    rows = latents([0, 1, 42, LAST_SEED], 100)
    assert rows.dtype == np.float32
    digest = hashlib.sha256(rows.astype("<f4").tobytes()).hexdigest()
    assert digest == "c3249feb2fa7e29687fc6e9076371bfca7e804bd93be5bfe7323f7081b28ba6e"
    assert rows[0, :3] == pytest.approx([1.7640524, 0.4001572, 0.978738], abs=1e-7)


@given(st.lists(st.integers(0, LAST_SEED), min_size=1, max_size=8), st.integers(1, 64))
def test_a_row_depends_on_its_seed_alone(seeds: list[int], dim: int) -> None:
    together = latents(seeds, dim)
    alone = np.concatenate([latents([seed], dim) for seed in seeds])
    assert np.array_equal(together, alone)


@given(st.lists(st.integers(0, LAST_SEED), max_size=4), st.integers(1, 9))
def test_a_row_is_what_a_stream_of_its_own_gives(seeds: list[int], dim: int) -> None:
    own = [np.random.RandomState(seed).standard_normal(dim).astype(np.float32) for seed in seeds]
    assert np.array_equal(latents(seeds, dim), np.array(own, np.float32).reshape(-1, dim))


def test_the_algorithm_does_what_its_name_says() -> None:
    said = eval(ALGORITHM, {"numpy": np, "float32": np.float32, "seed": 7, "dim": 5})
    assert np.array_equal(said, latents([7], 5)[0])


def test_the_limits_are_those_that_are_documented() -> None:
    assert (LAST_SEED, MOST_SEEDS) == (4_294_967_295, 10_000_000)


def test_latents_are_standard_normal() -> None:
    rows = latents(range(2000), 16)
    assert abs(rows.mean()) < 0.02
    assert abs(rows.std() - 1) < 0.02
    assert np.abs(np.corrcoef(rows.T) - np.eye(16)).max() < 0.1


@pytest.mark.parametrize("seed", [-1, LAST_SEED + 1])
def test_seeds_outside_the_range_are_refused(seed: int) -> None:
    with pytest.raises(RequestRefused, match="outside 0"):
        latents([seed], 4)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("0-3", [0, 1, 2, 3]), ("0-1, 9 ,20-21", [0, 1, 9, 20, 21]), ("5,5", [5, 5])],
)
def test_lists_of_seeds_as_people_write_them(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a-3",
        "3-a",
        "1-",
        "1- ",
        "-1",
        f"{LAST_SEED + 1}-7",
        "1--2",
        "1,,2",
        "3-1",
        "0-99999999",
        f"{LAST_SEED + 1}",
        "1.5",
    ],
)
def test_what_is_not_a_list_of_seeds_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestRefused) as error:
        parse_seeds(text)
    assert "\n" not in str(error.value)


def test_ranges_are_the_same_seeds_and_as_many_as_are_allowed_cost_nothing() -> None:
    assert parse_ranges("0-3, 9 ,20-22") == (range(4), range(9, 10), range(20, 23))
    assert parse_ranges(f"0-{MOST_SEEDS - 1}") == (range(MOST_SEEDS),)
    with pytest.raises(RequestRefused, match="split the range"):
        parse_ranges(f"0-{MOST_SEEDS - 1},{MOST_SEEDS}")
