"""From what is asked of training to a plan: whose settings they are, what is left to do, and who is judged."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.conftest import tiny_config
from trainer import preparing
from trainer.data.pack import Pack
from trainer.planning import plan
from trainer.preparing import ChosenSettings, TrainingRequest, choose_settings, prepare
from trainer.training import train

LOOKS = {"metric_kimg": 0.016, "metric_samples": 16}


@pytest.fixture
def run(pack: Pack, tmp_path: Path) -> Path:
    """A run of 320 images that is over."""
    train(plan(tiny_config(), pack), tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of known speed, on which a run is judged unless somebody says otherwise."""
    monkeypatch.setattr(preparing, "seconds_left", lambda config, spec, device, seen: float(config.images - seen))
    judged = lambda planned, _: (replace(planned, config=replace(planned.config, **LOOKS)), "it is judged")  # noqa: E731
    monkeypatch.setattr(preparing, "by_default", judged)


def test_a_new_run_is_trained_by_the_preset_that_suits_it_and_says_why(pack: Pack, tmp_path: Path) -> None:
    chosen = choose_settings(TrainingRequest(pack.path, tmp_path / "new"))
    assert chosen.config.preset == "dcgan-cpu" and chosen.is_new and "16x16" in chosen.why
    named = choose_settings(TrainingRequest(pack.path, tmp_path / "new", "wgan", changes={"kimg": 7.0}))
    assert (named.config.preset, named.config.kimg, named.why, named.is_new) == ("wgan", 7.0, "", True)


def test_a_run_goes_on_by_its_own_settings_and_only_the_rest_takes_time(pack: Pack, run: Path) -> None:
    request = TrainingRequest(pack.path, run, changes={"kimg": 8.32})
    chosen = choose_settings(request)
    assert (chosen.config.family, chosen.config.latent_dim, chosen.is_new, chosen.why) == ("dcgan", 8, False, "")
    found = prepare(request, chosen)
    assert (found.images_seen, found.seconds, found.judging) == (320, 8000.0, "")
    for afresh in (prepare(replace(request, resume=False), chosen), prepare(request, chosen, dry_run=True)):
        assert (afresh.images_seen, afresh.seconds) == (0, 8320.0)


def test_what_is_over_at_once_is_not_measured(pack: Pack, run: Path) -> None:
    request = TrainingRequest(pack.path, run, changes={"kimg": 0.33})
    assert prepare(request, choose_settings(request)).seconds == 0


@pytest.mark.parametrize(
    ("spoken", "judged"),
    [({}, True), ({"changes": {"metric_kimg": 0.0}}, False), ({"settings": ("metric_samples=16",)}, False)],
)
def test_a_new_run_is_judged_unless_somebody_spoke_of_it(pack: Pack, spoken: dict, judged: bool) -> None:
    request = TrainingRequest(pack.path, None, "dcgan-cpu", **spoken)
    found = prepare(request, choose_settings(request), dry_run=True)
    assert found.judging == ("it is judged" if judged else "")
    assert (found.plan.config.metric_kimg == 0.016) is judged


def test_settings_are_settled_by_the_pack_where_there_is_one(pack: Pack) -> None:
    config = tiny_config()
    assert ChosenSettings(config, None, True, "").settled() == config
    assert ChosenSettings(config, pack, True, "").settled() == plan(config, pack).config
