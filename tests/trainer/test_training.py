"""Whole runs: the same again when stopped and continued, whatever stopped them."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core.checkpoint import load_generator, read_spec
from core.errors import CheckpointError, ConfigError, DataError, DivergedError, TrainingError
from core.networks import GENERATORS
from tests.trainer.conftest import blobs, tiny_config
from trainer import loop, state, training
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.planning import Plan, pick_device, plan
from trainer.run import Run
from trainer.training import Outcome, train


def final_tensors(out: Path) -> dict[str, torch.Tensor]:
    newest = max((out / "checkpoints").iterdir())
    return {f: t for name in ("networks", "optimisers") for f, t in load_file(newest / f"{name}.safetensors").items()}


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.fixture(scope="module")
def undisturbed(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of forty rounds that nothing interrupted."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert train(plan(tiny_config(), pack), out) is Outcome.DONE
    return out


def test_forty_rounds_equal_twenty_stop_and_twenty(pack: Pack, undisturbed: Path, out: Path) -> None:
    rounds = 0

    def stop_after_twenty(images: int) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 20:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(plan(tiny_config(), pack), out, tick=stop_after_twenty) is Outcome.STOPPED
    assert read_spec(out / "generator.safetensors").provenance.images_seen == 160
    assert train(plan(tiny_config(), pack), out) is Outcome.DONE
    assert_same(final_tensors(out), final_tensors(undisturbed))
    names = final_tensors(out).keys()
    for part in ("average.", "generator.", "discriminator.", "generator.0.exp_avg_sq", "discriminator.0.exp_avg"):
        assert any(name.startswith(part) for name in names)


def test_continuing_is_exact_with_every_random_and_moving_part_switched_on(pack: Pack, tmp_path: Path) -> None:
    whole = tiny_config(
        real_labels=(0.8, 1.0),
        fake_labels=(0.0, 0.2),
        r1_gamma=1.0,
        r2_gamma=0.5,
        penalty_every=3,
        augment=("colour", "translation"),
        augment_p=0.7,
        schedule_kimg=0.2,
        final={"r1_gamma": 0.1, "learning_rate_g": 1e-5, "beta2": 0.9},
    )
    train(plan(whole, pack), tmp_path / "whole")
    for kimg in (0.104, 0.32):
        train(plan(replace(whole, kimg=kimg), pack), tmp_path / "parts")
    assert_same(final_tensors(tmp_path / "parts"), final_tensors(tmp_path / "whole"))


def test_a_run_leaves_everything_that_was_promised(undisturbed: Path) -> None:
    run = Run(undisturbed)
    assert [moment for moment, _ in run.previews()] == [160, 320]
    assert [line["images"] for line in run.read_log()] == list(range(40, 321, 40))
    assert {"discriminator/loss", "generator/loss", "discriminator/real", "discriminator/fake"} <= run.read_log()[
        0
    ].keys()
    for name in ("samples.gif", "progress.png", "losses.png"):
        with Image.open(undisturbed / name) as picture:
            picture.load()
            assert min(picture.size) >= 32
    with Image.open(undisturbed / "samples.gif") as animation:
        assert animation.n_frames == 2
    spec = read_spec(run.generator)
    assert spec.provenance.images_seen == 320
    assert spec.provenance.data_licence == "CC0-1.0"
    assert json.loads(run.config.read_text())["preset"] == "dcgan"


def test_the_generator_file_is_the_average(undisturbed: Path) -> None:
    tensors = final_tensors(undisturbed)
    for name, value in load_generator(undisturbed / "generator.safetensors").state_dict().items():
        assert torch.equal(value, tensors[f"average.{name}"])


def test_a_finished_run_is_left_alone_and_a_longer_one_goes_on(pack: Pack, out: Path) -> None:
    short = plan(tiny_config(kimg=0.08), pack)
    assert train(short, out) is Outcome.DONE
    assert train(short, out) is Outcome.ALREADY_DONE
    notes: list[dict[str, object]] = []
    assert train(plan(tiny_config(kimg=0.16), pack), out, report=notes.append) is Outcome.DONE
    assert notes[0] == {"note": "continuing after 80 images"}
    assert [line["images"] for line in Run(out).read_log()] == [40, 80, 120, 160]


def test_training_teaches_the_networks_something(undisturbed: Path) -> None:
    log = Run(undisturbed).read_log()
    assert log[-1]["discriminator/loss"] < log[0]["discriminator/loss"]
    assert log[-1]["discriminator/real"] > log[-1]["discriminator/fake"]


KILLS = int(os.environ.get("KILLS", "5"))  # scripts/soak sets twenty

KILL_AGAIN_AND_AGAIN = """
import os, random, signal, sys, time
from pathlib import Path
import matplotlib.figure, torch._dynamo  # what a first round and a first picture import
from tests.trainer.conftest import tiny_config
from trainer import state
from trainer.data.pack import Pack
from trainer.planning import plan
from trainer.training import train

