"""The style system: path lengths against closed forms, mixed styles, and stopping and going on."""

import math
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from core.spec import GeneratorSpec
from tests.trainer.conftest import tiny_config
from tests.trainer.test_training import assert_same, final_tensors
from trainer.data.pack import Pack
from trainer.objective.penalties import path_lengths
from trainer.planning import plan
from trainer.presets import resolve
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.settings.regularise import Regularisation
from trainer.systems import build_system
from trainer.systems.players import Batch
from trainer.systems.style import PathMean, Style
from trainer.training import Outcome, train

CPU = torch.device("cpu")
TINY = {"width": 4, "style_dim": 8, "mapping_layers": 2}
SPEC = GeneratorSpec("style", 16, 16, 4, 8, options=TINY)


def style_config(**changes: object) -> TrainConfig:
    tiny: dict[str, object] = {
        "kimg": 0.32,
        "batch": 8,
        "log_kimg": 0.04,
        "preview_kimg": 0.16,
        "checkpoint_kimg": 0.16,
        "previews": 4,
    }
    tiny |= {"regularise": {"path_length_every": 3}, "final": {}}
    return resolve("stylegan-lite-cpu", ["width=4", "latent_dim=8", "generator.style_dim=8"], **{**tiny, **changes})


def style_system(**changes: object) -> Style:
    system = build_system(style_config(**changes), SPEC, CPU)
    assert isinstance(system, Style)
    return system


def batch(step: int = 0, labels: torch.Tensor | None = None) -> Batch:
    return Batch(torch.rand(8, 4, 16, 16) * 2 - 1, labels, step)


def test_path_lengths_of_a_linear_generator() -> None:
    # g(w) = A w has Jᵀy = Aᵀy, and E ‖Aᵀy‖² = ‖A‖² / pixels for y ~ N(0, 1 / pixels).
    torch.manual_seed(0)
    matrix = torch.randn(3 * 4 * 5, 7)
    w = torch.randn(20_000, 7, requires_grad=True)
    lengths = path_lengths((w @ matrix.T).reshape(-1, 3, 4, 5), w)
    assert lengths.shape == (20_000,)
    expected = matrix.square().sum().item() / (4 * 5)
    assert lengths.square().mean().item() == pytest.approx(expected, rel=0.02)


def test_path_lengths_of_a_diagonal_generator_row_by_row() -> None:
    # With one pixel and one channel g(w) = a·w, so ‖Jᵀy‖ = |y| ‖a‖ exactly.
    scale = torch.tensor([3.0, 4.0])
    w = torch.randn(6, 2, requires_grad=True)
    torch.manual_seed(5)
    lengths = path_lengths((w @ scale).reshape(6, 1, 1, 1), w)
    torch.manual_seed(5)
    y = torch.randn(6, 1, 1, 1).flatten()
    torch.testing.assert_close(lengths, 5 * y.abs())


def test_path_lengths_with_a_style_for_each_layer_average_the_layers() -> None:
    # g(w) = a₁·w₁ + a₂·w₂: the mean of the squared lengths |y|²‖a₁‖² and |y|²‖a₂‖².
    scales = torch.tensor([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]])
    w = torch.randn(6, 2, 3, requires_grad=True)
    torch.manual_seed(5)
    lengths = path_lengths((w * scales).sum(dim=(1, 2)).reshape(6, 1, 1, 1), w)
    torch.manual_seed(5)
    y = torch.randn(6, 1, 1, 1).flatten()
    torch.testing.assert_close(lengths, math.sqrt((25 + 1) / 2) * y.abs())


