"""What the players minimise: one equation, one function, one citation. All take logits ``(n,)`` and give a scalar."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from core.errors import ConfigError


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


def least_squares_discriminator(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """½ E (D(x) - b)² + ½ E (D(G(z)) - a)² (Mao et al. 2017, equation 2): ``real_target`` is b, ``fake_target`` a."""
    return ((real - real_target).square().mean() + (fake - fake_target).square().mean()) / 2


def least_squares_generator(fake: Tensor, target: float) -> Tensor:
    """½ E (D(G(z)) - c)² (Mao et al. 2017, equation 2): ``target`` is c."""
    return (fake - target).square().mean() / 2


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Lim and Ye 2017, as in Miyato et al. 2018, equation 16)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def code_distance(seen: Tensor, codes: Tensor) -> Tensor:
    """½ E (ĉ - c)², minus the logarithm of a Gaussian of variance 1 but for a constant (Chen et al. 2016, section 5).

    Both are ``(n, K)``; the mean is over images and codes.
    """
    return (seen - codes).square().mean() / 2


TOLD = "told_apart"  # under this name in the log
# Of pairs told apart: a discriminator that has won. Where KID fell it was 0.4 to 0.9, where it rose 0.97 and more.
WON = 0.97


def discriminators(line: Mapping[str, Any], figure: str = TOLD) -> list[str]:
    """The names of the discriminators of images that a line of the log has a ``figure`` of: a cycle has two."""
    parts = (name.partition("/") for name in line if name.startswith("discriminator"))
    return [name for name, _, end in parts if end == figure]


def told(real: Tensor, fake: Tensor) -> Tensor:
    """The share of pairs of a real and a fake image in which the real one has the higher logit, equal ones half.

    That is the area under the ROC curve (Hanley and McNeil 1982): 1/2 of a discriminator that cannot tell, 1 of one
    that always can. It needs no threshold, so it means the same with every loss.
    """
    apart = real.detach()[:, None] - fake.detach()  # (n, m)
    return (apart.sign().mean() + 1) / 2


@dataclass(frozen=True)
class Loss:
    """The two sides of one game.

    ``discriminator(real, fake, real_target, fake_target)``; ``generator(fake, real)``, where ``real`` is None unless
    ``pairs``: showing the real images to the discriminator once more costs time that most losses can do without.
    """

    discriminator: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    pairs: bool = False
    contest: bool = True  # whether telling all apart is winning; a critic that measures a distance is meant to
    anchored: bool = True  # whether a logit of 0 means undecided; if not, only differences of logits mean anything


def non_saturating() -> Loss:
    """Goodfellow et al. 2014, with the generator's loss of section 3."""
    return Loss(logistic_discriminator, lambda fake, _: non_saturating_generator(fake))


def relativistic() -> Loss:
    """Huang et al. 2024: pairs of a real and a fake image."""

    def paired(fake: Tensor, real: Tensor | None) -> Tensor:
        assert real is not None
        return relativistic_generator(fake, real)

    return Loss(lambda real, fake, *_: relativistic_discriminator(real, fake), paired, pairs=True, anchored=False)


def wasserstein() -> Loss:
    """Arjovsky et al. 2017."""
    critic, generator = wasserstein_discriminator, wasserstein_generator
    return Loss(
        lambda real, fake, *_: critic(real, fake), lambda fake, _: generator(fake), contest=False, anchored=False
    )


def hinge() -> Loss:
    """Lim and Ye 2017, "Geometric GAN"; the generator's side is the Wasserstein one."""
    return Loss(lambda real, fake, *_: hinge_discriminator(real, fake), lambda fake, _: wasserstein_generator(fake))


def least_squares(a: float = 0.0, b: float = 1.0, c: float = 1.0, sigmoid: bool = False) -> Loss:
    """Mao et al. 2017: ``a`` is what fakes are to score, ``b`` real images, ``c`` what the generator wants of its own.

    With a = -1, b = 1, c = 0 it minimises Pearson's χ² (section 3.2.2). ``sigmoid`` takes the squares of
    probabilities instead of scores, as early Keras programs do; it saturates where scores do not.
    """

    def seen(logits: Tensor) -> Tensor:
        return logits.sigmoid() if sigmoid else logits

    def discriminator(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
        targets = a + (b - a) * real_target, a + (b - a) * fake_target  # 1 and 0, where labels are not smoothed
        return least_squares_discriminator(seen(real), seen(fake), *targets)

    return Loss(discriminator, lambda fake, _: least_squares_generator(seen(fake), target=c), anchored=sigmoid)


LOSSES: dict[str, Callable[..., Loss]] = {
    "hinge": hinge,
    "least-squares": least_squares,
    "non-saturating": non_saturating,
    "relativistic": relativistic,
    "wasserstein": wasserstein,
}


def loss_of(name: str, options: Mapping[str, Any]) -> Loss:
    """The loss called ``name``, with its own ``options``. Raises ConfigError for what it does not take."""
    known = {each.name: each.default for each in inspect.signature(LOSSES[name]).parameters.values()}
    for option, value in options.items():
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"the loss {name} has no option '{option}': {has}")
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6
        if not (isinstance(value, bool) if isinstance(known[option], bool) else number):
            raise ConfigError(f"loss_options.{option} is {value!r}: it must look like {known[option]}")
    return LOSSES[name](**options)
