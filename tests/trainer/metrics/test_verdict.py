"""What figures are said to mean: every bracket on both sides of its ends."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainer.metrics.memorisation import find_copies
from trainer.metrics.scale import Scale
from trainer.metrics.verdict import FEW, WORDS, Step, Verdict, blind_spot, grade, in_lines, remarks

SCALE = Scale(half=0.05, quarter=0.15, noise=0.53)


@pytest.mark.parametrize(
    ("kid", "expected"),
    [
        *((-0.01, "real"), (0.002, "real"), (0.0021, "fine"), (0.05, "fine"), (0.051, "usable"), (0.15, "usable")),
        *((0.151, "rough"), (0.34, "rough"), (0.341, "nothing"), (9.0, "nothing")),
    ],
)
def test_the_grade_is_the_bracket_of_the_scale(kid: float, expected: str) -> None:
    assert grade(kid, 0.002, SCALE) == expected
    assert expected in WORDS


@pytest.mark.parametrize(
    ("kid", "expected"),
    [(0.080, "usable"), (0.075, "usable"), (0.109, "usable"), (0.173, "rough"), (0.24, "rough"), (0.372, "nothing")],
)
def test_runs_that_were_looked_at_get_the_words_they_got(kid: float, expected: str) -> None:
    """KID-lite0 in benchmarks/RESULTS.md, on the scale of the same images."""
    assert grade(kid, 0.0006, Scale(0.048, 0.148, 0.532)) == expected


@pytest.mark.parametrize(("kid", "expected"), [(0.007, "fine"), (0.031, "fine"), (0.061, "fine"), (0.088, "usable")])
def test_digits_that_were_looked_at_too(kid: float, expected: str) -> None:
    assert grade(kid, 0.0006, Scale(0.076, 0.254, 0.9)) == expected


def test_what_stands_out_is_said() -> None:
    assert remarks(0.4, 0.2, 0.01, "") == ()
    assert remarks(0.4, 0.19, 0.01, "") == (
        "it makes few kinds: of the real images 19.0% have one of its pictures near them",
    )
    assert remarks(0.1, 0.3, 0.0, "") == ("many pictures are broken: 10% lie among the real images",)
    assert remarks(0.4, 0.4, 0.06, "") == ("6% of its pictures are copies of real images, or nearly",)
    assert remarks(0.4, 0.4, 0.0, "blind") == ("blind",)


def test_the_threshold_for_copies_is_called_what_it_is() -> None:
    torch.manual_seed(0)
    apart = torch.randn(300, 8)
    found = find_copies(torch.randn(20, 8), apart)
    assert blind_spot(found, FEW) == ""
    assert "of 199 distinct images" in blind_spot(found, FEW - 1)
    twins = torch.cat([apart, apart[:20] + 0.05])  # near, but not the same picture
    assert "near twins" in blind_spot(find_copies(torch.randn(20, 8), twins), 320)
    exact = find_copies(torch.randn(20, 8), torch.cat([apart, apart]))  # counted once, so nothing is hidden
    assert blind_spot(exact, 300) == ""
    thin = torch.rand(4000, 3)  # a third of a median is what three dimensions do by themselves
    between = find_copies(torch.rand(20, 3), thin).between
    assert between[1] / between[50] == pytest.approx((0.01 / np.log(2)) ** (1 / 3), rel=0.15)


def test_a_person_sees_the_scale_in_order_with_these_pictures_in_it() -> None:
    steps = (Step("go on", "cli.py train p --out r"), Step("import more"))
    lines = in_lines(Verdict("usable", "fair", ("few kinds",), steps), 0.08, -0.00001, SCALE)
    assert lines == [
        "the scale, less is better:",
        "    0.0000    two halves of the real images, the best there can be",
        "    0.0500    real images at half their size",
        "    0.0800  → these pictures",
        "    0.1500    real images at a quarter of their size",
        "    0.5300    nothing but noise",
        "verdict: fair",
        "  few kinds",
        "next: go on",
        "  cli.py train p --out r",
        "next: import more",
    ]
    assert replace(Verdict("a", "b"), grade="c").steps == ()
