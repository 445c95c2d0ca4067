"""Every preset, tiny: what it says of itself, and that a run that is cut goes on bit for bit."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from trainer import state
from trainer.data.pack import Pack
from trainer.planning import plan
from trainer.presets import PRESETS, resolve
from trainer.presets.about import ABOUT, JOBS
from trainer.presets.settings import PENALTIES
from trainer.run import Run
from trainer.settings.config import SETTINGS, TrainConfig
from trainer.training import train

TINY = ["width=4", "latent_dim=8"]
# Phases and growth short enough that a run of forty rounds passes through all of them, and is cut within one.
SHORT = {
    "progressive": ["growth.stable_kimg=0.05", "growth.fade_kimg=0.05"],
    "paired": ["discriminator.field=16"],  # the papers' patches are larger than these images
    "cycle": ["discriminator.field=16"],
    "stacked": ["stack.encoder_kimg=0.06", "stack.apart_kimg=0.1"],
}


def shrunk(preset: str, kimg: float) -> object:
    system = PRESETS[preset]().system
    often = {"batch": 8, "log_kimg": 0.08, "preview_kimg": 0.32, "checkpoint_kimg": 0.08, "previews": 4}
    return resolve(preset, [*TINY, *SHORT.get(system, [])], kimg=kimg, **often)


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_that_is_cut_goes_on_bit_for_bit(preset: str, pairs: Pack, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(plan(shrunk(preset, 0.32), pairs), whole)
    for kimg in (0.12, 0.2, 0.32):
        train(plan(shrunk(preset, kimg), pairs), cut)
    ends = [state.load(max(Run(out).checkpoints.iterdir())) for out in (whole, cut)]
    assert ends[0].images_seen == ends[1].images_seen
    for part in ("networks", "optimisers"):
        once, again = (getattr(end, part) for end in ends)
        assert once.keys() == again.keys()
        assert all(torch.equal(once[name], again[name]) for name in once)


def test_each_says_what_it_is_for() -> None:
    assert ABOUT.keys() == PRESETS.keys()
    assert sorted(name for names in JOBS.values() for name in names) == sorted(PRESETS)
    assert [*SETTINGS] == [field.name for field in fields(TrainConfig)]
    assert all(known.words for known in SETTINGS.values())
    assert all(about.paper[-4:].isdecimal() for about in ABOUT.values())


@pytest.mark.parametrize("preset", PRESETS)
def test_an_axis_moves_alone(preset: str) -> None:
    before = resolve(preset)
    moved = resolve(preset, optimiser="sgd")
    assert (moved.optimiser, moved.loss, moved.generator) == ("sgd", before.loss, before.generator)
    for name, settings in PENALTIES.items():
        found = resolve(preset, penalty=name)
        assert {key: getattr(found, key) for key in settings} == settings
        assert found.learning_rate_g == before.learning_rate_g


def test_another_loss_leaves_the_options_of_the_first_behind() -> None:
    assert resolve("lsgan").loss_options
    assert resolve("lsgan", loss="hinge").loss_options == {}
    assert resolve("lsgan", ["loss_options.c=0"], loss="least-squares").loss_options == {"a": 0.0, "b": 1.0, "c": 0}


def test_a_penalty_that_is_none_of_ours() -> None:
    with pytest.raises(ConfigError, match="did you mean r1"):
        resolve("dcgan", penalty="r11")
