"""Finished levels: kept when the last round at them is over, the same whether the run was stopped or not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.checkpoint import load_generator, read_spec
from core.networks.progressive import LEVEL
from core.spec import GeneratorSpec
from tests.trainer.conftest import tiny_config
from tests.trainer.systems.test_progressive import tiny
from trainer import training
from trainer.data.pack import Pack
from trainer.hooks.levels import Levels
from trainer.planning import plan
from trainer.run import Run
from trainer.systems import build_system
from trainer.training import train

CPU = torch.device("cpu")
# Of 16x16: 4x4 to 32 images, a fade to 64, 8x8 to 104, a fade to 136, 16x16. Rounds of 16 at the base, else of 12.
GROWTH = {"stable_kimg": [0.032, 0.04], "fade_kimg": [0.032], "batch": [4 / 3, 1]}


def config(**changes: object):
    return tiny(**{"growth": GROWTH, "batch": 12, "kimg": 0.2, "checkpoint_kimg": 0.024, **changes})


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Run(out).levels.glob("*")}


@pytest.fixture(scope="module")
def whole(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, dict[str, torch.Tensor]]]:
    """A run that nothing interrupted, and its average after every round, with the growth it then had."""
    out, averages = tmp_path_factory.mktemp("whole") / "run", {}

    class Watching(Levels):
        def __call__(self, training) -> None:
            super().__call__(training)
            averages[training.images_seen] = {n: v.clone() for n, v in training.average.state_dict().items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Levels", Watching)
        train(plan(config(), pack), out)
    return out, averages


def test_a_level_is_kept_after_its_last_round_and_only_then(whole) -> None:
    out, averages = whole
    assert list(files(out)) == ["8x8.safetensors"]
    spec = read_spec(out / "levels" / "8x8.safetensors")
    at_it = [seen for seen, average in averages.items() if average["growth"] == LEVEL]
    assert len(at_it) > 2
    assert spec.provenance.images_seen == at_it[-1] > 104  # the schedule had moved on within the round
    assert (spec.height, spec.width, spec.channels) == (8, 8, 4)


def test_it_makes_what_the_run_s_average_made_at_that_moment(whole) -> None:
    out, averages = whole
    small = load_generator(out / "levels" / "8x8.safetensors")
    large = load_generator(out / "generator.safetensors")
    large.load_state_dict(averages[small.spec.provenance.images_seen])
    z = torch.randn(5, 8)
    assert torch.equal(small(z), large.paint(large.mapping(z)))
    assert small(z).shape == (5, 4, 8, 8)


@pytest.mark.parametrize("kimg", [0.06, 0.1, 0.104, 0.12])
def test_a_resumed_run_has_the_same_files(whole, pack: Pack, tmp_path: Path, kimg: float) -> None:
    for length in (kimg, 0.2):
        train(plan(config(kimg=length), pack), tmp_path / "parts")
    assert files(tmp_path / "parts") == files(whole[0])


def test_what_was_finished_after_the_state_that_is_gone_on_from_is_made_again(
    whole, pack: Pack, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train(plan(config(kimg=0.06), pack), out)
    levels = Run(out).levels
    levels.mkdir()
    for name in ("8x8.safetensors", "4x8.safetensors"):  # as a run that was killed, with other settings, left them
        (levels / name).write_bytes((whole[0] / "levels" / "8x8.safetensors").read_bytes())
    (levels / "damaged.safetensors").write_bytes(b"damaged")
    notes: list[str] = []
    train(plan(config(kimg=0.072), pack), out, report=lambda line: notes.append(line.get("note", "")))
    assert list(files(out)) == ["damaged.safetensors"]
    assert [note for note in notes if "damaged" in note and "\n" not in note]
    train(plan(config(), pack), out)
    assert files(out)["8x8.safetensors"] == files(whole[0])["8x8.safetensors"]
    train(plan(config(kimg=0.016), pack), out, resume=False)
    assert files(out) == {"damaged.safetensors": b"damaged"}  # nothing says that a run wrote it


def test_the_round_that_ends_exactly_with_the_level_is_not_its_last(pack: Pack) -> None:
    """A fade starts with α = 0, so a round that begins at its start is still of the level."""
    system = build_system(config(), GeneratorSpec("progressive", 16, 16, 4, 8, options={"width": 4, "widest": 8}), CPU)
    for images, done in ((92, []), (104, []), (105, ["8x8"])):
        system.begin(90)
        assert list(system.finished(system.generator, images)) == done
    system.begin(104)
    assert list(system.finished(system.generator, 116)) == ["8x8"]
    system.begin(105)
    assert list(system.finished(system.generator, 117)) == []  # in a fade
    system.begin(0)
    assert list(system.finished(system.generator, 48)) == []  # the base
    system.begin(150)
    assert list(system.finished(system.generator, 10**9)) == []  # the whole


def test_a_level_that_no_round_was_played_at_is_not_finished(pack: Pack, tmp_path: Path) -> None:
    growth = {**GROWTH, "stable_kimg": [0.032, 0.001]}
    train(plan(config(growth=growth), pack), tmp_path / "run")
    assert files(tmp_path / "run") == {}


def test_other_systems_finish_nothing_on_the_way(pack: Pack, tmp_path: Path) -> None:
    train(plan(replace(tiny_config(), kimg=0.04), pack), tmp_path / "run")
    assert not Run(tmp_path / "run").levels.exists()
