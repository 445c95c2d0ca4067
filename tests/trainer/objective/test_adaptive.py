"""Augmentation in a run: on by default for small packs, adaptive where asked, and the same again when continued."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import ConfigError
from core.spec import GeneratorSpec
from tests.trainer.conftest import tiny_config
from trainer import loop, training
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.planning import describe, plan
from trainer.presets import resolve
from trainer.run import Run
from trainer.settings.config import SMALL, TrainConfig
from trainer.systems import build_system
from trainer.systems.players import Batch
from trainer.training import Outcome, train

CPU = torch.device("cpu")
SPEC = GeneratorSpec("dcgan", 16, 16, 4, 8, options={"width": 4})
ADAPTIVE = {"augment": ("colour", "translation"), "augment_target": 0.6}


def saved(out: Path) -> dict[str, torch.Tensor]:
    newest = max((out / "checkpoints").iterdir())
    return {n: t for name in ("networks", "optimisers") for n, t in load_file(newest / f"{name}.safetensors").items()}


@pytest.mark.parametrize("rounds_before", [12, 13])  # at the end of four rounds of counting, and in the midst of them
def test_an_adaptive_run_continues_exactly(pack: Pack, tmp_path: Path, rounds_before: int) -> None:
    config = tiny_config(**ADAPTIVE, loss="relativistic")
    assert train(plan(config, pack), tmp_path / "whole") is Outcome.DONE
    for kimg in (rounds_before * 8 / 1000, config.kimg):
        train(plan(replace(config, kimg=kimg), pack), tmp_path / "parts")
    whole, parts = saved(tmp_path / "whole"), saved(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
    assert whole["augment.p"] > 0
    logged = [line["discriminator/augment_p"] for line in Run(tmp_path / "whole").read_log()]
    assert 0 < logged[-1] <= whole["augment.p"]  # a mean over five rounds
    assert logged == sorted(logged)


def test_no_round_of_an_adaptive_run_waits_for_the_device(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(tiny_config(**ADAPTIVE), pack)
    moving = training.begin(planned)
    stream = training.Stream(planned.pack, planned.spec, 0, planned.device)
    batches = [stream.read(8 * step, moving.system.begin(8 * step), step) for step in range(5)]
    for name in ("item", "__float__", "__bool__", "__int__", "tolist", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("synchronised"))
    for batch in batches:
        loop.play(moving, batch)
    monkeypatch.undo()
    assert moving.system.share.count == 8  # of the fifth round: the four before are already in p


@pytest.mark.parametrize("preset", ["dcgan", "r3gan-cpu", "stylegan-lite-cpu", "progressive-cpu"])
def test_every_system_adapts_by_being_asked(preset: str) -> None:
    config = resolve(preset, ["width=4", "latent_dim=8", "augment=translation", "augment_target=0.6"])
    spec = GeneratorSpec(config.family, 16, 16, 4, 8, options=config.generator)
    system = build_system(config, spec, CPU)
    for step in range(4):
        system.begin(32 * step)
        loss, stats = system.players[0].loss(Batch(torch.rand(8, 4, 16, 16) * 2 - 1, None, step))
        assert loss.isfinite()
    assert stats["augment_p"] in (0, torch.tensor(32 / 500_000))
    assert {"augment.p", "augment.signs", "augment.count"} == {
        f"augment.{n}" for n in system.networks["augment"].state_dict()
    }


def big_pack(folder: Path) -> Pack:
    info = PackInfo("many", 8, 8, 1)
    return write_pack(folder / "many", np.random.RandomState(0).randint(0, 256, (SMALL, 8, 8, 1), np.uint8), None, info)


def test_augmentation_left_to_decide_is_on_for_small_packs_only(pack: Pack, tmp_path: Path) -> None:
    large = big_pack(tmp_path)
    for config, small_gets, large_gets in (
        (resolve("r3gan-cpu"), ("translation",), ()),
        (resolve("r3gan-cpu", ["augment="]), (), ()),
        (resolve("r3gan-cpu", ["augment=flip"]), ("flip",), ("flip",)),
        (resolve("r3gan-cpu", ["augment_target=0.6"]), ("translation",), ("translation",)),
        (resolve("dcgan"), (), ()),
        (resolve("dcgan", ["augment=auto"]), ("translation",), ()),
        (TrainConfig("own"), ("translation",), ()),
    ):
        assert plan(config, pack).config.augment == small_gets
        assert plan(config, large).config.augment == large_gets


def test_the_settled_augmentation_is_what_a_run_writes_down_and_a_continued_one_agrees(pack: Pack, out: Path) -> None:
    config = tiny_config(augment=("auto",), kimg=0.016)
    train(plan(config, pack), out)
    assert TrainConfig.from_json(Run(out).config.read_text()).augment == ("translation",)
    assert train(plan(replace(config, kimg=0.032), pack), out) is Outcome.DONE


def test_nothing_to_adapt_is_refused(pack: Pack) -> None:
    with pytest.raises(ConfigError, match="--set augment=translation"):
        plan(resolve("dcgan", ["augment_target=0.6"]), pack)
    assert plan(resolve("dcgan", ["augment_target=0.6", "augment=flip"]), pack).config.augment == ("flip",)
    with pytest.raises(ConfigError, match=r"augment_target is 1\.5"):
        resolve("dcgan", ["augment_target=1.5"])


def test_a_dry_run_shows_networks_only(pack: Pack) -> None:
    assert set(describe(plan(tiny_config(**ADAPTIVE), pack))) == {"generator", "discriminator"}
