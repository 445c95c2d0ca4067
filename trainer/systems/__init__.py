"""The ways to play, by name. A new system is a file here and a line in the dict."""

from collections.abc import Callable

import torch

from core.errors import ConfigError
from core.networks import TRANSLATORS
from core.spec import GeneratorSpec
from trainer.settings.config import TrainConfig
from trainer.systems.adversarial import Adversarial
from trainer.systems.autoencoder import Autoencoder
from trainer.systems.cycle import Cycle
from trainer.systems.heads import WithHeads
from trainer.systems.paired import Paired
from trainer.systems.players import System
from trainer.systems.progressive import Progressive
from trainer.systems.stacked import Stacked
from trainer.systems.style import Style

SYSTEMS: dict[str, Callable[[TrainConfig, GeneratorSpec, torch.device], System]] = {
    "adversarial": Adversarial,
    "autoencoder": Autoencoder,
    "cycle": Cycle,
    "heads": WithHeads,
    "paired": Paired,
    "progressive": Progressive,
    "stacked": Stacked,
    "style": Style,
}


TRANSLATING = frozenset({"autoencoder", "cycle", "paired"})  # those that make images of images


def build_system(config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> System:
    """The system that ``config`` names, its networks initialised from ``config.seed``."""
    if config.system not in SYSTEMS:
        raise ConfigError(f"there is no training system '{config.system}': choose from {', '.join(SYSTEMS)}")
    if config.family in TRANSLATORS and config.system not in TRANSLATING:
        raise ConfigError(
            f"networks of family {config.family} make images of images, and the {config.system} system makes them of "
            f"latents: use a preset such as pix2pix-cpu, or --set system=paired"
        )
    torch.manual_seed(config.seed)
    # A run's settings are settled by its pack. Those of a system that is built without one are a small pack's.
    return SYSTEMS[config.system](config.settled(0), spec, device)
