"""Settings that move."""

import pytest

from core.errors import ConfigError
from tests.trainer.conftest import tiny_config
from trainer.settings.config import SCHEDULED
from trainer.settings.schedules import cosine


def test_the_cosine_goes_from_start_through_the_middle_to_the_end_and_stays() -> None:
    assert [cosine(4.0, 2.0, done) for done in (-1, 0, 0.5, 1, 7)] == pytest.approx([4, 4, 3, 2, 2])
    assert cosine(0.0, 1.0, 0.25) == pytest.approx(0.1464466, abs=1e-6)


def test_a_config_moves_what_is_in_final_and_nothing_else() -> None:
    config = tiny_config(schedule_kimg=1.0, final={"r1_gamma": 0.2, "beta2": 0.99}, r1_gamma=2.0, beta2=0.9)
    assert config.at(0).r1_gamma == pytest.approx(2.0)
    assert config.at(500).r1_gamma == pytest.approx(1.1)
    assert config.at(10**6).beta2 == pytest.approx(0.99)
    assert config.at(500).learning_rate_g == config.learning_rate_g
    assert tiny_config().at(500) == tiny_config()


def test_every_setting_that_may_move_does_so_by_the_share_of_the_schedule_that_is_done() -> None:
    start = dict.fromkeys(SCHEDULED, 0.5)
    config = tiny_config(schedule_kimg=2.0, final=dict.fromkeys(SCHEDULED, 0.1), **start)
    for images, share in ((0, 0.0), (500, 0.1464466), (1000, 0.5), (2000, 1.0), (9000, 1.0)):
        now = config.at(images)
        assert {name: getattr(now, name) for name in SCHEDULED} == pytest.approx(
            dict.fromkeys(SCHEDULED, 0.5 - 0.4 * share), abs=1e-6
        )
    still = tiny_config(schedule_kimg=0.0, final={"r1_gamma": 1.0})
    assert still.at(10**6) == still


def test_what_cannot_move_is_refused() -> None:
    with pytest.raises(ConfigError, match="final 'batch' is unknown"):
        tiny_config(final={"batch": 3.0})
