"""Every setting of a run: its default, its words, its unit, what it may be, and when it may change."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.latents import LAST_SEED
from core.networks import GENERATORS, TRANSLATORS
from trainer.objective.augmentation import AUGMENTATIONS
from trainer.objective.corruption import Corruption
from trainer.objective.losses import LOSSES
from trainer.optimisation.optimisers import OPTIMISERS
from trainer.settings.fields import (
    Change,
    among,
    at_least,
    less_than_1,
    more_than_0,
    one_of,
    required,
    rising,
    section,
    setting,
    share,
)
from trainer.settings.growth import Growth
from trainer.settings.heads import Heads
from trainer.settings.regularise import Regularisation
from trainer.settings.schedules import SCHEDULES
from trainer.settings.stack import Stack
from trainer.settings.translation import Cycling, Pairing

MOST_BATCH = 65_536
PRECISIONS = ("fp32", "bf16")
AUTO = "auto"  # as the only augmentation: on where the pack is small

_FAMILIES: Mapping[str, object] = ChainMap[str, Any](GENERATORS, TRANSLATORS)
_ON_SCHEDULE, _BY_HAND, _FREELY = Change.ON_SCHEDULE, Change.BY_HAND, Change.FREELY


def _augmentations(name: str, value: Any) -> None:
    """Raise ConfigError unless all are known; AUTO stands alone."""
    for each in value if value != (AUTO,) else ():
        one_of(name, each, AUGMENTATIONS)


@dataclass(frozen=True)
class Settings:
    """The settings themselves; ``TrainConfig`` is what is done with them.

    A default may never change: a run of long ago was trained by it where its settings lack the field.
    """

    # What plays.
    preset: str = required("the recipe that the other settings began with")
    family: str = setting("dcgan", "the kind of networks", check=among(_FAMILIES))
    system: str = setting("adversarial", "how the networks play against each other")
    generator: dict[str, Any] = setting({}, "the generator's own options, such as its width (more is finer and slower)")
    discriminator: dict[str, Any] = setting({}, "the discriminator's own options")
    latent_dim: int = setting(100, "how many random numbers a picture is made of", unit="numbers", check=at_least(1))
    conditional: bool = setting(False, "whether the pack's classes are learned, so that one may ask for them")
    balance: bool = setting(False, "whether every class is shown equally often, however many images it has")

    # What each is told.
    loss: str = setting("non-saturating", "how the discriminator's verdicts become a score", check=among(LOSSES))
    loss_options: dict[str, Any] = setting({}, "numbers of that loss")
    real_labels: tuple[float, float] = setting(
        (1.0, 1.0),
        "what real images count as, from and to: 0.9,0.9 makes the discriminator less sure of itself",
        unit="0 to 1",
        check=rising,
    )
    fake_labels: tuple[float, float] = setting(
        (0.0, 0.0), "what made images count as, from and to", unit="0 to 1", check=rising
    )
    r1_gamma: float = setting(
        0.0,
        "how flat the discriminator must be around real images; more is steadier and slower to learn",
        check=at_least(0),
        change=_ON_SCHEDULE,
    )
    r2_gamma: float = setting(
        0.0, "how flat the discriminator must be around made images", check=at_least(0), change=_ON_SCHEDULE
    )
    gradient_penalty: float = setting(
        0.0,
        "how firmly its slope is held at 1 between real and made images (WGAN-GP)",
        check=at_least(0),
        change=_BY_HAND,
    )
    drift: float = setting(0.0, "how firmly the critic's scores are held near 0", check=at_least(0), change=_BY_HAND)
    penalty_every: int = setting(
        1,
        "how rarely R1, R2 and the gradient penalty are taken; they then count as much more",
        unit="rounds",
        check=at_least(1),
    )
    clip: float = setting(0.0, "the largest weight that the critic may have, as in WGAN; 0 for any", check=at_least(0))
    orthogonal: float = setting(
        0.0, "how firmly the generator's weights are held at right angles (BigGAN)", check=at_least(0), change=_BY_HAND
    )
    critic_steps: int = setting(
        1, "rounds of the discriminator for one of the generator", unit="rounds", check=at_least(1)
    )
    optimiser: str = setting("adam", "how weights follow their gradients", check=among(OPTIMISERS))

    # What the discriminator sees.
    augment: tuple[str, ...] = setting(
        (AUTO,),
        "changes to images before the discriminator sees them, which keep it from knowing few images by heart",
        check=_augmentations,
    )
    augment_p: float = setting(
        1.0,
        "the share of images that each change touches; the most where it adapts",
        unit="share, 0 to 1",
        check=share,
        change=_ON_SCHEDULE,
    )
    augment_target: float = setting(
        0.0,
        "adapt that share until the discriminator is this sure of real images; 0 for a fixed share",
        unit="mean sign, 0 to 1",
        check=share,
    )

    # How they move.
    learning_rate_g: float = setting(
        2e-4,
        "how far the generator moves a round; less is steadier",
        unit="a round",
        check=more_than_0,
        change=_ON_SCHEDULE,
    )
    learning_rate_d: float = setting(
        2e-4, "how far the discriminator moves a round", unit="a round", check=more_than_0, change=_ON_SCHEDULE
    )
    beta1: float = setting(
        0.5, "how long the optimiser remembers a direction", unit="share a round", check=less_than_1, change=_BY_HAND
    )
    beta2: float = setting(
        0.999,
        "how long the optimiser remembers how large gradients were",
        unit="share a round",
        check=less_than_1,
        change=_ON_SCHEDULE,
    )
    ema_kimg: float = setting(
        10.0,
        "thousand images in which the average that is kept forgets half; more is smoother and later",
        unit="kimg",
        check=at_least(0),
    )
    ema_ramp: float = setting(
        0.05, "how much of its age that average may remember while it is young", unit="share, 0 to 1", check=at_least(0)
    )
    schedule: str = setting("cosine", "how they get there: cosine, or linear", check=among(SCHEDULES))
    schedule_from: float = setting(
        0.0, "thousand images before which the settings under final stay as they are", unit="kimg", check=at_least(0)
    )
    schedule_kimg: float = setting(
        0.0,
        "thousand images after which the settings under final are reached; 0 if none moves",
        unit="kimg",
        check=at_least(0),
    )
    final: dict[str, float] = setting({}, "settings that move on the way, and where they end")
    # {"25000": {"learning_rate_d": 1e-4}} since 25,000 images were seen; what is above is how it began.
    changed: dict[str, dict[str, float]] = setting({}, "settings that were changed by hand, by images seen")

    # What only some systems have.
    growth: dict[str, Any] = section(
        "of growing networks: how long each size stands and fades, and batches and rates by size",
        Growth.of,
        "progressive",
    )
    heads: dict[str, Any] = section(
        "of classes and codes that the discriminator names: how many there are and how much they count",
        Heads.of,
        "heads",
    )
    regularise: dict[str, Any] = section(
        "of style generators: mixed styles and path length", Regularisation.of, "style"
    )
    stack: dict[str, Any] = section(
        "of stacked networks: how long each part learns and what its terms count", Stack.of, "stacked"
    )
    pairing: dict[str, Any] = section(
        "of translators with pairs: how much the right answer and the discriminator count",
        Pairing.of,
        "paired",
        "autoencoder",
    )
    cycle: dict[str, Any] = section(
        "of translators without pairs: how much each error counts, and how many results are shown again",
        Cycling.of,
        "cycle",
    )
    corruption: dict[str, Any] = section(
        "of autoencoders: what is done to images that is to be undone", Corruption.of, "autoencoder"
    )

    # How long.
    batch: int = setting(64, "images a round", unit="images", check=at_least(1, most=MOST_BATCH))
    kimg: float = setting(
        200.0, "length of the run in thousand images seen", unit="kimg", check=more_than_0, change=_FREELY
    )
    seed: int = setting(0, "fixes every random draw; another makes another run", check=at_least(0, most=LAST_SEED))

    # How it is run, which a continued run may change.
    log_kimg: float = setting(
        1.0, "thousand images between two lines of the log", unit="kimg", check=more_than_0, change=_FREELY
    )
    preview_kimg: float = setting(
        10.0, "thousand images between two sheets of samples", unit="kimg", check=more_than_0, change=_FREELY
    )
    checkpoint_kimg: float = setting(
        25.0, "thousand images between two saved states", unit="kimg", check=more_than_0, change=_FREELY
    )
    previews: int = setting(64, "pictures on a sheet of samples", unit="pictures", check=at_least(1), change=_FREELY)
    metric_kimg: float = setting(
        0.0,
        "thousand images between two looks at KID, or L1 of pairs, the best of which is kept; 0 for none",
        unit="kimg",
        check=at_least(0),
        change=_FREELY,
    )
    metric_samples: int = setting(
        500,
        "pictures made for each look; of a translator at most those of the validation part",
        unit="pictures",
        check=at_least(16),
        change=_FREELY,
    )
    metric_reals: int = setting(
        0,
        "images of the pack that KID compares them with; 0 for all, of large packs 10,000",
        unit="images",
        check=at_least(0),
        change=_FREELY,
    )
    tensorboard: bool = setting(False, "whether TensorBoard's files are written, too", change=_FREELY)
    device: str = setting("auto", "where it is computed", change=_FREELY)
    precision: str = setting(
        "fp32",
        "of numbers inside the networks: fp32, or bf16 where the hardware is fast in it",
        check=among(PRECISIONS),
        change=_FREELY,
    )
    channels_last: bool = setting(
        True, "the order of numbers in memory; it changes speed, and last bits", change=_FREELY
    )
