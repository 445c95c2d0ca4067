"""Going on with a run by its own settings, and changing on the way what may be changed."""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError, TrainingError
from tests.trainer.conftest import tiny_config
from tests.trainer.test_training import assert_same, final_tensors
from tests.trainer.toys import CPU, system_of
from trainer import state, training
from trainer.data.pack import Pack
from trainer.hooks import pictures
from trainer.loop import Training
from trainer.optimisation import ema
from trainer.planning import plan
from trainer.presets import resolve
from trainer.resuming import Settled, find_state, own_settings, settings_for
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.training import Outcome, train


def test_a_new_folder_is_of_the_preset_that_is_named_or_the_usual_one(out: Path) -> None:
    assert settings_for(out, None, usual="lsgan").preset == "lsgan"
    assert settings_for(out, "wgan", usual="lsgan").preset == "wgan"
    assert settings_for(out, None, ["batch=4"], kimg=3.0) == resolve("dcgan-cpu", ["batch=4"], kimg=3.0)


def test_a_run_goes_on_by_its_own_settings(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.04, batch=4, r1_gamma=0.5), pack), out)
    for preset in (None, "dcgan"):
        assert settings_for(out, preset) == tiny_config(kimg=0.04, batch=4, r1_gamma=0.5).settled(40)
    assert settings_for(out, None, ["seed=3"], kimg=9.0).kimg == 9
    assert settings_for(out, None, ["seed=3"], kimg=9.0).seed == 3


def test_another_preset_hears_the_remedy_first_and_few_differences(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.04), pack), out)
    with pytest.raises(TrainingError) as told:
        train(plan(settings_for(out, "stylegan-lite", kimg=0.08), pack), out)
    said = str(told.value)
    assert "it is a run of dcgan, which goes on without --preset; for stylegan-lite use another --out (" in said
    assert said.count(", was ") == 3
    assert "--no-resume would begin anew, and delete 1 saved states, the newest after 40 images, and" in said


def test_what_shapes_a_network_cannot_change_on_the_way(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.04), pack), out)
    with pytest.raises(TrainingError, match=r"leave those out to go on, or use another --out \(batch: 4, was 8\)"):
        train(plan(settings_for(out, None, ["batch=4"]), pack), out)


def test_a_rate_that_is_lowered_is_noted_with_its_moment_and_all_else_stays_exact(pack: Pack, tmp_path: Path) -> None:
    begun = tiny_config(kimg=0.16, r1_gamma=1.0, schedule_kimg=0.4, final={"learning_rate_g": 1e-5})
    whole, parts, untouched = (tmp_path / name for name in ("whole", "parts", "untouched"))
    for out in (whole, parts, untouched):
        train(plan(begun, pack), out)
    notes: list[str] = []
    lowered = settings_for(whole, None, ["learning_rate_d=5e-5", "r1_gamma=2"], kimg=0.4)
    train(plan(lowered, pack), whole, report=lambda line: notes.append(line.get("note", "")))
    assert "learning_rate_d is 5e-05 from 160 images on" in notes
    assert TrainConfig.from_json(Run(whole).config.read_text()).changed == {
        "160": {"learning_rate_d": 5e-5, "r1_gamma": 2.0}
    }

    train(plan(settings_for(parts, None, ["learning_rate_d=5e-5", "r1_gamma=2"], kimg=0.24), pack), parts)
    train(plan(settings_for(parts, None, kimg=0.4), pack), parts)  # said once is enough
    assert_same(final_tensors(parts), final_tensors(whole))

    train(plan(settings_for(untouched, None, kimg=0.4), pack), untouched)
    differs = [name for name, value in final_tensors(untouched).items() if (value != final_tensors(whole)[name]).any()]
    assert differs


