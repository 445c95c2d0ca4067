"""When the pictures of a run are drawn; what is on them is test_run's and test_plots'."""

import pytest

from tests.trainer.conftest import tiny_config
from trainer.data.pack import Pack
from trainer.hooks import pictures
from trainer.hooks.pictures import PAUSE, Pictures
from trainer.planning import plan
from trainer.run import Run
from trainer.training import train


def test_on_the_way_they_are_drawn_no_more_often_than_somebody_may_look(
    pack: Pack, out, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, now, drawn = plan(tiny_config(), pack), [0.0], []
    monkeypatch.setattr(pictures, "perf_counter", lambda: now[0])
    monkeypatch.setattr(pictures, "write_animation", lambda *_: drawn.append(now[0]))
    shown = Pictures(Run(out), planned.config, planned.spec, print)
    for moment in (0.0, PAUSE - 0.1, PAUSE, PAUSE + 1, 2 * PAUSE - 0.1, 2 * PAUSE, 4 * PAUSE):
        now[0] = moment
        shown.update()
    assert drawn == [PAUSE, 2 * PAUSE, 4 * PAUSE]
    shown.draw()
    assert drawn[3:] == [4 * PAUSE]


def test_a_run_that_is_done_shows_its_last_moment(pack: Pack, out, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short: two saves, and one picture of all that was logged."""
    lines = []
    monkeypatch.setattr(pictures, "plot_losses", lambda log, *_: lines.append(log[-1]["images"]))
    train(plan(tiny_config(kimg=0.32), pack), out)
    assert lines == [320]
