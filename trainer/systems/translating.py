"""What systems that make images of images share: their networks, their augmentation, and one side of their game."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.errors import ConfigError
from core.networks import TRANSLATORS, build_discriminator, build_translator
from core.networks.base import Maker, Translator
from core.networks.patch import PatchDiscriminator
from core.spec import GeneratorSpec
from trainer.objective.augmentation import ALIKE
from trainer.objective.losses import TOLD, loss_of, told
from trainer.objective.regularisers import Shown, due, regularised, watched
from trainer.optimisation.optimisers import set_rates
from trainer.settings.config import TrainConfig
from trainer.systems.adversarial import placed
from trainer.systems.players import Batch, Player, Stats

# What the other systems know and these do not, and what it must stay at.
_UNKNOWN = {
    "r2_gamma": 0.0,
    "gradient_penalty": 0.0,
    "drift": 0.0,
    "clip": 0.0,
    "orthogonal": 0.0,
    "augment_target": 0.0,
    "critic_steps": 1,
    "real_labels": (1.0, 1.0),
    "fake_labels": (0.0, 0.0),
}


class Translating:
    """Settings that move, networks by name, and the losses of patches. A system adds its networks and players."""

    inactive: frozenset[str] = frozenset()
    generators: dict[str, Maker]
    players: list[Player]

    @classmethod
    def check(cls, config: TrainConfig, _spec: GeneratorSpec) -> None:
        """Raise ConfigError for networks of latents, and for what systems that translate do not know."""
        if config.family not in TRANSLATORS:
            raise ConfigError(
                f"networks of family {config.family} make images of latents, and the {config.system} system makes them "
                f"of images: --set family=unet"
            )

        # Settings of other systems, and augmentations that change only one side
        for name, usual in _UNKNOWN.items():
            if getattr(config, name) != usual:
                raise ConfigError(f"the {config.system} system has no {name}: leave it at {usual}")
        if strange := [name for name in config.augment if name not in ALIKE]:
            raise ConfigError(
                f"augmentation by {strange[0]} would be learned as part of the translation: "
                f"--set augment={','.join(ALIKE)}, or one of them"
            )

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.spec = spec
        self.config = self.now = config
        self.device = device
        self.loss = loss_of(config.loss, config.loss_options)
        self.networks: dict[str, nn.Module] = {}

    def begin(self, images_seen: int) -> int:
        """Move every setting that has a schedule; the batch stays as it is."""
        now = self.now = self.config.at(images_seen)
        for player in self.players:
            rate = now.learning_rate_d if player.name.startswith("discriminator") else now.learning_rate_g
            set_rates(player.optimiser, rate, now.beta1, now.beta2)
        return now.batch

    def finished(self, average: Maker, images_seen: int) -> Mapping[str, Maker]:
        """No smaller generators: the whole one is trained from the first round on."""
        return {}

    def translator(self, name: str, spec: GeneratorSpec) -> Translator:
        """A fresh one of ``spec``, kept as ``name``."""
        made = self.networks[name] = placed(build_translator(spec), self.config, self.device)
        return made

    def patch_discriminator(self, name: str, spec: GeneratorSpec) -> PatchDiscriminator:
        """A fresh discriminator of patches of the images of ``spec``, kept as ``name``."""
        made = build_discriminator(self.config.family, spec, self.config.discriminator)
        made = placed(made, self.config, self.device)
        assert isinstance(made, PatchDiscriminator)
        self.networks[name] = made
        return made

    def patch_discriminator_loss(
        self, discriminator: PatchDiscriminator, real: Tensor, fake: Tensor, source: Tensor | None, step: int
    ) -> tuple[Tensor, Stats]:
        """Tell real images ``(n, c, h, w)`` from fakes, patch by patch, both of ``source`` where that is seen.

        Halved, so that it learns at the pace of the generator (Isola et al. 2017, section 3.3). To regularisers the
        logit of an image is the mean of its patches'.
        """
        regularisers = due(self.now, step)

        # The game of patches, (n, h', w')
        real_images, fake_images = watched(regularisers, real, fake)
        passed, failed = (discriminator(images, source=source).float() for images in (real_images, fake_images))
        loss = self.loss.discriminator(passed, failed, torch.ones_like(passed), torch.zeros_like(failed)) / 2

        # The game of images, (n,)
        logits = passed.mean(dim=(1, 2)), failed.mean(dim=(1, 2))
        stats = {"real": logits[0].mean(), "fake": logits[1].mean(), TOLD: told(*logits)}

        def score(images: Tensor) -> Tensor:
            patches: Tensor = discriminator(images, source=source)
            return patches.float().mean(dim=(1, 2))

        loss, terms = regularised(loss, regularisers, Shown(real_images, fake_images, *logits, score), self.now)
        return loss, {**stats, **terms}

    def patch_generator_loss(
        self, discriminator: PatchDiscriminator, real: Tensor, fake: Tensor, source: Tensor | None
    ) -> Tensor:
        """Make the discriminator call fakes ``(n, c, h, w)`` real, patch by patch."""
        passed = discriminator(real, source=source).float() if self.loss.pairs else None
        return self.loss.generator(discriminator(fake, source=source).float(), passed)


def sources_of(batch: Batch) -> Tensor:
    """The round's sources ``(n, c, h, w)``, which every batch of a translator has."""
    assert batch.sources is not None
    return batch.sources