def test_a_change_outlives_a_kill_and_a_damaged_state(pack: Pack, tmp_path: Path) -> None:
    """Whoever falls back to a state of before the change makes it again at its moment."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for out in (whole, cut):
        train(plan(tiny_config(kimg=0.16, checkpoint_kimg=0.08), pack), out)
    lowered = settings_for(whole, None, ["learning_rate_g=1e-5"], kimg=0.32)
    train(plan(lowered, pack), whole)

    def kill(images: int) -> None:
        if images == 200:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(plan(settings_for(cut, None, ["learning_rate_g=1e-5"], kimg=0.32), pack), cut, tick=kill)
    (cut / "checkpoints" / "000000160" / "state.json").write_text("{")
    train(plan(settings_for(cut, None), pack), cut)
    assert_same(final_tensors(cut), final_tensors(whole))


def test_settings_as_they_stood_at_each_moment() -> None:
    config = tiny_config(learning_rate_d=4e-4).continued(tiny_config(learning_rate_d=2e-4), 100)
    config = config.continued(tiny_config(learning_rate_d=1e-4), 200)
    assert [config.at(images).learning_rate_d for images in (0, 99, 100, 199, 200, 999)] == [
        *(4e-4, 4e-4, 2e-4, 2e-4, 1e-4, 1e-4)
    ]
    assert TrainConfig.from_json(config.to_json()) == config
    again = config.continued(tiny_config(learning_rate_d=3e-4), 150)  # what came later is of a part made again
    assert again.changed == {"100": {"learning_rate_d": 2e-4}, "150": {"learning_rate_d": 3e-4}}
    assert config.continued(config.adjusted(), 500) == config


@pytest.mark.parametrize("changed", [{"x": {"beta1": 0.1}}, {"1": 5}, {"1": {"batch": 4}}, {"1": {"beta1": 2}}])
def test_changes_that_cannot_be_are_refused(changed: dict) -> None:
    with pytest.raises(ConfigError):
        tiny_config(changed=changed)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Run, Training]:
    """A run of the toys that was saved after 8,000 images of the pack "abcdefabcdefabcdef"."""
    system = system_of(learning_rate_d=4e-4)
    training = Training(system.config, system, ema.averages_of(system.generators), CPU, images_seen=8000)
    run = Run(tmp_path / "run")
    run.prepare()
    state.save(run.checkpoints, training, "abcdef" * 3)
    run.config.write_text(training.config.to_json())
    return run, training


def test_where_there_is_no_state_a_run_begins_as_it_is_wanted(tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / ".000000001.abcd1234.tmp"  # by a writer that was killed
    left.mkdir(parents=True)
    found = find_state(Run(tmp_path), tiny_config(), "", lambda _: pytest.fail("nothing to tell"))
    assert found == Settled(tiny_config(), None)
    assert not left.exists()
    assert own_settings(Run(tmp_path)) is None
    (tmp_path / "config.json").write_text(tiny_config().to_json())  # somebody else's: it is noted nowhere
    assert own_settings(Run(tmp_path)) is None


def test_own_settings_are_those_that_can_be_read(saved: tuple[Run, Training]) -> None:
    run, training = saved
    assert own_settings(run) == training.config
    for damaged in (b"\xff", b"{}", b""):
        run.config.write_bytes(damaged)
        assert own_settings(run) is None
    run.config.unlink()
    assert own_settings(run) is None


def test_what_was_changed_by_hand_is_asked_for_as_it_stands(saved: tuple[Run, Training]) -> None:
    run, training = saved
    run.config.write_text(replace(training.config, changed={"8000": {"drift": 0.5}}).to_json())
    assert settings_for(run.root, None, ["batch=4"], kimg=3.0) == replace(training.config, drift=0.5, batch=4, kimg=3.0)
    assert settings_for(run.root, "wgan") == resolve("wgan")


def test_a_state_is_gone_on_from_with_what_is_new_said_and_noted(saved: tuple[Run, Training]) -> None:
    run, training = saved
    notes: list[Mapping[str, object]] = []
    wanted = replace(training.config, learning_rate_d=3e-4, drift=0.5, kimg=9.0)
    found = find_state(run, wanted, "abcdef" * 3, notes.append)
    assert found.saved is not None
    assert found.saved.images_seen == 8000
    assert found.config == replace(training.config, kimg=9.0, changed={"8000": {"learning_rate_d": 3e-4, "drift": 0.5}})
    assert [note["note"] for note in notes] == [
        "learning_rate_d is 0.0003 from 8,000 images on",
        "drift is 0.5 from 8,000 images on",
    ]

    run.config.write_text(found.config.to_json())  # as it stands now: the same once more is no news
    assert find_state(run, wanted, "abcdef" * 3, lambda _: pytest.fail("no news")).config == found.config
    run.config.write_text(replace(found.config, latent_dim=5).to_json())  # somebody edited it
    assert find_state(run, wanted, "abcdef" * 3, notes.append).config == found.config
    assert len(notes) == 4

    (run.checkpoints / "000009000").mkdir()
    find_state(run, training.config, "abcdef" * 3, notes.append)
    manifest = run.checkpoints / "000009000" / "manifest.json"
    assert f"{manifest}" in str(notes[4]["note"])
    assert str(notes[4]["note"]).endswith(": going back to the state before it")


def test_what_cannot_be_gone_on_with_says_what_to_do_and_what_would_be_lost(saved: tuple[Run, Training]) -> None:
    run, training = saved

    def told(wanted: TrainConfig, fingerprint: str = "abcdef" * 3) -> str:
        with pytest.raises(TrainingError) as error:
            find_state(run, wanted, fingerprint, lambda _: None)
        return str(error.value)

    anew = "; --no-resume would begin anew, and delete 1 saved states, the newest after 8,000 images, and 1 files"
    assert told(training.config, "0123456789abcdef") == (
        f"{run.root} was trained on other images (fingerprint abcdefabcdef, this pack has 0123456789ab): "
        f"use that pack, or another --out{anew}"
    )
    three = {"latent_dim": 4, "seed": 7, "batch": 2}
    assert told(replace(training.config, **three)) == (
        f"{run.root} has other settings: leave those out to go on, or use another --out "
        f"(latent_dim: 4, was 3; batch: 2, was 64; seed: 7, was 0){anew}"
    )
    assert told(replace(training.config, **three, preset="other", critic_steps=2)) == (
        f"{run.root} has other settings: it is a run of by hand, which goes on without --preset; for other use another "
        f"--out (latent_dim: 4, was 3; critic_steps: 2, was 1; batch: 2, was 64 and 1 more){anew}"
    )
    (run.checkpoints / "000008000" / "manifest.json").unlink()
    nothing = f"no state in {run.checkpoints} is whole, and all is left as it is: use another --out"
    assert told(training.config) == nothing + anew
    run.generator.touch()
    there = f"{nothing}; {run.generator} can still be exported{anew}"
    assert told(training.config) == there.replace("1 files", "2 files")


def stopped_at_200(pack: Pack, out: Path) -> tuple[Outcome, list[str]]:
    """Ctrl-C after 200 images, in a run that saves nothing by itself; and what it said."""
    notes: list[str] = []

    def tick(images: int) -> None:
        if images == 200:
            os.kill(os.getpid(), signal.SIGINT)

    config = tiny_config(checkpoint_kimg=1.0)
    outcome = train(plan(config, pack), out, report=lambda line: notes.append(line.get("note", "")), tick=tick)
    return outcome, [note for note in notes if note]


def ctrl_c(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("before", [None, 0.16])
def test_ctrl_c_twice_says_that_nothing_was_saved_and_what_there_is(
    pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch, before: float | None
) -> None:
    if before:
        train(plan(tiny_config(kimg=before), pack), out)
    monkeypatch.setattr(training.state, "save", ctrl_c)
    outcome, notes = stopped_at_200(pack, out)
    assert outcome is Outcome.CUT_OFF
    assert notes[-2] == "saving after 200 images: another Ctrl-C ends at once, without saving"
    there = "the same command goes on from 160 images, saved at" if before else "no state was saved before"
    assert notes[-1].startswith(f"stopped after 200 images without saving: {there}")


def test_ctrl_c_once_more_after_the_state_is_saved_loses_nothing(
    pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "write_strip", ctrl_c)
    outcome, notes = stopped_at_200(pack, out)
    assert outcome is Outcome.STOPPED
    assert not any("without saving:" in note for note in notes)
    assert settings_for(out, None).preset == "dcgan"


def test_what_changes_the_last_bits_is_said_when_a_run_goes_on(
    pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactness holds for one kind of processor, device, precision, layout, number of threads and version of torch."""
    train(plan(tiny_config(kimg=0.04), pack), out)
    notes: list[str] = []

    def hear(line: Mapping[str, object]) -> None:
        notes.extend(str(value) for key, value in line.items() if key == "note")

    train(plan(tiny_config(kimg=0.08), pack), out, report=hear)
    assert notes == ["continuing after 40 images"]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    train(plan(tiny_config(kimg=0.12, precision="bf16", channels_last=False), pack), out, report=hear)
    threads = state.load(out / "checkpoints" / "000000080").arithmetic["threads"]
    assert notes[1:] == [
        "continuing after 80 images",
        f"goes on with precision bf16 (was fp32), channels_last False (was True), threads 64 (was {threads}): "
        "all is kept, but from here on the last bits are not those of one stretch",
    ]
    train(plan(tiny_config(kimg=0.16, precision="bf16", channels_last=False), pack), out, report=hear)
    assert notes[3:] == ["continuing after 120 images"]
