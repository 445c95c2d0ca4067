"""Lengths of time in words, and what is said of work where there is no terminal."""

import pytest

from core import clock
from core.clock import in_words, spoken


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 second"), (40.4, "40 seconds"), (100, "2 minutes"), (425, "7 minutes"), (5399, "90 minutes"),
        (5400, "1.5 hours"), (12 * 3600, "12 hours"), (86400, "24 hours"), (3.4 * 86400, "3.5 days"), (2e6, "23 days"),
    ],
)  # fmt: skip
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


def test_a_line_now_and_then_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = [0.0], []
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])
    progress = spoken("making images", lines.append)
    for done in range(100, 1001, 100):  # 4 seconds each
        now[0] += 4
        progress(done, 1000)
    assert lines == [
        "making images: 300 of 1,000, about 28 seconds left",
        "making images: 600 of 1,000, about 16 seconds left",
        "making images: 900 of 1,000, about 4 seconds left",
    ]
