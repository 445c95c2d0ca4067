"""The full training state, on disk: everything needed to go on as if never stopped.

    checkpoints/000025000/
      networks.safetensors    every network of the system, and the averaged generators
      optimisers.safetensors  every tensor of every player's optimiser
      state.json              images seen, config, data fingerprint, the optimisers' plain numbers, what computed them
      manifest.json           sha256 of the three, written last

A state is written beside its place, flushed, and renamed: it is there whole or not at all.
"""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from core.errors import CheckpointError, ConfigError, DivergedError, first_line
from core.files import new_directory, sha256
from core.hashes import hashes_of
from trainer.arithmetic import arithmetic
from trainer.loop import Training
from trainer.mark import delete_state, holds_a_state, states
from trainer.settings.config import TrainConfig

FORMAT_VERSION = 1
KEPT = 2
_FILES = ("networks.safetensors", "optimisers.safetensors", "state.json")


@dataclass(frozen=True)
class Saved:
    """A training state read back and verified."""

    images_seen: int
    rounds: int
    config: TrainConfig
    fingerprint: str
    spec: dict[str, Any]
    networks: dict[str, Tensor]
    optimisers: dict[str, Tensor]
    groups: dict[str, Any]
    arithmetic: dict[str, str] = field(default_factory=dict)  # states from before it was noted have none


def save(folder: Path, training: Training, fingerprint: str) -> Path:
    """Write the state of ``training`` under ``folder`` and drop all but the newest ``KEPT``.

    Raises DivergedError, writing nothing, if any weight is not finite, and CheckpointError if the disk refuses;
    the states that were there stay.
    """
    # Nothing is written that nobody could go on from
    networks = network_tensors(training)
    broken = [name for name, value in networks.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise DivergedError(f"the weights {broken[0]} are no longer finite after {training.images_seen} images")

    # Nothing is written over what is not a state of ours
    path = folder / f"{training.images_seen:09d}"
    if os.path.lexists(path) and path not in states(folder):
        raise CheckpointError(f"{path} is in the way, and holds no state of training alone: move it elsewhere")

    # The whole, or nothing; then room is made
    try:
        with new_directory(path, replace=True) as new:
            _write(new, training, networks, fingerprint)
    except OSError as error:
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else error.strerror
        raise CheckpointError(f"could not save to {path} ({reason}): the earlier states are whole; make room") from None
    for old in [state for state in states(folder) if state != path][KEPT - 1 :]:
        delete_state(old)
    return path


def load_latest(folder: Path) -> tuple[Saved | None, list[str]]:
    """The newest whole state under ``folder`` (None if there is none), and what was wrong with newer ones.

    Once a whole one is found, those that are not are set aside as ``NAME.damaged``: they must not count as kept.
    """
    problems: dict[Path, str] = {}
    for path in states(folder):
        try:
            saved = load(path)
        except CheckpointError as error:
            problems[path] = str(error)
            continue
        for damaged in problems:
            _set_aside(damaged)
        return saved, list(problems.values())
    return None, list(problems.values())


def load(path: Path) -> Saved:
    """The state in ``path``. Raises CheckpointError if a file is missing, damaged or of another version."""
    try:
        # Every file is as it was written
        hashes = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        for name in _FILES:
            if sha256(path / name) != hashes[name]:
                raise CheckpointError(f"{path / name} is damaged")

        # What is in them
        facts = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if facts.pop("format_version") != FORMAT_VERSION:
            raise CheckpointError(f"{path} was written by another version of Ganfoundry")
        config = TrainConfig.from_json(json.dumps(facts.pop("config")))
        tensors = [load_file(path / name) for name in _FILES[:2]]
        return Saved(config=config, networks=tensors[0], optimisers=tensors[1], **facts)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, ConfigError) as error:
        raise CheckpointError(f"{path} is damaged ({type(error).__name__}: {error})") from None


def restore(training: Training, saved: Saved) -> None:
    """Put ``saved`` into ``training``, whose networks and optimisers must have the same shapes."""
    try:
        for name, network in _networks(training).items():
            network.load_state_dict(_under(f"{name}.", saved.networks))
        for name, optimiser in _optimisers(training).items():
            state = _state(name, saved.optimisers)
            optimiser.load_state_dict({"state": state, "param_groups": saved.groups[name]})
            _match_layout(optimiser)
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"the saved state does not fit this run ({first_line(error)})") from None
    training.images_seen, training.rounds = saved.images_seen, saved.rounds


def network_tensors(training: Training) -> dict[str, Tensor]:
    """Every weight and buffer by ``network.name``, on the CPU."""
    return {
        f"{network}.{name}": value.cpu().contiguous()
        for network, module in _networks(training).items()
        for name, value in module.state_dict().items()
    }


def _networks(training: Training) -> dict[str, nn.Module]:
    """Every network by name: the system's, and the averages, the first as ``average``, others as ``average_NAME``."""
    first, *others = training.averages
    averages = {"average": training.averages[first]} | {f"average_{name}": training.averages[name] for name in others}
    return {**training.system.networks, **averages}


def optimiser_tensors(training: Training) -> dict[str, Tensor]:
    """Every tensor of every optimiser by ``player.parameter.name``, on the CPU; shared ones by their first player."""
    return {
        f"{player}.{index}.{name}": value.cpu().contiguous()
        for player, optimiser in _optimisers(training).items()
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def _optimisers(training: Training) -> dict[str, torch.optim.Optimizer]:
    """Every optimiser by the first player that moves it: players may share one."""
    names = {player.optimiser: player.name for player in reversed(training.system.players)}
    return {name: optimiser for optimiser, name in names.items()}


def _write(folder: Path, training: Training, networks: dict[str, Tensor], fingerprint: str) -> None:
    # As bytes through Python, because a full disk is then an OSError with its number.
    (folder / _FILES[0]).write_bytes(save_tensors(networks))
    (folder / _FILES[1]).write_bytes(save_tensors(optimiser_tensors(training)))

    facts = {
        "format_version": FORMAT_VERSION,
        "images_seen": training.images_seen,
        "rounds": training.rounds,
        "config": asdict(training.config),
        "fingerprint": fingerprint,
        "spec": json.loads(training.system.spec.to_json()),
        "groups": {name: optimiser.state_dict()["param_groups"] for name, optimiser in _optimisers(training).items()},
        "arithmetic": arithmetic(training.config, training.device),
    }
    (folder / "state.json").write_text(json.dumps(facts), encoding="utf-8", newline="\n")
    hashes = hashes_of(folder, _FILES)
    (folder / "manifest.json").write_text(json.dumps(hashes), encoding="utf-8", newline="\n")


def _set_aside(damaged: Path) -> None:
    """Rename a damaged state; one of the same moment that was set aside before makes room if it is nothing more."""
    aside = damaged.with_name(f"{damaged.name}.damaged")
    if holds_a_state(aside):
        delete_state(aside)
    if not os.path.lexists(aside):
        damaged.rename(aside)
    else:  # somebody put something beside it
        delete_state(damaged)


def _match_layout(optimiser: torch.optim.Optimizer) -> None:
    """Lay every moment out in memory as its parameter is: fused optimisers walk both as plain arrays."""
    for parameter, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(value)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _state(player: str, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The ``state`` part of an optimiser's state_dict, parameter by parameter."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(f"{player}.", tensors).items():
        index, _, key = name.partition(".")
        states.setdefault(int(index), {})[key] = value
    return states
