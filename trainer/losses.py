"""What the players minimise: one equation, one function, one citation. All take logits ``(n,)`` and give a scalar."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


def logistic_discriminator(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """Binary cross-entropy of telling real from fake (Goodfellow et al. 2014, equation 1, as a loss).

    With targets 1 and 0 it is mean softplus(-real) + mean softplus(fake). Targets ``(n,)`` in between smooth the
    labels (Salimans et al. 2016, section 3.4).
    """
    return F.binary_cross_entropy_with_logits(real, real_target) + F.binary_cross_entropy_with_logits(fake, fake_target)


def non_saturating_generator(fake: Tensor) -> Tensor:
    """Mean softplus(-fake) = -log D(G(z)), which still learns when D is sure (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean softplus(-(real - fake)): each real is to beat its fake (Huang et al. 2024, equation 2)."""
    return F.softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Mean softplus(-(fake - real)): each fake is to beat its real (Huang et al. 2024, equation 2)."""
    return F.softplus(real - fake).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean D(fake) - mean D(real): minus the critic's estimate of the distance (Gulrajani et al. 2017, equation 3)."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """Minus mean D(fake) (Arjovsky et al. 2017, theorem 3)."""
    return -fake.mean()


@dataclass(frozen=True)
class Loss:
    """The two sides of one game.

    ``discriminator(real, fake, real_target, fake_target)``; ``generator(fake, real)``, where ``real`` is None unless
    ``pairs``: showing the real images to the discriminator once more costs time that most losses can do without.
    """

    discriminator: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    pairs: bool = False
    anchored: bool = True  # whether a logit of 0 means undecided; if not, only differences of logits mean anything


def _paired(fake: Tensor, real: Tensor | None) -> Tensor:
    assert real is not None
    return relativistic_generator(fake, real)


LOSSES: dict[str, Loss] = {
    "non-saturating": Loss(logistic_discriminator, lambda fake, _: non_saturating_generator(fake)),
    "relativistic": Loss(lambda real, fake, *_: relativistic_discriminator(real, fake), _paired, True, False),
    "wasserstein": Loss(
        lambda real, fake, *_: wasserstein_discriminator(real, fake),
        lambda fake, _: wasserstein_generator(fake),
        anchored=False,
    ),
}
