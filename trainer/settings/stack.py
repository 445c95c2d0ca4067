"""How a stack of generators is trained: ``TrainConfig.stack``, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.settings.fields import setting
from trainer.settings.numbers import check_numbers


@dataclass(frozen=True)
class Stack:
    """The phases, in thousands of images seen, and the weights of what each generator minimises.

    The encoder learns alone for ``encoder_kimg``; then each level is trained on the encoder's own features for
    ``apart_kimg``; then both together (Huang et al. 2017, sections 3.2 and 3.4). ``conditional`` weighs that features
    lead back to their class, ``features`` that an image leads back to its features (equation 4: the mean over features,
    where the paper sums), ``entropy`` that the noise can be read off again (equation 6).
    """

    encoder_kimg: float = setting(10.0, "how long the encoder learns alone", unit="kimg")
    apart_kimg: float = setting(20.0, "how long each level then learns on the encoder's features", unit="kimg")
    conditional: float = setting(1.0, "how much it counts that features lead back to their class")
    features: float = setting(10.0, "how much it counts that a picture leads back to its features")
    entropy: float = setting(1.0, "how much it counts that the noise can be read off again")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Stack":
        """The settings by name. Raises ConfigError for what does not fit."""
        check_numbers("stack", cls, settings)
        return cls(**settings)
