"""Settings of one training system: names and numbers, refused in the words of a config."""

import math
from dataclasses import dataclass

import pytest

from core.errors import ConfigError
from trainer.settings.numbers import check_names, check_numbers


@dataclass
class Two:
    one: float = 0
    other: float = 0


@pytest.mark.parametrize("value", [True, False, "1", None, -0.5, -math.inf, math.inf, math.nan])
def test_what_is_no_number_of_at_least_0_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=rf"two\.other is {value}: it must be a number of at least 0"):
        check_numbers("two", Two, {"one": 1, "other": value})


def test_numbers_and_names_of_the_settings_pass_and_others_hear_which_there_are() -> None:
    check_numbers("two", Two, {"one": 0, "other": 1e300})
    check_names("two", Two, ["other", "one"])
    for check in (lambda: check_names("two", Two, ["one", "three"]), lambda: check_numbers("two", Two, {"three": 1})):
        with pytest.raises(ConfigError, match=r"two\.three is unknown: choose from one, other"):
            check()
