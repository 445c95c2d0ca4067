"""Whether KID still falls: curves whose answer one knows."""

from dataclasses import replace

import pytest

from core.spec import GeneratorSpec
from trainer.hooks.plateau import HOPELESS, conclusion, looks_of, newly_stalled, said_of, settling, stalled
from trainer.presets import resolve
from trainer.run import KID

SPEC = GeneratorSpec("dcgan", 32, 32, 4, 8)


def looks(*kids: float, every: int = 20_000) -> list[tuple[int, float]]:
    return [(every * index, kid) for index, kid in enumerate(kids, 1)]


@pytest.mark.parametrize(
    ("kids", "expected"),
    [
        ((), False),
        ((0.3,), False),
        ((0.3, 0.2, 0.1, 0.09, 0.08), False),  # falls
        ((0.3, 0.1, 0.11, 0.12), False),  # two looks are noise
        ((0.3, 0.1, 0.11, 0.10, 0.12), True),
        ((0.3, 0.05, 0.2, 0.16, 0.12, 0.08), False),  # one lucky look, and it still falls
        ((0.3, 0.1, 0.12, 0.12, 0.12), True),  # as before is not less
        ((0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.18, 0.16, 0.14, 0.1, 0.11, 0.11, 0.12), False),  # 3 of 15: too soon
        ((0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.11, 0.11, 0.12), True),  # 3 of 12: a quarter
    ],
)
def test_it_has_stopped_once_patience_and_a_quarter_of_the_images_bring_nothing(kids, expected) -> None:
    assert stalled(looks(*kids)) is expected


def test_it_is_news_once_for_each_least() -> None:
    kids = (0.3, 0.1, 0.11, 0.10, 0.12, 0.11, 0.12, 0.09, 0.1, 0.1, 0.1, 0.1)
    assert [end for end in range(1, 13) if newly_stalled(looks(*kids[:end]))] == [5, 11]


def test_the_line_says_since_when_and_where_the_best_is() -> None:
    found = looks(0.4, 0.3, 0.2, 0.1, 0.09, 0.085, 0.082, 0.0815, 0.081, 0.083, 0.082, 0.084)
    assert stalled(found)
    line = "KID-lite0 has not fallen for 60 kimg: best at 180 kimg, 0.081; longer will hardly help"
    assert said_of(found, settled_kimg=0.0) == conclusion(found, 0.0) == conclusion(found, 240.0) == line
    assert HOPELESS not in conclusion(found, settled_kimg=250.0)
    assert "until 250 kimg may still help" in conclusion(found, settled_kimg=250.0)


def test_the_end_says_what_it_comes_to() -> None:
    assert conclusion([], 0.0) == ""
    assert conclusion(looks(0.3, 0.2), 0.0) == (
        "KID-lite0 0.200 at 40 kimg is the best of 2 looks: too few to say whether it still falls"
    )
    assert "still falling: a larger --kimg" in conclusion(looks(0.3, 0.2, 0.19, 0.18), 0.0)
    assert conclusion(looks(0.3, 0.2, 0.1, 0.11), 0.0).endswith("whether it still falls is not clear yet")
    assert conclusion(looks(0.3, 0.2, every=1_234_000), 0.0).startswith("KID-lite0 0.200 at 2,468 kimg")


def test_looks_are_the_lines_that_have_kid() -> None:
    assert looks_of([{"images": 5, "loss": 1}, {"images": 5, KID: 0.2}, {"images": 9, KID: 0.1}]) == [
        (5, 0.2),
        (9, 0.1),
    ]


def test_a_plan_ends_with_its_schedule_its_growth_and_its_phases() -> None:
    assert settling(resolve("dcgan-cpu"), SPEC) == 0
    assert settling(resolve("r3gan-cpu"), SPEC) == 250
    assert settling(resolve("r3gan-cpu", final={}), SPEC) == 0
    assert settling(resolve("stackedgan", ["stack.encoder_kimg=20", "stack.apart_kimg=60"]), SPEC) == 80
    grown = replace(resolve("progressive-cpu"), final={})
    assert settling(grown, SPEC) == 3 * (6 + 6)  # from 4x4 to 32x32
