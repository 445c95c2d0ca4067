"""The collapse guard: it speaks up for what has failed, once, and keeps quiet about what is well."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.networks.base import Generator
from tests.trainer.conftest import blobs, tiny_config
from trainer.collapse import PATIENCE, identical, saturated, spread
from trainer.data.pack import Pack
from trainer.training import plan, train


def lines(gap: float = 30.0, losses: tuple[float, ...] = (20, 21, 22, 23, 24), d_loss: float = 1e-6) -> list[dict]:
    return [
        {
            "discriminator/real": gap / 2,
            "discriminator/fake": -gap / 2,
            "discriminator/loss": d_loss,
            "generator/loss": g,
        }
        for g in losses
    ]


def test_a_saturated_discriminator_is_seen() -> None:
    assert saturated(lines())
    assert saturated(lines(losses=(20, 22, 21, 23, 22)))


@pytest.mark.parametrize(
    "healthy",
    [
        lines()[:-1],  # too early to tell
        lines(gap=12),  # a sure DCGAN without penalties: it still learns
        lines(losses=(5, 6, 7, 8, 9)),
        lines(losses=(24, 23, 22, 21, 20)),  # it catches up
        lines(d_loss=-30),  # a Wasserstein critic
        [*lines()[:2], *lines(gap=3)[:1], *lines()[3:]],
        [{"critic/loss": 1.0}] * PATIENCE,  # a system with other figures
    ],
)
def test_a_healthy_discriminator_is_left_alone(healthy: list[dict]) -> None:
    assert not saturated(healthy)


@pytest.mark.parametrize(
    ("shares", "collapsed"),
    [
        ([0.02] * 5, True),
        ([0.0] * 5, True),
        ([0.049, 0.02, 0.01, 0.004, 0.002], True),
        ([0.02] * 4, False),
        ([0.2] * 5, False),
        ([0.02, 0.02, 0.06, 0.02, 0.02], False),
        ([0.005, 0.01, 0.015, 0.02, 0.03], False),  # an untrained generator on its way
    ],
)
def test_identical_samples(shares: list[float], collapsed: bool) -> None:
    assert identical(shares) == collapsed


def test_spread_by_hand() -> None:
    images = np.zeros((3, 2, 2, 1), np.uint8)
    images[1] = 255
    assert spread(images) == pytest.approx(2 / 3)  # of three pairs two are black and white
    assert spread(images[:1]) == 0
    hidden = np.zeros((2, 2, 2, 4), np.uint8)
    hidden[1, ..., :3] = 255
    assert spread(hidden) == 0  # colour that nobody sees


def test_spread_falls_with_the_number_of_pictures() -> None:
    images = blobs(16)
    assert spread(images[:1].repeat(16, 0)) == 0
    assert 0.3 < spread(images[:2].repeat(8, 0)) / spread(images) < 1.2


def notes_of(pack: Pack, out: Path, **changes: object) -> list[str]:
    notes: list[str] = []
    train(plan(tiny_config(**changes), pack), out, report=lambda line: notes.append(line.get("note", "")))
    return [note for note in notes if note]


@pytest.mark.parametrize("preset_loss", ["non-saturating", "relativistic", "wasserstein"])
def test_a_healthy_short_run_gets_no_note(pack: Pack, out: Path, preset_loss: str) -> None:
    assert notes_of(pack, out, kimg=0.64, loss=preset_loss) == []


def test_a_generator_that_is_frozen_to_one_picture_is_noted_once(
    pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Generator.forward

    def frozen(self: Generator, z: torch.Tensor, *rest: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        return forward(self, torch.zeros_like(z), *rest, **more)

    monkeypatch.setattr(Generator, "forward", frozen)
    (note,) = notes_of(pack, out, kimg=0.64)
    assert note.startswith("the samples are nearly one picture (they differ by 0.0% of what the images do)")
    assert "--set r1_gamma=1 " in note
    assert "\n" not in note


def test_a_generator_that_cannot_follow_is_noted(pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real run whose generator all but stands still while its discriminator, without any penalty, learns fast."""
    notes = notes_of(
        pack, out, kimg=4.0, learning_rate_g=1e-12, learning_rate_d=0.02, discriminator={"width": 4, "norm": "none"}
    )
    (note,) = [note for note in notes if "saturated" in note]
    assert "lower learning_rate_d" in note