def test_a_generator_that_ignores_its_style_has_no_path_and_a_finite_gradient() -> None:
    scale, w = torch.zeros(2, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    lengths = path_lengths((w @ scale).reshape(3, 1, 1, 1), w)
    lengths.sum().backward()
    torch.testing.assert_close(lengths, torch.full((3,), 1e-6))
    assert scale.grad is not None
    assert torch.equal(scale.grad, torch.zeros(2))


def test_path_lengths_are_summed_in_full_precision() -> None:
    w = torch.randn(2, 4, dtype=torch.bfloat16, requires_grad=True)
    assert path_lengths((2 * w).sum(dim=1).reshape(2, 1, 1, 1), w).dtype == torch.float32


def test_path_lengths_of_a_quadratic_generator_give_its_own_gradient() -> None:
    # g(w) = b w² / 2 has ‖Jᵀy‖ = |b w y|, whose derivative by b is |w y|.
    b = torch.tensor(1.7, requires_grad=True)
    w = torch.randn(5, 1, requires_grad=True)
    torch.manual_seed(5)
    lengths = path_lengths((b * w.square() / 2).reshape(5, 1, 1, 1), w)
    lengths.sum().backward()
    assert b.grad is not None
    assert b.grad.item() == pytest.approx(lengths.sum().item() / 1.7, rel=1e-5)


def test_the_path_mean_is_unbiased_from_the_start_and_slow() -> None:
    mean = PathMean()
    assert mean(torch.tensor([2.0, 4.0])).item() == pytest.approx(3, rel=1e-5)
    for _ in range(30):
        assert mean(torch.full((4,), 3.0)).item() == pytest.approx(3, rel=1e-5)
    before = 1 - 0.99**31
    assert mean(torch.full((4,), 103.0)).item() == pytest.approx(3 + 100 * 0.01 / (0.99 * before + 0.01), rel=1e-4)


def test_the_lazy_correction_of_weight_rate_and_betas() -> None:
    system = style_system(regularise={"mixing": 0.9, "path_length": 2.0, "path_length_every": 4.0}, beta1=0.5)
    assert system.begin(0) == 8
    discriminator, generator, paths = system.players
    assert (discriminator.every, generator.every, paths.every) == (1, 1, 4)
    assert isinstance(paths.every, int)
    assert paths.optimiser is generator.optimiser
    (group,) = generator.optimiser.param_groups
    assert group["lr"] == pytest.approx(2.5e-3 * 0.8)
    assert group["betas"] == pytest.approx((0.5**0.8, 0.99**0.8))
    (group,) = discriminator.optimiser.param_groups
    assert (group["lr"], group["betas"]) == (2.5e-3, (0.5, 0.99))
    rare = style_system(regularise={"mixing": 0.9, "path_length": 2.0, "path_length_every": 8})
    losses = []
    for each in (system, rare):
        torch.manual_seed(0)
        losses.append(each.path_length_loss(batch())[0].item())
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-4)


