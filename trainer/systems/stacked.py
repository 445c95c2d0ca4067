"""A stack of generators, each against a discriminator of its own level (Huang et al. 2017, arXiv 1612.04357)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import ConfigError
from core.networks import GENERATORS, build_discriminator, build_generator
from core.networks.base import Discriminator, Maker
from core.networks.stacked import Encoder, FeatureDiscriminator, StackedGenerator
from core.spec import GeneratorSpec
from trainer.objective.augmentation import augment
from trainer.objective.losses import TOLD, code_distance, loss_of, told
from trainer.optimisation.optimisers import set_rates
from trainer.settings.config import TrainConfig
from trainer.settings.stack import Stack
from trainer.systems.adversarial import optimiser, placed
from trainer.systems.players import GENERATOR, Batch, Player, Stats, frozen

ENCODER, UPPER_D, UPPER_G, LOWER_D, LOWER_G = (
    "encoder",
    "features_discriminator",
    "features_generator",
    "discriminator",
    "generator",
)

LevelDiscriminator = Discriminator | FeatureDiscriminator


class Painted(NamedTuple):
    """The images ``(n, c, h, w)`` of one round, and the features ``(n, d)`` and noise they were painted from."""

    step: int
    images: Tensor
    features: Tensor
    noise: Tensor


class Stacked:
    """The encoder learns first, then both levels apart on its features, then both together, by the images seen."""

    @classmethod
    def check(cls, config: TrainConfig, _spec: GeneratorSpec) -> None:
        """Raise ConfigError for networks that are no stack, and for losses that features have no pairs for."""
        if not issubclass(GENERATORS[config.family], StackedGenerator):
            raise ConfigError(f"networks of family {config.family} are no stack: --set family=stacked")
        if loss_of(config.loss, config.loss_options).pairs:
            raise ConfigError(f"the loss {config.loss} pairs images, and features have no pairs: choose another --loss")

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.spec = spec
        self.config = self.now = config
        self.stack = Stack.of(config.stack)
        self.loss = loss_of(config.loss, config.loss_options)

        # The stack, an encoder whose features it is to make, and a discriminator for each level
        generator = placed(build_generator(spec), config, device)
        assert isinstance(generator, StackedGenerator)
        self.whole = generator
        features, width = generator.upper.last.out_features, config.discriminator.get("width", 32)
        self.encoder = placed(Encoder(spec, width, features), config, device)
        self.discriminator = placed(build_discriminator(config.family, spec, config.discriminator), config, device)
        self.features_discriminator = FeatureDiscriminator(features, 2 * features, len(spec.classes)).to(device)

        # What reads the noise of each level off what its discriminator sees
        above, below = generator.parts
        self.read_above = nn.Linear(self.features_discriminator.feature_dim, above).to(device)
        self.read_below = nn.Linear(self.discriminator.feature_dim, below).to(device)

        self.generators = {GENERATOR: generator}
        self.networks: dict[str, nn.Module] = {
            LOWER_G: generator,
            LOWER_D: self.discriminator,
            ENCODER: self.encoder,
            UPPER_D: self.features_discriminator,
            "read_above": self.read_above,
            "read_below": self.read_below,
        }
        self.players = [
            self._player(ENCODER, self.encoder_loss, self.encoder),
            self._player(UPPER_D, self.features_discriminator_loss, self.features_discriminator, self.read_above),
            self._player(UPPER_G, self.features_generator_loss, generator.upper),
            self._player(LOWER_D, self.discriminator_loss, self.discriminator, self.read_below),
            self._player(LOWER_G, self.generator_loss, generator.lower),
        ]

        # Which players move: ``begin`` decides
        self.inactive = frozenset[str]()
        self.together = False
        self._round: Painted | None = None

    def _player(self, name: str, loss: Callable[[Batch], tuple[Tensor, Stats]], *networks: nn.Module) -> Player:
        return Player(name, optimiser(self.config, *networks), loss)

    def begin(self, images_seen: int) -> int:
        """Choose which players move in this phase, and move every setting that has a schedule."""
        now = self.now = self.config.at(images_seen)

        # The encoder alone, then the others: first each level apart, then together
        alone = images_seen < self.stack.encoder_kimg * 1000 and bool(self.spec.classes)
        others = frozenset((UPPER_D, UPPER_G, LOWER_D, LOWER_G))
        self.inactive = others if alone else frozenset((ENCODER,))
        self.together = images_seen >= (self.stack.encoder_kimg + self.stack.apart_kimg) * 1000
        self.encoder.train(alone)

        for player in self.players:
            rate = now.learning_rate_g if player.name in (UPPER_G, LOWER_G) else now.learning_rate_d
            set_rates(player.optimiser, rate, now.beta1, now.beta2)
        return now.batch

    def finished(self, average: Maker, images_seen: int) -> Mapping[str, Maker]:
        """No smaller generators: the stack is one."""
        return {}

    def encoder_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell the classes of real images apart; where there are none, the encoder is never trained."""
        assert batch.labels is not None
        logits = self.encoder.classify(self.encoder(self._augmented(batch.images)))
        accuracy = (logits.argmax(dim=1) == batch.labels).float().mean()
        return F.cross_entropy(logits, batch.labels), {"accuracy": accuracy}

    def features_discriminator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell the encoder's features from made ones, and read the noise off those."""
        noise, _ = self._noise(batch)
        with torch.no_grad():
            made = self.whole.upper(noise, batch.labels)
        real = self._features(batch.images)
        return self._level_d(self.features_discriminator, real, made, self.read_above, noise, batch.labels)

    def features_generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Features that pass for the encoder's, of the class that was asked for; together, also good to paint with."""
        above, below = self._noise(batch)
        made = self.whole.upper(above, batch.labels)
        with frozen(self.features_discriminator, self.read_above, self.encoder, self.whole.lower, self.discriminator):
            loss, said = self._level_g(self.features_discriminator, made, self.read_above, above, batch.labels)

            # E -log Q(c | features): they lead back to their class (equation 4)
            if batch.labels is not None:
                error = F.cross_entropy(self.encoder.classify(made), batch.labels)
                loss = loss + self.stack.conditional * error

            # What is painted with them passes for real
            if self.together:
                seen = self.discriminator.features(self._augmented(self.whole.paint(made, below)))
                loss = loss + self.loss.generator(self.discriminator.score(seen).float(), None)
        return loss, said

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell real images from painted ones, and read the noise off those."""
        painted = self._paint(batch)
        real, fake = self._augmented(batch.images), self._augmented(painted.images.detach())
        return self._level_d(self.discriminator, real, fake, self.read_below, painted.noise)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Images that pass for real, and lead the encoder back to the features they were painted from."""
        painted, self._round = self._paint(batch), None
        with frozen(self.discriminator, self.read_below, self.encoder):
            fake = self._augmented(painted.images)
            loss, said = self._level_g(self.discriminator, fake, self.read_below, painted.noise)
            error = (self.encoder(painted.images) - painted.features).square().mean()
        return loss + self.stack.features * error, {**said, "features_error": error}

    def _paint(self, batch: Batch) -> Painted:
        """This round's images. Their generator moves last, so both players can judge one forward pass."""
        if self._round is None or self._round.step != batch.step:
            features, noise = self._given(batch)
            self._round = Painted(batch.step, self.whole.paint(features, noise), features, noise)
        return self._round

    def _given(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the lower level starts from: the encoder's features of real images, or the upper level's, and noise."""
        above, below = self._noise(batch)
        with torch.no_grad():
            features = self.whole.upper(above, batch.labels) if self.together else self._features(batch.images)
        return features, below

    def _features(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            features: Tensor = self.encoder(images)
        return features

    def _noise(self, batch: Batch) -> tuple[Tensor, Tensor]:
        z = torch.randn(len(batch.images), self.spec.latent_dim, device=batch.images.device)
        above, below = torch.split(z, self.whole.parts, dim=1)
        return above, below

    def _augmented(self, images: Tensor) -> Tensor:
        return augment(images, self.now.augment, self.now.augment_p)

    def _level_d(
        self,
        discriminator: LevelDiscriminator,
        real: Tensor,
        fake: Tensor,
        reader: nn.Linear,
        noise: Tensor,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Stats]:
        """The discriminator's side of one level (equation 3), and its reading of the noise (equation 6)."""
        seen = discriminator.features(real), discriminator.features(fake)
        passed, failed = (discriminator.score(each, labels).float() for each in seen)
        loss = self.loss.discriminator(passed, failed, torch.ones_like(passed), torch.zeros_like(failed))
        loss = loss + self.stack.entropy * code_distance(reader(seen[1]), noise)
        return loss, {"real": passed.mean(), "fake": failed.mean(), TOLD: told(passed, failed)}

    def _level_g(
        self,
        discriminator: LevelDiscriminator,
        fake: Tensor,
        reader: nn.Linear,
        noise: Tensor,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Stats]:
        """The generator's side of one level."""
        seen = discriminator.features(fake)
        loss = self.loss.generator(discriminator.score(seen, labels).float(), None)
        error = code_distance(reader(seen), noise)
        return loss + self.stack.entropy * error, {"noise_error": error}