# Forked, not started anew, to spare twenty imports of torch; before torch computes anything, so without threads.
pack, out = Pack.open(Path(sys.argv[1])), Path(sys.argv[2])
config = tiny_config(kimg=1000.0, checkpoint_kimg=0.016, preview_kimg=0.08)
moments = random.Random(0)
for _ in range(int(sys.argv[3])):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        train(plan(config, pack), out, tick=lambda seen: os.write(writing, b"%d " % seen))
    rounds, told = moments.randint(1, 8), b""  # counted, for a busy machine does few in any time
    while told.count(b" ") < rounds:
        told += os.read(reading, 1 << 16)
    first = int(told.split()[0])
    time.sleep(moments.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    newest = max((path.name for path in (out / "checkpoints").glob("[0-9]*")), default="0")
    print(first, int(newest))
"""


@pytest.mark.timeout(60 * KILLS)
def test_kill_9_at_any_moment_leaves_a_whole_state(pack: Pack, out: Path) -> None:
    """The child does little but save. Each time the next one goes on from the newest state, which is whole."""
    command = [sys.executable, "-c", KILL_AGAIN_AND_AGAIN, pack.path, out, str(KILLS)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lives = [tuple(map(int, line.split())) for line in printed.splitlines()]
    assert len(lives) == KILLS
    reached = 0
    for first, newest in lives:
        assert first == reached + 8
        reached = newest
    assert reached > 8 * KILLS
    assert state.load_latest(out / "checkpoints")[1] == []


def test_a_damaged_newest_state_falls_back_to_the_one_before(pack: Pack, undisturbed: Path, out: Path) -> None:
    train(plan(tiny_config(kimg=0.24), pack), out)
    newest = max((out / "checkpoints").iterdir())
    damaged = newest / "networks.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    notes: list[dict[str, object]] = []
    train(plan(tiny_config(), pack), out, report=notes.append)
    assert "networks.safetensors is damaged: going back" in str(notes[0]["note"])
    assert notes[1]["note"] == "continuing after 160 images"
    assert_same(final_tensors(out), final_tensors(undisturbed))


@pytest.mark.parametrize("file", ["networks.safetensors", "optimisers.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "empty", "missing"])
def test_every_kind_of_damage_is_noticed(pack: Pack, out: Path, file: str, damage: str) -> None:
    train(plan(tiny_config(kimg=0.04), pack), out)
    path = max((out / "checkpoints").iterdir()) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if damage == "flip" else b"")
    with pytest.raises(CheckpointError, match="damaged"):
        state.load(path.parent)
    with pytest.raises(TrainingError, match="--no-resume"):
        train(plan(tiny_config(), pack), out)


def test_no_resume_starts_again_and_touches_only_its_own_files(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.04), pack), out)
    (out / "notes.txt").write_text("mine")
    train(plan(tiny_config(kimg=0.08, seed=1), pack), out, resume=False)
    assert (out / "notes.txt").read_text() == "mine"
    assert [line["images"] for line in Run(out).read_log()] == [40, 80]


def test_refuses_other_images_and_other_networks_naming_the_difference(pack: Pack, out: Path, tmp_path: Path) -> None:
    train(plan(tiny_config(kimg=0.04), pack), out)
    other = write_pack(tmp_path / "other", blobs(seed=1), None, PackInfo("other", 16, 16, 4))
    with pytest.raises(TrainingError, match=f"other images .*{pack.info.fingerprint[:12]}"):
        train(plan(tiny_config(), other), out)
    with pytest.raises(TrainingError, match="latent_dim: 9, was 8"):
        train(plan(replace(tiny_config(), latent_dim=9), pack), out)


def test_a_full_disk_keeps_the_last_state(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.04), pack), out)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # room for a preview alone
    try:
        with pytest.raises(CheckpointError, match="make room"):
            train(plan(tiny_config(kimg=0.08), pack), out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["000000040"]
    assert train(plan(tiny_config(kimg=0.08), pack), out) is Outcome.DONE


def test_losses_that_are_not_finite_stop_the_run_and_keep_the_last_good_state(
    pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(plan(tiny_config(kimg=0.04), pack), out)
    real_play = loop.play

    def poisoned(moving: loop.Training, batch: object) -> None:
        with torch.no_grad():
            next(moving.system.generator.parameters()).fill_(float("nan"))
        real_play(moving, batch)

    monkeypatch.setattr(loop, "play", poisoned)
    with pytest.raises(DivergedError, match="loss became nan within 80 images"):
        train(plan(tiny_config(kimg=0.16), pack), out)
    assert state.load_latest(out / "checkpoints")[0].images_seen == 40
    assert all(value.isfinite().all() for value in load_generator(out / "generator.safetensors").state_dict().values())


def test_weights_that_are_not_finite_are_never_saved(planned: Plan, out: Path) -> None:
    moving = training.begin(planned)
    with torch.no_grad():
        next(moving.average.parameters()).fill_(float("inf"))
    with pytest.raises(DivergedError, match=r"average\..* no longer finite"):
        state.save(out, moving, "")
    assert not out.exists() or not any(out.iterdir())


def test_two_trainings_never_write_to_one_run(planned: Plan, out: Path) -> None:
    def train_again(images: int) -> None:
        with pytest.raises(TrainingError, match="another training"):
            train(planned, out)

    train(planned, out, tick=train_again)


def test_only_the_newest_states_are_kept(undisturbed: Path) -> None:
    assert sorted(path.name for path in (undisturbed / "checkpoints").iterdir()) == ["000000160", "000000320"]


def test_reading_the_losses_is_the_only_wait_for_the_device(planned: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything that copies a number from the device to Python would stall an accelerator every round."""
    moving = training.begin(planned)
    stream = training.Stream(planned.pack, planned.spec, 0, planned.device)
    batch = stream.read(0, moving.system.begin(0), 0)
    for name in ("item", "__float__", "__bool__", "__int__", "tolist", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("synchronised"))
    fused = [group["fused"] for player in moving.system.players for group in player.optimiser.param_groups]
    assert all(fused)
    loop.play(moving, batch)


def test_bf16_autocast_trains(pack: Pack, out: Path) -> None:
    config = tiny_config(kimg=0.04, precision="bf16", r1_gamma=1.0)
    assert train(plan(config, pack), out) is Outcome.DONE
    assert np.isfinite(Run(out).read_log()[-1]["generator/loss"])


def test_an_absent_device_and_a_lone_image_are_refused(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such device"):
        pick_device("cuda:99")
    with pytest.raises(ConfigError, match="no such device"):
        pick_device("toaster")
    lone = write_pack(tmp_path / "lone", blobs(1), None, PackInfo("lone", 16, 16, 4))
    with pytest.raises(DataError, match="at least 2"):
        plan(tiny_config(), lone)


@pytest.mark.parametrize(("height", "width", "channels"), [(28, 28, 1), (24, 16, 3), (16, 16, 4)])
def test_every_shape_of_picture_trains(height: int, width: int, channels: int, tmp_path: Path) -> None:
    info = PackInfo("shapes", height, width, channels)
    pack = write_pack(tmp_path / "pack", blobs(12, height, width, channels), None, info)
    assert train(plan(tiny_config(kimg=0.016), pack), tmp_path / "run") is Outcome.DONE
    assert load_generator(tmp_path / "run/generator.safetensors").spec.channels == channels


def test_damaged_states_do_not_push_whole_ones_out(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.24), pack), out)
    newest = max((out / "checkpoints").iterdir())
    (newest / "state.json").write_text("{")
    (out / "checkpoints" / "000900000").mkdir()
    (out / "checkpoints" / "000900001").mkdir()
    train(plan(tiny_config(kimg=0.48), pack), out)
    whole = sorted(path.name for path in (out / "checkpoints").iterdir() if path.name.isdecimal())
    assert whole == ["000000320", "000000480"]
    for name in whole:
        state.load(out / "checkpoints" / name)


