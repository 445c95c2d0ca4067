"""Codes as people write them."""

import numpy as np
import pytest

from core.errors import RequestRefused
from serving.sampling.codes import STEPS, parse_codes


def test_codes_that_are_not_named_are_0() -> None:
    found = parse_codes(["1=-0.5"], 3, "digits")
    assert found.values.tolist() == [0, -0.5, 0]
    assert found.way is None
    assert parse_codes([], 2, "digits").values.tolist() == [0, 0]
    assert parse_codes([], 0, "digits").values.shape == (0,)


def test_a_way_has_both_ends_and_even_steps() -> None:
    found = parse_codes(["0=-2..2", "1=1.5"], 2, "digits")
    assert (found.swept, found.values[1]) == (0, 1.5)
    assert found.way.tolist() == pytest.approx(np.linspace(-2, 2, STEPS).tolist())
    assert parse_codes(["0=1..0:3"], 1, "digits").way.tolist() == [1, 0.5, 0]


def test_a_way_has_8_steps_unless_told_and_256_at_most() -> None:
    assert parse_codes(["0=-2..1.5"], 1, "digits").way.tolist() == [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5]
    assert parse_codes(["0=0..1:2"], 1, "digits").way.tolist() == [0, 1]
    assert len(parse_codes(["0=0..255:256"], 1, "digits").way) == 256
    assert parse_codes(["1=2:1", "0=0..1:2"], 2, "digits").values.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["2=1"], "has codes 0 to 1, not 2"),
        (["0=1", "0=2"], "given twice"),
        (["0=0..1", "0=1"], "given twice"),
        (["1=0..1", "0=0..1"], "codes 1 and 0 both go through values"),
        (["size=1"], "is no code"),
        (["0"], "is no code"),
        (["0="], "is no code"),
        (["0=nan"], "is no code"),
        (["0=0..inf"], "is no code"),
        (["0=0..1:x"], "is no code"),
        (["0=0..1:0"], "is no code"),
        (["=1"], "is no code"),
        (["0=1..2..3"], "is no code"),
        (["0=0..1:1"], "is no code"),
        (["0=0..1:257"], "at most 256"),
        (["0=1:5"], "is no code"),
        (["-1=1"], "is no code"),
    ],
)
def test_what_is_none_is_said_in_one_line(texts: list[str], said: str) -> None:
    with pytest.raises(RequestRefused, match=said) as refused:
        parse_codes(texts, 2, "digits")
    assert "\n" not in str(refused.value)


def test_a_model_without_codes() -> None:
    with pytest.raises(RequestRefused, match="has no codes"):
        parse_codes(["0=1"], 0, "sprites")
