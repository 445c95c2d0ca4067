"""How the style system regularises its generator: ``TrainConfig.regularise``, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from trainer.settings.numbers import check_numbers


@dataclass(frozen=True)
class Regularisation:
    """The share of images with two styles, and the weight of path length regularisation and how often it is taken.

    ``path_length`` 0 leaves it out; ``path_length_every`` is in rounds.
    """

    mixing: float = 0.9
    path_length: float = 2.0
    path_length_every: int = 4

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Regularisation":
        """The settings by name, the rest as published. Raises ConfigError for what does not fit."""
        check_numbers("regularise", cls, settings)
        chosen = cls(**settings)
        if chosen.mixing > 1:
            raise ConfigError(f"regularise.mixing is {chosen.mixing}: it is a share of the images, 0 to 1")
        if chosen.path_length_every < 1 or chosen.path_length_every != int(chosen.path_length_every):
            raise ConfigError(
                f"regularise.path_length_every is {chosen.path_length_every}: it must be 1, 2, 3 … rounds"
            )
        return chosen
