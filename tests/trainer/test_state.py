"""The state on disk: what its files hold, tensor by tensor, what reading takes back, and what is kept."""

import errno
import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core.errors import CheckpointError, DivergedError
from core.files import sha256
from tests.trainer.toys import CPU, batch, system_of
from trainer import state
from trainer.arithmetic import arithmetic
from trainer.loop import Training, play
from trainer.optimisation import ema
from trainer.systems.players import Player

FILES = ["manifest.json", "networks.safetensors", "optimisers.safetensors", "state.json"]


def begun() -> Training:
    """A run of the toys that has seen nothing."""
    system = system_of(optimiser="adam", ema_kimg=0.004)
    return Training(system.config, system, ema.averages_of(system.generators), CPU)


@pytest.fixture
def played() -> Training:
    """The same after two rounds of four images."""
    training = begun()
    for step in range(2):
        play(training, batch(step))
    return training


def as_json(value: object) -> Any:
    """Tuples as lists."""
    return json.loads(json.dumps(value))


def everything(training: Training) -> dict[str, Any]:
    """Every tensor and number of a run, by hand."""
    held: dict[str, Any] = {"images": training.images_seen, "rounds": training.rounds}
    networks = {**training.system.networks, "average": training.average}
    for name, network in networks.items():
        held |= {f"{name}.{key}": value.tolist() for key, value in network.state_dict().items()}
    for player in training.system.players:
        held[f"{player.name}.groups"] = as_json(player.optimiser.state_dict()["param_groups"])
        for index, parameter in enumerate(player.optimiser.param_groups[0]["params"]):
            moments = player.optimiser.state[parameter]
            held |= {f"{player.name}.{index}.{key}": value.tolist() for key, value in moments.items()}
    return held


def test_a_state_holds_every_tensor_by_name_and_the_facts(played: Training, tmp_path: Path) -> None:
    path = state.save(tmp_path / "states", played, "abc")
    assert path == tmp_path / "states" / "000000008"
    assert sorted(each.name for each in path.iterdir()) == FILES
    held = everything(played)
    networks = {name: value.tolist() for name, value in load_file(path / "networks.safetensors").items()}
    drawing = {f"{network}.{name}" for network in ("generator", "average") for name in ("weight", "latent_mean")}
    assert networks.keys() == drawing | {f"discriminator.{name}" for name in "abc"}
    assert networks == {name: held[name] for name in networks}
    moments = {name: value.tolist() for name, value in load_file(path / "optimisers.safetensors").items()}
    owners = ("generator.0", "discriminator.0", "discriminator.1", "discriminator.2")
    assert moments.keys() == {f"{each}.{name}" for each in owners for name in ("step", "exp_avg", "exp_avg_sq")}
    assert moments == {name: held[name] for name in moments}
    facts = json.loads((path / "state.json").read_bytes())
    assert facts == {
        "format_version": 1,
        "images_seen": 8,
        "rounds": 2,
        "config": as_json(asdict(played.config)),
        "fingerprint": "abc",
        "spec": json.loads(played.system.spec.to_json()),
        "groups": {name: held[f"{name}.groups"] for name in ("generator", "discriminator")},
        "arithmetic": arithmetic(played.config, CPU),
    }
    hashes = json.loads((path / "manifest.json").read_bytes())
    assert hashes == {name: sha256(path / name) for name in FILES[1:]}


def test_what_was_saved_is_what_goes_on(played: Training, tmp_path: Path) -> None:
    saved = state.load(state.save(tmp_path, played, "abc"))
    assert (saved.config, saved.fingerprint) == (played.config, "abc")
    assert saved.spec == json.loads(played.system.spec.to_json())
    assert saved.arithmetic == arithmetic(played.config, CPU)
    other = begun()
    play(other, batch(7))
    assert everything(other) != everything(played)
    state.restore(other, saved)
    assert everything(other) == everything(played)
    for training in (other, played):
        play(training, batch(2))
    assert everything(other) == everything(played)