def test_the_path_length_loss_is_the_weighted_squared_distance_from_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    system = style_system(regularise={"path_length": 0.5, "path_length_every": 6})
    monkeypatch.setattr("trainer.systems.style.path_lengths", lambda *_: torch.tensor([1.0, 2.0, 3.0, 6.0]))
    loss, stats = system.path_length_loss(batch())  # a is the first mean, 3
    assert loss.item() == pytest.approx(0.5 * 6 * (4 + 1 + 0 + 9) / 4, rel=1e-5)
    assert stats["length"].item() == pytest.approx(3)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_path_lengths_are_taken_of_half_the_batch_from_latents_of_its_own(count: int) -> None:
    spec = GeneratorSpec("style", 8, 8, 1, 8, classes=("a", "b"), options=TINY)
    system = build_system(
        style_config(regularise={"mixing": 0.0, "path_length": 0.5, "path_length_every": 6}), spec, CPU
    )
    labels = torch.arange(count) % 2
    torch.manual_seed(3)
    loss, stats = system.path_length_loss(Batch(torch.zeros(count, 1, 8, 8), labels, 0))
    torch.manual_seed(3)
    half = max(count // 2, 1)
    w = system.generator.mapping(torch.randn(half, 8), labels[:half])
    styles = w[:, None].expand(-1, system.generator.style_layers, -1)
    lengths = path_lengths(system.generator.synthesis(styles, labels[:half]), styles)
    assert stats["length"].item() == pytest.approx(lengths.mean().item(), rel=1e-4)
    assert loss.item() == pytest.approx(0.5 * 6 * lengths.var(unbiased=False).item(), rel=1e-4, abs=1e-9)


def test_both_players_judge_images_of_mixed_styles_of_the_round_s_classes() -> None:
    spec = GeneratorSpec("style", 8, 8, 1, 8, classes=("a", "b"), options=TINY)
    system = build_system(style_config(regularise={"mixing": 0.5}, augment=()), spec, CPU)
    labels = torch.arange(64) % 2
    given: list[torch.Tensor] = []
    synthesis = system.generator.synthesis
    system.generator.synthesis = lambda styles, *more: given.append(styles) or synthesis(styles, *more)
    torch.manual_seed(3)
    system.discriminator_loss(Batch(torch.zeros(64, 1, 8, 8), labels, 0))
    torch.manual_seed(3)
    layers, mapping = system.generator.style_layers, system.generator.mapping
    z = torch.randn(64, 8)
    first = mapping(z, labels)[:, None].expand(-1, layers, -1)
    second = mapping(torch.randn(64, 8), labels)[:, None].expand(-1, layers, -1)
    from_layer = torch.randint(1, layers, (64,))
    mixed = torch.rand(64) < 0.5
    for row in range(64):
        late = from_layer[row] if mixed[row] else layers
        expected = torch.cat([first[row, :late], second[row, late:]])
        torch.testing.assert_close(given[0][row], expected)


def test_without_path_length_there_is_no_third_player_and_no_correction() -> None:
    system = style_system(regularise={"path_length": 0.0})
    system.begin(0)
    assert [player.name for player in system.players] == ["discriminator", "generator"]
    assert set(system.networks) == {"generator", "discriminator"}
    assert system.players[1].optimiser.param_groups[0]["lr"] == 2.5e-3


def test_path_length_steps_make_the_paths_even() -> None:
    system = style_system(regularise={"path_length": 2.0, "path_length_every": 1, "mixing": 0.0})
    system.begin(0)
    player = system.players[2]
    with torch.no_grad():
        for layer in (*system.generator.layers, *system.generator.images):
            layer.style.weight.mul_(4)  # uneven, far above the spread that y alone makes

    def unevenness() -> float:
        torch.manual_seed(1)
        w = system.generator.mapping(torch.randn(256, 8))
        lengths = path_lengths(system.generator.synthesis(w), w)
        return (lengths.std() / lengths.mean()).item()

    before = unevenness()
    for step in range(40):
        player.optimiser.zero_grad()
        player.loss(Batch(torch.zeros(64, 4, 16, 16), None, step))[0].backward()
        player.optimiser.step()
    assert unevenness() < 0.85 * before


def styles_of(system: Style, count: int) -> torch.Tensor:
    """The styles ``(n, layers, style_dim)`` that the fakes of one round are made of."""
    given: list[torch.Tensor] = []
    system.generator.synthesis = lambda styles, *_: given.append(styles) or torch.zeros(count, 4, 16, 16)
    system.discriminator_loss(Batch(torch.zeros(count, 4, 16, 16), None, 0))
    return given[0]


@pytest.mark.parametrize(("mixing", "low", "high"), [(0.0, 0, 0), (0.5, 400, 600), (1.0, 1000, 1000)])
def test_the_share_of_images_with_two_styles(mixing: float, low: int, high: int) -> None:
    torch.manual_seed(0)
    system = style_system(regularise={"mixing": mixing})
    styles = styles_of(system, 1000)
    layers = system.generator.style_layers
    assert styles.shape == (1000, layers, 8)
    assert low <= int((styles[:, 0] != styles[:, -1]).any(dim=1).sum()) <= high
    changes = (styles[:, 1:] != styles[:, :-1]).any(dim=2)  # (1000, layers - 1)
    assert int(changes.sum(dim=1).max()) == (mixing > 0)  # at most once
    assert (changes.sum(dim=0) > 0).all() == (mixing > 0)  # and anywhere


def test_mixing_starts_with_the_style_of_its_own_latent() -> None:
    system = style_system(regularise={"mixing": 1.0})
    torch.manual_seed(0)
    styles = styles_of(system, 50)
    torch.manual_seed(0)
    torch.testing.assert_close(styles[:, 0], system.generator.mapping(torch.randn(50, 8)))


def test_each_player_learns_from_the_labels() -> None:
    """The discriminator its embedding of classes, and both that move the generator the mapping's."""
    spec = GeneratorSpec("style", 16, 16, 4, 8, classes=("a", "b"), options=TINY)
    system = build_system(style_config(), spec, CPU)
    embeddings = {
        "discriminator": system.discriminator.classes.weight,
        "generator": system.generator.map.embedding.weight,
        "path_length": system.generator.map.embedding.weight,
    }
    for player in system.players:
        system.generator.zero_grad()
        player.loss(batch(labels=torch.arange(8) % 2))[0].backward()
        assert embeddings[player.name].grad.flatten(1).norm(dim=1).min() > 1e-8  # of either class


def test_regularisation_is_as_published_unless_it_is_set() -> None:
    # Karras et al. 2019, section 3.1, and 2020, section 3.2 and appendix B.
    assert Regularisation.of({}) == Regularisation(mixing=0.9, path_length=2.0, path_length_every=4)


def test_other_networks_have_no_styles() -> None:
    spec = GeneratorSpec("dcgan", 16, 16, 4, 8, options={"width": 4})
    with pytest.raises(ConfigError, match="family=style"):
        build_system(tiny_config(system="style"), spec, CPU)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("regularise.mixin=1", "regularise.mixin is unknown: choose from mixing"),
        ("regularise.mixing=1.5", "0 to 1"),
        ("regularise.mixing=some", "must be a number"),
        ("regularise.path_length=-1", "at least 0"),
        ("regularise.path_length_every=0", "1, 2, 3"),
        ("regularise.path_length_every=2.5", "1, 2, 3"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said(setting: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        resolve("stylegan-lite", [setting])


def test_other_systems_refuse_the_settings() -> None:
    with pytest.raises(ConfigError, match="style system"):
        resolve("dcgan", ["regularise.mixing=0.5"])


def test_continuing_is_exact(pack: Pack, tmp_path: Path) -> None:
    whole = style_config(conditional=True)
    assert train(plan(whole, pack), tmp_path / "whole") is Outcome.DONE
    for kimg in (0.104, 0.32):  # 13 rounds: between two path length steps
        train(plan(style_config(conditional=True, kimg=kimg), pack), tmp_path / "parts")
    ours, theirs = final_tensors(tmp_path / "parts"), final_tensors(tmp_path / "whole")
    assert_same(ours, theirs)
    assert ours["path_mean.total"] > 0
    assert ours["average.latent_mean"].abs().sum() > 0
    assert not any(name.startswith("path_length.") for name in ours)  # its optimiser is the generator's
    assert {"path_length/loss", "path_length/length", "discriminator/r1"} <= Run(tmp_path / "whole").read_log()[
        0
    ].keys()
