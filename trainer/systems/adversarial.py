"""One generator against one discriminator (Goodfellow et al. 2014), with whatever loss and penalty the config names."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from core.networks import build_discriminator, build_generator
from core.networks.base import Maker
from core.spec import GeneratorSpec
from trainer.objective.augmentation import ADAPT_EVERY, AdaptiveShare, augment
from trainer.objective.clamp import clamp
from trainer.objective.losses import TOLD, loss_of, told
from trainer.objective.penalties import clip_weights, orthogonal
from trainer.objective.regularisers import Shown, due, regularised, watched
from trainer.optimisation.optimisers import OPTIMISERS, set_rates
from trainer.settings.config import TrainConfig
from trainer.systems.players import DISCRIMINATOR, GENERATOR, Batch, Player, Stats, frozen

Network = TypeVar("Network", bound=nn.Module)


class Conditions(NamedTuple):
    """What fakes are asked to be: labels int64 ``(n,)`` and codes ``(n, K)``, each None where the spec has none."""

    labels: Tensor | None
    codes: Tensor | None = None


class Fakes(NamedTuple):
    """The images ``(n, c, h, w)`` of one round, and what they were asked to be."""

    step: int
    images: Tensor
    asked: Conditions


class DiscriminatorOutput(NamedTuple):
    """What a discriminator makes of images: logits ``(n,)`` and the features ``(n, d)`` they rest on."""

    logits: Tensor
    features: Tensor


class Adversarial:
    """The discriminator moves in every round; then the generator, in every ``critic_steps``-th, against its fakes.

    Other games are this one with some methods of their own, each of which calls that of the next class: so several can
    be had at once (trainer/systems/combined.py). Networks and players are built here, once, by ``build_networks`` and
    ``build_players``.
    """

    inactive: frozenset[str] = frozenset()

    @classmethod
    def check(cls, config: TrainConfig, spec: GeneratorSpec) -> None:
        """Raise ConfigError for settings that the game cannot be played by, before anything is built."""

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.config = self.now = config
        self.loss = loss_of(config.loss, config.loss_options)

        # Networks
        self.generator = placed(build_generator(spec), config, device)
        seen = self.discriminator_spec()
        self.discriminator = placed(build_discriminator(config.family, seen, config.discriminator), config, device)
        self.share = AdaptiveShare().to(device) if config.augment_target else None
        self.networks = self.build_networks()
        self.generators = {GENERATOR: self.generator}

        # Players
        self.optimiser_d = optimiser(config, *self.discriminator_networks())
        if config.clip:
            self.optimiser_d.register_step_post_hook(lambda *_: clip_weights(self.discriminator, config.clip))
        self.optimiser_g = optimiser(config, self.generator)
        self.players = self.build_players()
        self._fakes: Fakes | None = None

    def discriminator_spec(self) -> GeneratorSpec:
        """What the discriminator is told of the images."""
        return self.spec

    def build_networks(self) -> dict[str, nn.Module]:
        """All that must be saved, by name."""
        networks: dict[str, nn.Module] = {GENERATOR: self.generator, DISCRIMINATOR: self.discriminator}
        if self.share is not None:
            networks["augment"] = self.share
        return networks

    def discriminator_networks(self) -> list[nn.Module]:
        """The networks that move with the discriminator, itself among them."""
        return [self.discriminator]

    def build_players(self) -> list[Player]:
        """Who plays, in the order of their moves."""
        return [
            Player(DISCRIMINATOR, self.optimiser_d, self.discriminator_loss),
            Player(GENERATOR, self.optimiser_g, self.generator_loss, self.config.critic_steps),
        ]

    def begin(self, images_seen: int) -> int:
        """Move every setting that has a schedule; the batch stays as it is."""
        now = self.now = self.settings(images_seen)
        set_rates(self.optimiser_d, now.learning_rate_d, now.beta1, now.beta2)
        set_rates(self.optimiser_g, now.learning_rate_g, now.beta1, now.beta2)
        return now.batch

    def finished(self, average: Maker, images_seen: int) -> Mapping[str, Maker]:
        """No smaller generators: the whole one is trained from the first round on."""
        return {}

    def settings(self, images_seen: int) -> TrainConfig:
        """The settings of the round after ``images_seen`` images."""
        return self.config.at(images_seen)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell real from fake, and stay smooth while doing so."""
        now, regularisers = self.now, due(self.now, batch.step)

        # What the discriminator is shown, and what it makes of that
        fakes = self._imagine(batch)
        real_images, fake_images = watched(regularisers, batch.images, fakes.images)
        real = self._discriminate(real_images, batch.labels)
        fake = self._discriminate(fake_images, fakes.asked.labels)
        stats = {"real": real.logits.mean(), "fake": fake.logits.mean(), TOLD: told(real.logits, fake.logits)}

        # The game
        targets = _targets(real.logits, now.real_labels), _targets(fake.logits, now.fake_labels)
        loss = self.loss.discriminator(real.logits, fake.logits, *targets)

        # R1, R2, the gradient penalty and drift, whichever are due
        def score(images: Tensor) -> Tensor:
            return self._discriminate(images, batch.labels).logits

        shown = Shown(real_images, fake_images, real.logits, fake.logits, score)
        loss, terms = regularised(loss, regularisers, shown, now)

        # More is augmented the surer the discriminator is. No term of the loss: it decides what is shown next.
        if self.share is not None:
            self._adapt(self.share, real.logits, fake.logits, batch.step)
            terms["augment_p"] = self.share.p.clone()

        # What heads have to learn
        auxiliary, said = self.auxiliary_discriminator_loss(real, fake, batch, fakes.asked)
        return loss + auxiliary, {**stats, **terms, **said}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Make the discriminator call fakes real.

        R3GAN pairs these fakes with a real batch of their own. Here they meet the round's reals again, under new
        augmentation: the pairing only sets the level that each fake is to beat, and at 32x32 a batch more to read,
        and more images seen in a round, would buy nothing.
        """
        fakes = self._imagine(batch)
        others = [network for name, network in self.networks.items() if name != GENERATOR]

        # The game, and what heads read wrong
        with frozen(*others):
            fake = self._discriminate(fakes.images, fakes.asked.labels)
            real = self._discriminate(batch.images, batch.labels).logits if self.loss.pairs else None
            auxiliary, said = self.auxiliary_generator_loss(fake, fakes.asked)
        self._fakes = None
        loss = self.loss.generator(fake.logits, real) + auxiliary

        # β Σ ‖WᵀW ⊙ (1 - I)‖² (Brock et al. 2019, equation 3)
        if self.now.orthogonal:
            loss = loss + self.now.orthogonal * orthogonal(self.generator)
        return loss, said

    def auxiliary_discriminator_loss(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, batch: Batch, asked: Conditions
    ) -> tuple[Tensor | float, Stats]:
        """What a subclass adds to the discriminator's loss, by its outputs for the round's images, and statistics."""
        return 0.0, {}

    def auxiliary_generator_loss(self, fake: DiscriminatorOutput, asked: Conditions) -> tuple[Tensor | float, Stats]:
        """What a subclass adds to the generator's loss, by the discriminator's output for fakes, and statistics."""
        return 0.0, {}

    def conditions(self, batch: Batch) -> Conditions:
        """What this round's fakes are to be: of the same classes as the round's real images."""
        return Conditions(batch.labels)

    def _discriminate(self, images: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        """The discriminator's output for ``images``, augmented first."""
        share = self.now.augment_p if self.share is None else self.share.p
        features = self.discriminator.features(augment(images, self.now.augment, share), labels)
        return DiscriminatorOutput(self.discriminator.score(features, labels).float(), features)

    def _adapt(self, share: AdaptiveShare, real: Tensor, fake: Tensor, step: int) -> None:
        """Steer the share of augmented images by the logits ``(n,)`` of the round.

        Where a loss only compares logits, the discriminator is undecided halfway between real and fake, not at 0.
        """
        share.observe(real if self.loss.anchored else real - (real.mean() + fake.mean()) / 2)
        if step % ADAPT_EVERY == ADAPT_EVERY - 1:
            share.adapt(self.now.augment_target, self.now.augment_p)

    def _imagine(self, batch: Batch) -> Fakes:
        """This round's fakes. The generator moves last, so both players can judge one forward pass."""
        if self._fakes is None or self._fakes.step != batch.step:
            asked = self.conditions(batch)
            z = torch.randn(len(batch.images), self.spec.latent_dim, device=batch.images.device)
            with torch.set_grad_enabled(batch.step % self.config.critic_steps == 0):  # else nobody learns from them
                images = clamp(self._generate(z, asked), *self.spec.value_range)
            self._fakes = Fakes(batch.step, images, asked)
        return self._fakes

    def _generate(self, z: Tensor, asked: Conditions) -> Tensor:
        """The generator's images of ``z`` ``(n, latent_dim)``, as the discriminator is to see them."""
        images: Tensor = self.generator(z, asked.labels, asked.codes)
        return images


def optimiser(config: TrainConfig, *networks: nn.Module) -> torch.optim.Optimizer:
    """The config's optimiser over all of ``networks``; its learning rate is set in every round."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return OPTIMISERS[config.optimiser](parameters, config.beta1, config.beta2)


def placed(network: Network, config: TrainConfig, device: torch.device) -> Network:
    """``network`` on its device, in the memory layout the config asks for."""
    if config.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)


def _targets(logits: Tensor, ends: tuple[float, float]) -> Tensor:
    """What the discriminator should say, ``(n,)``: one number, or drawn between two (noisy labels)."""
    low, high = ends
    return torch.full_like(logits, low) if low == high else torch.empty_like(logits).uniform_(low, high)