def test_a_state_of_another_version_or_network_says_so(played: Training, tmp_path: Path) -> None:
    path = state.save(tmp_path, played, "")
    saved = state.load(path)
    del saved.networks["generator.weight"]
    with pytest.raises(
        CheckpointError, match=r"does not fit this run \(Error\(s\) in loading state_dict for Painter:\)"
    ):
        state.restore(begun(), saved)
    facts = path / "state.json"
    facts.write_text(facts.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(CheckpointError, match="damaged"):  # the hash first
        state.load(path)
    hashes = {name: sha256(path / name) for name in FILES[1:]}
    (path / "manifest.json").write_text(json.dumps(hashes))
    with pytest.raises(CheckpointError, match="by another version"):
        state.load(path)


def test_states_from_before_arithmetic_was_noted_can_be_read(played: Training, tmp_path: Path) -> None:
    path = state.save(tmp_path, played, "")
    facts = json.loads((path / "state.json").read_text())
    del facts["arithmetic"]
    (path / "state.json").write_text(json.dumps(facts))
    hashes = {name: sha256(path / name) for name in FILES[1:]}
    (path / "manifest.json").write_text(json.dumps(hashes))
    assert state.load(path).arithmetic == {}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_states_are_kept_the_one_just_saved_among_them(played: Training, tmp_path: Path) -> None:
    (tmp_path / "000000001").mkdir()
    (tmp_path / "000000001" / "mine.txt").touch()
    for images in (8, 12, 16):
        played.images_seen = images
        state.save(tmp_path, played, "")
    assert names(tmp_path) == ["000000001", "000000012", "000000016"]
    for images in (4, 4):  # again: a state of the same moment is replaced
        played.images_seen = images
        state.save(tmp_path, played, str(images))
    assert names(tmp_path) == ["000000001", "000000004", "000000016"]
    played.images_seen = 1
    with pytest.raises(CheckpointError, match="000000001 is in the way"):
        state.save(tmp_path, played, "")


def test_what_is_not_finite_or_does_not_fit_the_disk_leaves_what_there_was(
    played: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save(tmp_path, played, "first")
    for number, said in (
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EFBIG, "the disk is full"),
        (errno.EACCES, "Permission denied"),
    ):
        error = OSError(number, "Permission denied")
        monkeypatch.setattr(state, "save_tensors", lambda _, error=error: (_ for _ in ()).throw(error))
        with pytest.raises(CheckpointError, match=rf"could not save to .*000000008 \({said}\): the earlier states"):
            state.save(tmp_path, played, "second")
    monkeypatch.undo()
    with torch.no_grad():
        played.average.get_parameter("weight")[3, 1] = torch.nan
    with pytest.raises(DivergedError, match=r"the weights average\.weight are no longer finite after 8 images"):
        state.save(tmp_path, played, "second")
    assert names(tmp_path) == ["000000008"]
    assert state.load(tmp_path / "000000008").fingerprint == "first"


def test_the_newest_whole_state_is_found_and_damaged_ones_are_set_aside(played: Training, tmp_path: Path) -> None:
    assert state.load_latest(tmp_path) == (None, [])
    for images in (8, 12):
        played.images_seen = images
        state.save(tmp_path, played, "")
    newer, older, aside = (tmp_path / name for name in ("000000012", "000000008", "000000012.damaged"))
    (newer / "state.json").write_text("{")
    aside.mkdir()
    (aside / "state.json").write_text("an older one")
    saved, problems = state.load_latest(tmp_path)
    assert saved is not None
    assert saved.images_seen == 8
    assert problems == [f"{newer / 'state.json'} is damaged"]
    assert names(tmp_path) == [older.name, aside.name]
    assert (aside / "state.json").read_text() == "{"

    state.save(tmp_path, played, "")  # damaged again, and somebody put a file beside the one that was set aside
    (newer / "state.json").unlink()
    (aside / "notes.txt").touch()
    saved, _ = state.load_latest(tmp_path)
    assert saved is not None
    assert saved.images_seen == 8
    assert names(tmp_path) == [older.name, aside.name]
    assert names(aside) == sorted([*FILES, "notes.txt"])

    (older / "manifest.json").unlink()
    saved, problems = state.load_latest(tmp_path)
    assert saved is None
    assert isinstance(problems, list)
    assert problems[0].startswith(f"{older} is damaged (FileNotFoundError: ")
    assert names(tmp_path) == [older.name, aside.name]  # where none is whole, all is left as it is


def by_hand(player: str, network: nn.Module) -> Any:
    """A run of one network and one optimiser, which two players share."""
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    players = [Player(player, optimiser, lambda _: None), Player("other", optimiser, lambda _: None)]
    system = SimpleNamespace(networks={"n": network}, players=players)
    return SimpleNamespace(system=system, averages={"generator": nn.Linear(1, 1)}, images_seen=0, rounds=0)


def test_moments_lie_in_memory_as_their_weights_do_and_shared_optimisers_are_saved_once() -> None:
    training = by_hand("first", nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last))
    for parameter in training.system.networks["n"].parameters():
        parameter.grad = torch.rand_like(parameter)
    training.system.players[0].optimiser.step()
    networks, moments = state.network_tensors(training), state.optimiser_tensors(training)
    assert all(value.is_contiguous() and not value.requires_grad for value in (networks | moments).values())
    assert moments.keys() == {f"first.{i}.{name}" for i in range(2) for name in ("step", "exp_avg", "exp_avg_sq")}
    groups = {"first": training.system.players[0].optimiser.state_dict()["param_groups"]}
    saved = state.Saved(5, 6, None, "", {}, networks, moments, groups)
    other = by_hand("first", nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last))
    state.restore(other, saved)
    assert (other.images_seen, other.rounds) == (5, 6)
    weight = other.system.networks["n"].weight
    assert torch.equal(weight, training.system.networks["n"].weight)
    found = other.system.players[0].optimiser.state[weight]
    for name in ("exp_avg", "exp_avg_sq"):
        assert found[name].stride() == weight.stride() != torch.empty(3, 2, 3, 3).stride()
        assert torch.equal(found[name], moments[f"first.0.{name}"])
        assert not found[name].requires_grad
    assert (found["step"].item(), found["step"].shape, found["step"].dtype) == (1, (), torch.float32)
