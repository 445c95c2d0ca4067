"""The log's rate is training's own."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainer import training
from trainer.hooks import log as room
from trainer.hooks.log import Log
from trainer.planning import Plan
from trainer.run import Run
from trainer.training import train


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(room, "perf_counter", made)
    return made


def test_the_rate_leaves_out_what_is_done_aside_and_the_writing(planned: Plan, tmp_path: Path, clock: Clock) -> None:
    def spend(seconds: float) -> None:
        clock.now += seconds

    moving = training.begin(planned)
    log = Log(Run(tmp_path), lambda _: spend(7.0), 0)
    judge = log.aside(lambda _: spend(50.0))
    for seen, seconds in ((100, 4.0), (200, 2.0)):
        spend(seconds / 2)
        judge(moving)  # in the middle of the interval
        spend(seconds / 2)
        moving.images_seen = seen
        log(moving)
        judge(moving)  # after its line
    assert [line["images_per_second"] for line in log.run.read_log()] == [25.0, 50.0]


def test_what_fails_aside_is_not_charged_either_and_is_not_hidden(planned: Plan, tmp_path: Path, clock: Clock) -> None:
    def fail(_: object) -> None:
        clock.now += 9
        raise OSError("full")

    moving = training.begin(planned)
    log = Log(Run(tmp_path), lambda _: None, 0)
    with pytest.raises(OSError, match="full"):
        log.aside(fail)(moving)
    clock.now += 2
    moving.images_seen = 10
    log(moving)
    assert log.line["images_per_second"] == 5.0


def test_previews_and_states_of_a_run_are_aside(
    planned: Plan, out: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in which only rounds, previews, guards and states take time: every line shows the rounds' alone."""

    def slow(name: str, owner: object, seconds: float) -> None:
        real = getattr(owner, name)

        def call(*args: object, **options: object) -> object:
            clock.now += seconds
            return real(*args, **options)

        monkeypatch.setattr(owner, name, call)

    slow("play", training.loop, 0.1)
    slow("write_preview", training, 3.0)
    slow("save", training.state, 5.0)
    slow("__call__", training.CollapseGuard, 1.0)
    train(planned, out)
    rates = [line["images_per_second"] for line in Run(out).read_log()]
    assert rates == [80.0] * 8  # batches of 8


def test_on_an_accelerator_it_waits_for_training_first(
    planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", told.append)
    moving = training.begin(planned)
    log = Log(Run(tmp_path), lambda _: None, 0)
    log.aside(lambda _: told.append("called"))(moving)
    assert told == ["called"]
    moving.device = torch.device("cuda")
    log.aside(lambda _: told.append("called"))(moving)
    assert told == ["called", torch.device("cuda"), "called"]


def test_who_gives_no_report_finds_notes_and_lines_in_the_logger(
    planned: Plan, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="trainer"):
        train(replace(planned, config=replace(planned.config, kimg=0.04)), out, report=lambda _: None)
        assert not [record for record in caplog.records if record.name == "trainer"]
        train(replace(planned, config=replace(planned.config, kimg=0.08)), out)
    told = [record for record in caplog.records if record.name == "trainer"]
    notes = [record.getMessage() for record in told if record.levelno == logging.INFO]
    assert "continuing after 40 images" in notes
    lines = [record.getMessage() for record in told if record.levelno == logging.DEBUG]
    assert lines and all("images_per_second" in line for line in lines)
