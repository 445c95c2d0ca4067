"""How a progressive run grows (Karras et al. 2018, section 2): a pure function of the images seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from core.networks.progressive import LEVEL
from trainer.settings.fields import setting
from trainer.settings.numbers import check_names


@dataclass(frozen=True)
class Growth:
    """The numbers of the schedule, each by level from the smallest; the last holds for all larger levels.

    A level is trained for ``stable_kimg`` thousand images before the next one fades in over that next one's
    ``fade_kimg``; the largest is trained to the end of the run. ``batch`` and ``rate`` multiply the config's batch
    and learning rates; while a level fades in, its own hold.
    """

    stable_kimg: tuple[float, ...] = setting(
        (600.0,), "how long each size is trained before the next fades in, from the smallest size on", unit="kimg"
    )
    fade_kimg: tuple[float, ...] = setting((600.0,), "how long each size takes to fade in", unit="kimg")
    batch: tuple[float, ...] = setting((1.0,), "what the batch is multiplied by, at each size", unit="times")
    rate: tuple[float, ...] = setting((1.0,), "what the learning rates are multiplied by, at each size", unit="times")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Growth":
        """The schedule in a config's ``growth``: numbers or lists of numbers. Raises ConfigError."""
        check_names("growth", cls, settings)
        return cls(**{name: _numbers(name, value) for name, value in settings.items()})

    def grown(self, images_seen: int, doublings: int) -> int:
        """How far a network of ``doublings`` has grown after ``images_seen`` images, in ``LEVEL``-ths of a level."""
        left = images_seen
        for level in range(doublings):
            stable, fade = _images(_at(self.stable_kimg, level)), _images(_at(self.fade_kimg, level + 1))
            if left < stable:
                return level * LEVEL
            if left < stable + fade:
                return level * LEVEL + (left - stable) * LEVEL // fade
            left -= stable + fade
        return doublings * LEVEL

    def length(self, doublings: int) -> float:
        """The thousand images after which a network of ``doublings`` has grown."""
        return sum(_at(self.stable_kimg, level) + _at(self.fade_kimg, level + 1) for level in range(doublings))

    def factors(self, grown: int) -> tuple[float, float]:
        """What to multiply the batch and the learning rates by at that growth."""
        level = -(-grown // LEVEL)  # the level that fades in, or the finished one
        return _at(self.batch, level), _at(self.rate, level)


def _at(values: tuple[float, ...], level: int) -> float:
    return values[min(level, len(values) - 1)]


def _images(kimg: float) -> int:
    return round(kimg * 1000)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    """One number or several as a tuple, each at least 0 (kimg) or more than 0 (factors)."""
    values = value if isinstance(value, (list, tuple)) else [value]
    lengths = name.endswith("_kimg")
    for number in values:
        fits = isinstance(number, (int, float)) and not isinstance(number, bool) and 0 <= number < float("inf")
        if not fits or not (number or lengths):
            least = "at least 0" if lengths else "more than 0"
            raise ConfigError(f"growth.{name} holds {number!r}: it needs numbers of {least}, one a level: 8,8,4")
    if not values:
        raise ConfigError(f"growth.{name} is empty: give a number for the smallest level, such as 4")
    return tuple(values)
