"""What a discriminator says beside real or fake: ``TrainConfig.heads``, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from core.spec import categories
from trainer.settings.fields import setting
from trainer.settings.numbers import check_numbers

MOST_CATEGORIES, MOST_CODES = 1000, 64


@dataclass(frozen=True)
class Heads:
    """Which heads there are, and how much each weighs.

    ``label`` weighs the class of every image, real and fake, among the pack's classes (Odena et al. 2017, equation 3).
    ``fakes`` is how much of that the discriminator learns from fakes, beside real images: with 1, as in the paper, both
    players are content with any sign for a class that they agree on; with less, real images say what it looks like.
    ``categories`` and ``codes`` are InfoGAN's: how many values its categorical code has and how many continuous codes
    there are; ``category`` and ``code`` weigh what can be read of them in an image (Chen et al. 2016, equation 6).
    """

    label: float = setting(0.0, "how much it counts that the discriminator names the class")
    fakes: float = setting(1.0, "how much of that it learns from made images")
    categories: int = setting(0, "how many kinds InfoGAN is to find by itself")
    codes: int = setting(0, "how many continuous knobs it is to find")
    category: float = setting(1.0, "how much it counts that the kind can be read off a picture")
    code: float = setting(0.5, "how much it counts that the knobs can be read off it")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Heads":
        """The settings by name. Raises ConfigError for what does not fit."""
        check_numbers("heads", cls, settings)
        chosen = cls(**settings)
        for name, most in (("categories", MOST_CATEGORIES), ("codes", MOST_CODES)):
            value = getattr(chosen, name)
            if value != int(value) or value > most:
                raise ConfigError(f"heads.{name} is {value}: it must be a whole number of at most {most}")
        return chosen

    @property
    def names(self) -> tuple[str, ...]:
        """The values of the categorical code, which have no names but their numbers."""
        return categories(int(self.categories))