def test_what_a_run_left_that_died_before_its_first_state_is_forgotten(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.16), pack), out)
    shutil.rmtree(out / "checkpoints")
    with (out / "log.jsonl").open("a") as log:
        log.write('{"images": 200')
    train(plan(tiny_config(kimg=0.08), pack), out)
    assert [moment for moment, _ in Run(out).previews()] == [80]
    assert [line["images"] for line in Run(out).read_log()] == [40, 80]


def test_a_changed_pack_is_noticed(tmp_path: Path, out: Path) -> None:
    pack = write_pack(tmp_path / "pack", blobs(), None, PackInfo("discs", 16, 16, 4))
    content = bytearray((pack.path / "images.npy").read_bytes())
    content[-7] ^= 1
    (pack.path / "images.npy").write_bytes(bytes(content))
    with pytest.raises(DataError, match="was changed after the import"):
        train(plan(tiny_config(), Pack.open(pack.path)), out)


@pytest.mark.parametrize("content", [b"x", b"", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_picture_does_not_stop_a_run(pack: Pack, out: Path, content: bytes) -> None:
    train(plan(tiny_config(kimg=0.16), pack), out)
    Run(out).preview(160).write_bytes(content)
    notes: list[dict[str, object]] = []
    assert train(plan(tiny_config(), pack), out, report=notes.append) is Outcome.DONE
    assert any("could not be drawn" in str(note.get("note")) for note in notes)


@pytest.mark.parametrize("folder", ["checkpoints", "samples"])
def test_a_file_in_the_way_is_found_before_the_work(pack: Pack, out: Path, folder: str) -> None:
    Run(out).prepare()
    (out / folder).rmdir()
    (out / folder).write_text("mine")
    rounds: list[int] = []
    with pytest.raises(TrainingError, match=f"{folder}.*mend that"):
        train(plan(tiny_config(), pack), out, tick=rounds.append)
    assert rounds == []


def test_classes_are_refused_by_a_family_that_would_ignore_them(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GENERATORS["dcgan"], "learns_classes", False)
    with pytest.raises(ConfigError, match="dcgan does not learn classes: omit --conditional"):
        plan(tiny_config(conditional=True), pack)


def test_classes_called_as_found_ones_are_refused_and_not_left_out(tmp_path: Path) -> None:
    """A run that learned them would take them for its own, and be shown no labels."""
    info = PackInfo("odd", 16, 16, 4, classes=("category-0", "category-1"))
    odd = write_pack(tmp_path / "odd", blobs(), np.arange(40) % 2, info)
    with pytest.raises(ConfigError, match=r"the pack odd calls its classes category-0 and on, .*: import it again"):
        plan(tiny_config(conditional=True), odd)
    assert plan(tiny_config(), odd).spec.classes == ()
