"""How the style system regularises its generator: ``TrainConfig.regularise``, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from trainer.settings.fields import setting
from trainer.settings.numbers import check_numbers


@dataclass(frozen=True)
class Regularisation:
    """The share of images with two styles, and the weight of path length regularisation and how often it is taken.

    ``path_length`` 0 leaves it out; ``path_length_every`` is in rounds.
    """

    mixing: float = setting(0.9, "the share of pictures that are made of two styles", unit="share, 0 to 1")
    path_length: float = setting(2.0, "how evenly pictures are to change with their style; 0 for not at all")
    path_length_every: int = setting(4, "how rarely that is looked at", unit="rounds")

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
