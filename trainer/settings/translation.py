"""What a translator minimises: ``TrainConfig.pairing`` and ``TrainConfig.cycle``, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from trainer.settings.fields import setting
from trainer.settings.numbers import check_numbers

MOST_POOLED = 10_000


@dataclass(frozen=True)
class Pairing:
    """How much each thing weighs where the right answer is known (Isola et al. 2017, equation 4).

    ``l1`` weighs the distance to the target, λ there, and ``adversarial`` what the discriminator makes of the result;
    without that there is no discriminator, and the translator is a plain autoencoder.
    """

    l1: float = setting(100.0, "how much the distance to the right answer counts")
    adversarial: float = setting(1.0, "how much the discriminator's verdict counts; 0 for no discriminator")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Pairing":
        """The settings by name, the rest as published. Raises ConfigError for what does not fit."""
        check_numbers("pairing", cls, settings)
        chosen = cls(**settings)
        if not (chosen.l1 or chosen.adversarial):
            raise ConfigError("pairing.l1 and pairing.adversarial are both 0: nothing would be learned")
        return chosen


@dataclass(frozen=True)
class Cycling:
    """How much each thing weighs where nobody knows the right answer (Zhu et al. 2017, section 3 and 5.2).

    ``cycle`` weighs the way there and back, λ there; ``identity`` what each generator changes of pictures that are
    what it makes already, as a share of ``cycle``; ``adversarial`` what the discriminators make of the results, 2 for
    the squared distances of the paper, for our least squares halve them. ``pool`` is how many earlier results each
    discriminator may be shown again (Shrivastava et al. 2017, section 2.3).
    """

    cycle: float = setting(10.0, "how much it counts that the way there and back leads to where it began")
    identity: float = setting(
        0.5, "how much it counts, as a share of that, that pictures of the right kind already stay as they are"
    )
    adversarial: float = setting(2.0, "how much the discriminators' verdicts count")
    pool: int = setting(50, "how many earlier results the discriminators may be shown again")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Cycling":
        """The settings by name, the rest as published. Raises ConfigError for what does not fit."""
        check_numbers("cycle", cls, settings)
        chosen = cls(**settings)
        if chosen.pool != int(chosen.pool) or chosen.pool > MOST_POOLED:
            raise ConfigError(f"cycle.pool is {chosen.pool}: it must be a whole number of at most {MOST_POOLED}")
        return chosen
