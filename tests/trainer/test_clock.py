"""The length of a run, held against rounds whose length is known."""

from dataclasses import replace

import pytest

from tests.trainer.conftest import tiny_config
from trainer import clock
from trainer.data.pack import Pack
from trainer.planning import plan
from trainer.training import begin, fresh


def seconds_left(planned, images_seen=0):
    return clock.seconds_left(planned.config, planned.spec, planned.device, images_seen)


class Rounds:
    """A clock that only rounds move: ``seconds`` of a round by its step and the images seen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds) -> None:
        self.now, self.played, self.seconds = 0.0, [], seconds
        monkeypatch.setattr(clock, "perf_counter", lambda: self.now)
        monkeypatch.setattr(clock, "play", self.play)

    def play(self, training, batch) -> None:
        self.played.append((training.images_seen, batch.step, len(batch.images)))
        self.now += self.seconds(batch.step, training.images_seen)
        training.images_seen += len(batch.images)


def test_lazy_rounds_count_as_often_as_they_come(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    """800 images in batches of 8 are 100 rounds; every eighth takes 0.5 s, the others 0.01."""
    planned = plan(tiny_config(kimg=0.8, batch=8, r1_gamma=1.0, penalty_every=8), pack)
    Rounds(monkeypatch, lambda step, _: 0.01 if step % 8 else 0.5)
    assert seconds_left(planned) == pytest.approx(100 * (0.5 + 7 * 0.01) / 8)
    assert seconds_left(planned, 600) == pytest.approx(25 * (0.5 + 7 * 0.01) / 8)
    assert seconds_left(planned, 800) == 0


def test_a_critic_that_moves_more_often_is_a_cycle_too(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(tiny_config(kimg=0.8, batch=8, critic_steps=5), pack)
    rounds = Rounds(monkeypatch, lambda step, _: 0.1 if step % 5 == 0 else 0.02)
    assert seconds_left(planned) == pytest.approx(100 * (0.1 + 4 * 0.02) / 5)
    assert {step for _, step, _ in rounds.played} == set(range(5))


def test_a_run_that_changes_on_the_way_is_looked_at_in_thirds(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(tiny_config(kimg=0.6, batch=8), pack)
    rounds = Rounds(monkeypatch, lambda _, seen: seen / 1000)
    assert seconds_left(planned) == pytest.approx(600 / 8 * (0.1 + 0.3 + 0.5) / 3)
    assert {seen for seen, _, _ in rounds.played} == {100, 300, 500}


def test_a_slow_machine_is_looked_at_once_and_at_the_end(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(tiny_config(kimg=0.6, batch=8, r1_gamma=1.0, penalty_every=8), pack)
    rounds = Rounds(monkeypatch, lambda step, _: 10.0 if step % 8 else 17.0)
    assert seconds_left(planned) == pytest.approx(600 / 8 * (17 + 7 * 10) / 8)
    assert rounds.played == [(500, 0, 8), (500, 0, 8), (500, 1, 8)]


def test_what_would_fit_is_the_largest_size_that_does(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds cost by the pixel: at a quarter of 256x128 the run is within the twelve hours."""
    planned = plan(tiny_config(kimg=8.0, batch=8), pack)
    planned = replace(planned, spec=replace(planned.spec, height=256, width=128))
    sizes = []

    def begun(config, spec, device):
        sizes.append((spec.height, spec.width))
        return fresh(config, spec, device)

    monkeypatch.setattr(clock, "fresh", begun)
    Rounds(monkeypatch, lambda *_: sizes[-1][0] * sizes[-1][1] / 100)
    assert seconds_left(planned) > clock.LONG
    smaller, seconds = clock.what_would_fit(planned)
    assert (smaller.height, smaller.width) == (64, 32)
    assert seconds == pytest.approx(1000 * 64 * 32 / 100)
    assert sizes == [(256, 128), (128, 64), (64, 32)]
    Rounds(monkeypatch, lambda *_: 1e6)
    assert clock.what_would_fit(planned) is None


def test_a_long_run_is_said_to_be_long_and_what_would_fit(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(tiny_config(kimg=8.0), pack)
    assert clock.how_long(planned, 0, 80.0) == [
        "about 80 seconds for 8 kimg on this machine as it is now, without judging"
    ]
    assert clock.how_long(planned, 8, 80.0)[0].startswith("about 80 seconds for the rest on")
    assert clock.how_long(planned, 7990, 80.0) == []  # is over at once
    smaller = replace(planned.spec, height=64, width=64)
    monkeypatch.setattr(clock, "what_would_fit", lambda _: (smaller, 3600.0))
    _, warning = clock.how_long(planned, 0, 2 * clock.LONG)
    assert warning.startswith("warning: ") and "at 64x64" in warning and "--size" in warning
    monkeypatch.setattr(clock, "what_would_fit", lambda _: None)
    _, warning = clock.how_long(planned, 0, 2 * clock.LONG)
    assert "--kimg 4 would take about 12 hours" in warning


def test_what_is_over_before_it_is_measured_is_not_measured() -> None:
    """Three looks of sixteen rounds of 8 are 384 images."""
    assert clock.is_over_at_once(tiny_config(kimg=0.384, batch=8))
    assert not clock.is_over_at_once(tiny_config(kimg=0.385, batch=8))
    assert clock.is_over_at_once(tiny_config(kimg=200, batch=8), 199_616)
    assert not clock.is_over_at_once(tiny_config(kimg=200, batch=8), 199_615)


def test_this_machine_is_compared_with_the_one_whose_minutes_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """90,000 images in batches of 32, each round 0.3 s: 843.75 s, which is 2.0 times 7.03125 minutes."""
    Rounds(monkeypatch, lambda *_: 0.3)
    assert clock.slowness("dcgan-cpu", 7.03125) == pytest.approx(2)


def test_an_estimate_leaves_the_run_as_it_was(pack: Pack) -> None:
    """Real rounds, on a machine of unknown speed: a time above 0, and the same first weights as ever."""
    planned = plan(tiny_config(kimg=0.08), pack)
    before = begin(planned).system.generator.state_dict()
    assert 0 < seconds_left(planned) < 600
    after = begin(planned).system.generator.state_dict()
    assert all(before[name].equal(after[name]) for name in before)
