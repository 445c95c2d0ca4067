"""Which regularisers are due when, how much each counts, and at which images they take the slope."""

import pytest
import torch

from trainer.objective.regularisers import REGULARISERS, Shown, due, regularised, watched
from trainer.settings.config import TrainConfig

ALL = {"r1_gamma": 0.5, "r2_gamma": 0.3, "gradient_penalty": 7.0, "drift": 0.11}


def config_of(**changes: object) -> TrainConfig:
    return TrainConfig("x", **{"penalty_every": 3, **changes})


def test_lazy_ones_are_due_every_so_many_rounds_and_drift_in_all() -> None:
    found = [[each.name for each in due(config_of(**ALL), step)] for step in range(4)]
    assert found == [["r1", "r2", "penalty", "drift"], ["drift"], ["drift"], ["r1", "r2", "penalty", "drift"]]


@pytest.mark.parametrize(("setting", "name"), zip(ALL, ("r1", "r2", "penalty", "drift"), strict=True))
def test_each_is_there_by_its_own_weight_alone(setting: str, name: str) -> None:
    assert [each.name for each in due(config_of(**{setting: 0.1}), 0)] == [name]
    assert due(config_of(), 0) == []


def test_what_each_counts() -> None:
    factors = {each.name: each.factor(config_of(**ALL)) for each in REGULARISERS}
    assert factors == pytest.approx({"r1": 0.5 / 2 * 3, "r2": 0.3 / 2 * 3, "penalty": 7 * 3, "drift": 0.11})


@pytest.mark.parametrize(
    ("setting", "slopes"),
    [
        ("r1_gamma", (True, False)),
        ("r2_gamma", (False, True)),
        ("gradient_penalty", (False, False)),
        ("drift", (False, False)),
    ],
)
def test_images_require_gradients_only_where_the_slope_is_taken(setting: str, slopes: tuple[bool, bool]) -> None:
    made = torch.ones(2, 1, 2, 2, requires_grad=True) * 2
    real, fake = watched(due(config_of(**{setting: 1.0}), 0), torch.zeros(2, 1, 2, 2), made)
    assert (real.requires_grad, fake.requires_grad) == slopes
    assert fake.is_leaf  # cut off from what made it


def test_all_terms_of_a_critic_of_one_slope() -> None:
    """D(x) = 2 Σx has the squared slope 4 a pixel everywhere, here of four pixels."""
    settings = config_of(**ALL)
    chosen = due(settings, 0)
    real, fake = watched(chosen, torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2))

    def score(images: torch.Tensor) -> torch.Tensor:
        return 2 * images.flatten(1).sum(dim=1)

    loss, terms = regularised(torch.tensor(1.0), chosen, Shown(real, fake, score(real), score(fake), score), settings)
    found = {name: value.item() for name, value in terms.items()}
    assert found == pytest.approx({"r1": 16, "r2": 16, "penalty": 9, "drift": 64})
    assert loss.item() == pytest.approx(1 + 0.75 * 16 + 0.45 * 16 + 21 * 9 + 0.11 * 64)
