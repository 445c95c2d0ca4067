"""What keeps a discriminator smooth: a list that every loss of one walks, an equation each.

A regulariser adds ``weight(settings)`` times its ``term`` to the loss. Lazy ones (Karras et al. 2020, section 3.1) are
taken in every ``penalty_every``-th round only, and then count as many times as much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from trainer.objective.penalties import drift, gradient_penalty, interpolates, squared_gradient
from trainer.settings.config import TrainConfig


class Shown(NamedTuple):
    """What a discriminator was shown in one round and what it made of it.

    Images are ``(n, c, h, w)``, logits ``(n,)``, of patches their mean; ``score`` gives the logits of other images
    under the conditions of the real ones.
    """

    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    score: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Regulariser:
    """One term of a discriminator's loss, logged as ``name``. A weight of 0 leaves it out.

    ``slope_of_real`` and ``slope_of_fake`` say at which of the images shown it takes the gradient.
    """

    name: str
    weight: Callable[[TrainConfig], float]
    term: Callable[[Shown], Tensor]
    lazy: bool = True
    slope_of_real: bool = False
    slope_of_fake: bool = False

    def factor(self, settings: TrainConfig) -> float:
        """What the term is multiplied by where it is due."""
        return self.weight(settings) * (settings.penalty_every if self.lazy else 1)


def gradient_penalty_between(shown: Shown) -> Tensor:
    """The gradient penalty at random images on the lines between the real and the fake ones."""
    between = interpolates(shown.real, shown.fake)
    return gradient_penalty(shown.score(between), between)


REGULARISERS = (
    # R1: γ/2 E ‖∇ₓ D(x)‖² at real images (Mescheder et al. 2018, equation 9).
    Regulariser(
        "r1",
        weight=lambda settings: settings.r1_gamma / 2,
        term=lambda shown: squared_gradient(shown.real_logits, shown.real),
        slope_of_real=True,
    ),
    # R2: γ/2 E ‖∇ₓ D(x)‖² at generated images (Mescheder et al. 2018, equation 10).
    Regulariser(
        "r2",
        weight=lambda settings: settings.r2_gamma / 2,
        term=lambda shown: squared_gradient(shown.fake_logits, shown.fake),
        slope_of_fake=True,
    ),
    # Gradient penalty: λ E (‖∇ₓ D(x̂)‖₂ - 1)² at x̂ between a real and a generated image (Gulrajani et al. 2017,
    # equation 3).
    Regulariser(
        "penalty",
        weight=lambda settings: settings.gradient_penalty,
        term=gradient_penalty_between,
    ),
    # Drift: ε E D(x)² at real images (Karras et al. 2018, appendix A.1).
    Regulariser(
        "drift",
        weight=lambda settings: settings.drift,
        term=lambda shown: drift(shown.real_logits),
        lazy=False,
    ),
)


def due(settings: TrainConfig, step: int) -> list[Regulariser]:
    """The regularisers of the round ``step`` by the settings as they stand then, in the order of the list."""
    lazy_too = step % settings.penalty_every == 0
    return [each for each in REGULARISERS if each.weight(settings) > 0 and (lazy_too or not each.lazy)]


def watched(regularisers: Sequence[Regulariser], real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Real and generated images ``(n, c, h, w)`` as the discriminator is to be shown them.

    They are cut off from what made them, and require gradients where a regulariser takes the slope.
    """
    return (
        real.detach().requires_grad_(any(each.slope_of_real for each in regularisers)),
        fake.detach().requires_grad_(any(each.slope_of_fake for each in regularisers)),
    )


def regularised(
    loss: Tensor, regularisers: Sequence[Regulariser], shown: Shown, settings: TrainConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """``loss`` with what each of ``regularisers`` adds to it, and each term by its name, for the log."""
    terms: dict[str, Tensor] = {}
    for each in regularisers:
        terms[each.name] = each.term(shown)
        loss = loss + each.factor(settings) * terms[each.name]
    return loss, terms
