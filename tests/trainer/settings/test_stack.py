"""The stack: who moves when, what each level learns from, and a run that is cut anywhere."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from core.checkpoint import load_generator
from core.errors import ConfigError
from core.networks.stacked import Encoder, StackedGenerator
from trainer import state
from trainer.data.pack import Pack
from trainer.planning import plan
from trainer.presets import resolve
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.settings.stack import Stack
from trainer.systems import build_system
from trainer.systems.players import Batch
from trainer.systems.stacked import ENCODER, LOWER_D, LOWER_G, UPPER_D, UPPER_G, Stacked
from trainer.training import Outcome, train

CPU = torch.device("cpu")
LEVELS = {UPPER_D, UPPER_G, LOWER_D, LOWER_G}


def config(**changes: object) -> TrainConfig:
    phases = ["stack.encoder_kimg=0.08", "stack.apart_kimg=0.08"]
    tiny = {"kimg": 0.24, "batch": 8, "log_kimg": 0.04, "preview_kimg": 0.16, "checkpoint_kimg": 0.04, "previews": 4}
    return resolve("stackedgan", ["width=4", "latent_dim=8", "generator.features=12", *phases], **{**tiny, **changes})


def system_of(pack: Pack) -> Stacked:
    planned = plan(config(), pack)
    system = build_system(planned.config, planned.spec, CPU)
    assert isinstance(system, Stacked)
    return system


def batch() -> Batch:
    return Batch(torch.rand(8, 4, 16, 16) * 2 - 1, torch.tensor([0, 1] * 4), 0)


def test_the_encoder_first_then_each_level_then_both(pack: Pack) -> None:
    system = system_of(pack)
    assert (system.inactive, system.together) == (frozenset(), False)  # all may be tried, each for itself
    seen = {}
    for images in (0, 79, 80, 159, 160, 240):
        system.begin(images)
        seen[images] = system.inactive, system.together
    assert seen[0] == seen[79] == (LEVELS, False)
    assert seen[80] == seen[159] == ({ENCODER}, False)
    assert seen[160] == seen[240] == ({ENCODER}, True)


def test_the_encoder_stands_still_once_it_has_learnt(pack: Pack, out: Path) -> None:
    train(plan(config(kimg=0.12), pack), out)
    learnt, later = (state.load(Run(out).checkpoints / name).networks for name in ("000000080", "000000120"))
    names = [name for name in learnt if name.startswith("encoder.")]
    assert names
    assert all(torch.equal(learnt[name], later[name]) for name in names)
    assert any(not torch.equal(learnt[name], later[name]) for name in learnt if name.startswith("generator."))


def test_features_have_mean_0_and_mean_square_1(pack: Pack) -> None:
    encoder = Encoder(system_of(pack).spec, 4, 12).eval()
    features = encoder(batch().images).detach()
    assert features.shape == (8, 12)
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.square().mean(dim=1), torch.ones(8), atol=0.01, rtol=0)  # ε of the norm


def test_images_are_painted_once_a_round_for_both_who_look_at_them(pack: Pack, monkeypatch) -> None:
    system, painted = system_of(pack), []
    paint = system.whole.paint
    monkeypatch.setattr(system.whole, "paint", lambda *given: painted.append(1) or paint(*given))
    system.begin(80)
    first = batch()
    system.discriminator_loss(first)
    system.generator_loss(first)
    assert len(painted) == 1
    system.discriminator_loss(replace(first, step=1))
    assert len(painted) == 2


def test_features_are_shown_with_length_1_beside_the_noise(pack: Pack, monkeypatch) -> None:
    system, seen = system_of(pack), []
    lower = system.whole.lower
    monkeypatch.setattr(lower, "synthesis", lambda style: seen.append(style) or torch.zeros(1))
    features = F.layer_norm(torch.randn(5, 12), (12,))
    system.whole.paint(features, torch.randn(5, 4))
    torch.testing.assert_close(seen[0][:, :12].norm(dim=1), torch.ones(5), atol=1e-3, rtol=0)


def test_features_are_judged_by_projection(pack: Pack) -> None:
    judge = system_of(pack).features_discriminator.eval()
    features = torch.randn(4, judge.feature_dim)
    with torch.no_grad():
        judge.embed.weight.copy_(torch.randn_like(judge.embed.weight))
        more = judge.score(features, torch.tensor([0, 1, 1, 0])) - judge.score(features)
        expected = [judge.embed.weight[k] @ f for k, f in zip((0, 1, 1, 0), features, strict=True)]
    torch.testing.assert_close(more, torch.stack(expected), atol=1e-4, rtol=0)


def test_the_exported_network_is_the_whole_stack(pack: Pack, out: Path) -> None:
    assert train(plan(config(), pack), out) is Outcome.DONE
    whole = load_generator(Run(out).generator)
    assert isinstance(whole, StackedGenerator)
    z, label = torch.randn(3, 8), torch.tensor([0, 1, 1])
    features = whole.upper(z[:, :4], label)
    assert torch.allclose(whole(z, label), whole.paint(features, z[:, 4:]), atol=1e-6)


def test_without_classes_there_is_no_phase_of_the_encoder(pack: Pack) -> None:
    planned = plan(config(conditional=False), pack)
    system = build_system(planned.config, planned.spec, CPU)
    system.begin(0)
    assert system.inactive == {ENCODER}


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"encoder": 1.0}, "stack.encoder is unknown"), ({"apart_kimg": -1.0}, "at least 0"), ({"entropy": "no"}, "no")],
)
def test_what_a_stack_cannot_be(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Stack.of(settings)


def test_another_family_is_no_stack(pack: Pack) -> None:
    with pytest.raises(ConfigError, match="are no stack"):
        plan(resolve("dcgan", ["system=stacked", "width=4"]), pack)
