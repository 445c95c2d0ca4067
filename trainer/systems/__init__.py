"""The ways to play, by name. A new system is a file here and a line in the dict."""

import torch

from core.errors import ConfigError
from core.networks import TRANSLATORS
from core.spec import GeneratorSpec
from trainer.settings.config import TrainConfig
from trainer.systems.adversarial import Adversarial
from trainer.systems.autoencoder import Autoencoder
from trainer.systems.combined import ProgressiveWithHeads, StyleWithHeads
from trainer.systems.cycle import Cycle
from trainer.systems.heads import WithHeads
from trainer.systems.paired import Paired
from trainer.systems.players import System
from trainer.systems.progressive import Progressive
from trainer.systems.stacked import Stacked
from trainer.systems.style import Style

SYSTEMS: dict[str, type[System]] = {
    "adversarial": Adversarial,
    "autoencoder": Autoencoder,
    "cycle": Cycle,
    "heads": WithHeads,
    "paired": Paired,
    "progressive": Progressive,
    "progressive+heads": ProgressiveWithHeads,
    "stacked": Stacked,
    "style": Style,
    "style+heads": StyleWithHeads,
}


TRANSLATING = frozenset({"autoencoder", "cycle", "paired"})  # those that make images of images


def system_named(name: str) -> type[System]:
    """The system of that ``name``, or of several joined by "+" in any order. Raises ConfigError if there is none."""
    parts = name.split("+")
    for known, kind in SYSTEMS.items():
        if sorted(known.split("+")) == sorted(parts):
            return kind
    if unknown := [part for part in parts if part not in SYSTEMS]:
        raise ConfigError(f"there is no training system '{unknown[0]}': choose from {', '.join(SYSTEMS)}")
    raise ConfigError(f"the systems {' and '.join(parts)} cannot be combined: choose from {', '.join(SYSTEMS)}")


def check_system(config: TrainConfig, spec: GeneratorSpec) -> None:
    """Raise ConfigError, which says what to do, unless there is such a system and it can play by ``config``."""
    kind = system_named(config.system)
    if config.family in TRANSLATORS and config.system not in TRANSLATING:
        raise ConfigError(
            f"networks of family {config.family} make images of images, and the {config.system} system makes them of "
            f"latents: use a preset such as pix2pix-cpu, or --set system=paired"
        )
    kind.check(config, spec)


def build_system(config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> System:
    """The system that ``config`` names, its networks initialised from ``config.seed``. Raises ConfigError."""
    # A run's settings are settled by its pack. Those of a system that is built without one are a small pack's.
    config = config.settled(0)
    check_system(config, spec)
    torch.manual_seed(config.seed)
    return system_named(config.system)(config, spec, device)
