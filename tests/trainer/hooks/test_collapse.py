"""The collapse guard: it speaks up for what has failed, once, and keeps quiet about what is well."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.latents import latents
from core.networks.base import Generator
from core.spec import GeneratorSpec
from tests.trainer.conftest import blobs, tiny_config
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.hooks.collapse import PATIENCE, CollapseGuard, identical, saturated, spread
from trainer.hooks.log import Log
from trainer.loop import Training
from trainer.planning import plan
from trainer.run import Run
from trainer.training import train


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
    assert saturated(lines(gap=20.1, losses=(10.1, 10.1, 10.1, 10.1, 10.2), d_loss=0))


@pytest.mark.parametrize(
    "healthy",
    [
        lines()[:-1],  # too early to tell
        lines(gap=12),  # a sure DCGAN without penalties: it still learns
        lines(losses=(5, 6, 7, 8, 9)),
        lines(losses=(24, 23, 22, 21, 20)),  # it catches up
        lines(losses=(20, 25, 25, 25, 20)),  # it is where it was
        lines(losses=(10, 21, 22, 23, 24)),  # it was not lost all the time
        lines(gap=20),
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
        ([0.01, 0.01, 0.01, 0.01, 0.014], True),
        ([0.015625] * 4 + [1.5 * 0.015625], True),
        ([0.02] * 4, False),
        ([0.05, 0.02, 0.02, 0.02, 0.02], False),
        ([0.01, 0.01, 0.01, 0.01, 0.016], False),
        ([0.01, 0.04, 0.04, 0.04, 0.04], False),
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
    assert isinstance(spread(images), float)
    assert spread(images) == pytest.approx(2 / 3)  # of three pairs two are black and white
    assert spread(images[:1]) == 0
    hidden = np.zeros((2, 2, 2, 4), np.uint8)
    hidden[1, ..., :3] = 255
    assert spread(hidden) == 0  # colour that nobody sees


def test_copies_of_a_picture_are_pairs_without_a_distance() -> None:
    images = blobs(16)
    assert spread(images[:1].repeat(16, 0)) == 0
    assert spread(images[:2].repeat(8, 0)) == pytest.approx(spread(images[:2]) * 8 * 8 / (16 * 15 / 2))


class Canvas(Generator):
    """Grey pictures: the first latent number of each, times ``strength``."""

    strength = 0.0

    def synthesis(self, style: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        return (self.strength * style[:, :1, None, None]).expand(-1, 1, 8, 8)


def guarded(folder: Path, greys: np.ndarray, **changes: object) -> tuple[CollapseGuard, Training, list[str]]:
    """A guard of flat pictures, what it is shown, and what it says."""
    images, notes = greys.astype(np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2), []
    pack = write_pack(folder / "pack", images, None, PackInfo("greys", 8, 8, 1))
    guard = CollapseGuard(
        Log(Run(folder), lambda _: None, 0), pack, tiny_config(**changes), lambda line: notes.append(line["note"])
    )
    return guard, SimpleNamespace(averages={"generator": Canvas(GeneratorSpec("dcgan", 8, 8, 1, 4)).eval()}), notes


def apart(greys: np.ndarray) -> float:
    """The mean distance between two flat pictures, of the range."""
    return float(np.abs(greys[:, None] - greys)[np.triu_indices(len(greys), 1)].mean())


def test_samples_are_held_against_sixteen_images_from_all_over_the_pack(tmp_path: Path) -> None:
    greys = np.random.RandomState(0).randint(0, 256, 40)
    guard, shown, notes = guarded(tmp_path, greys)
    natural = apart(greys[[0, 3, 5, 8, 10, 13, 16, 18, 21, 23, 26, 29, 31, 34, 36, 39]] / 255)
    assert guard.natural == pytest.approx(natural, rel=1e-5)
    shown.averages["generator"].strength = 0.016
    levels = (0.016 * latents(range(16), 4)[:, 0] * 127.5 + 127.5).round() / 255
    for _ in range(PATIENCE + 2):
        assert len(notes) == (len(guard.shares["generator"]) == PATIENCE)  # once, and for the last few lines alone
        guard(shown)
    share = guard.shares["generator"][-1]
    assert share == pytest.approx(apart(levels) / natural, rel=1e-4)
    assert notes == [
        f"the samples are nearly one picture (they differ by {share:.1%} of what the images do): stop and "
        "go on, or begin again in another --out, with --set r1_gamma=1 or on more images"
    ]


@pytest.mark.parametrize("greys", [np.full(46, 7), np.array([0, 3])])
def test_where_images_are_alike_themselves_samples_may_be(tmp_path: Path, greys: np.ndarray) -> None:
    guard, shown, notes = guarded(tmp_path, greys)
    assert guard.natural == pytest.approx(apart(greys / 255), rel=1e-5)
    shown.averages["generator"].strength = 0.2  # far more than the images of either pack
    for _ in range(PATIENCE + 1):
        guard(shown)
    assert notes == []


def test_a_saturated_discriminator_is_noted_once_with_what_to_do(tmp_path: Path) -> None:
    guard, shown, notes = guarded(tmp_path, np.arange(46), r1_gamma=0.25, changed={"8": {"r1_gamma": 0.5}})
    shown.averages["generator"].strength = 0.5
    for step, loss in enumerate((5, 20, 21, 22, 23, 24, 25, 26)):
        (guard.log.line,) = lines(20 + 2 * step, (loss,))
        guard(shown)
    assert notes == [
        "the discriminator is saturated (it tells real from fake by 30 logits, and the generator only loses): stop and "
        "go on, or begin again in another --out, with --set r1_gamma=5 or a lower learning_rate_d"
    ]


@pytest.mark.parametrize("which", ["a", "b"])
def test_either_discriminator_of_a_cycle_is_watched(tmp_path: Path, which: str) -> None:
    guard, shown, notes = guarded(tmp_path, np.arange(46))
    shown.averages["generator"].strength = 0.5
    for (line,) in (lines(losses=(loss,)) for loss in (20, 21, 22, 23, 24)):
        own = {name.replace("discriminator", f"discriminator_{which}"): value for name, value in line.items()}
        fooled = {"generators/fooled": own.pop("generator/loss"), "generators/loss": 1.0}
        other = {f"discriminator_{'ab'.strip(which)}/{figure}": 0.7 for figure in ("real", "fake", "loss")}
        guard.log.line = {**other, **own, **fooled}
        guard(shown)
    (note,) = notes
    assert note.startswith(f"the discriminator {which} is saturated (it tells real from fake by 30 logits")


def notes_of(pack: Pack, out: Path, **changes: object) -> list[str]:
    notes: list[str] = []
    seldom = {"preview_kimg": 1.0, "checkpoint_kimg": 1.0}  # both are for eyes
    train(plan(tiny_config(**seldom, **changes), pack), out, report=lambda line: notes.append(line.get("note", "")))
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
    rates = {"learning_rate_g": 1e-12, "learning_rate_d": 0.2}
    notes = notes_of(pack, out, kimg=1.0, discriminator={"width": 4, "norm": "none"}, **rates)
    (note,) = [note for note in notes if "saturated" in note]
    assert "lower learning_rate_d" in note
