"""One generator against one discriminator (Goodfellow et al. 2014), with whatever loss and penalty the config names."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from core.networks import build_discriminator, build_generator
from core.networks.base import Maker
from core.spec import GeneratorSpec
from trainer.objective.augmentation import ADAPT_EVERY, AdaptiveShare, augment
from trainer.objective.clamp import limited
from trainer.objective.losses import TOLD, loss_of, told
from trainer.objective.penalties import (
    clip_weights,
    drift,
    gradient_penalty,
    interpolates,
    orthogonal,
    squared_gradient,
)
from trainer.optimisation.optimisers import OPTIMISERS, set_rates
from trainer.settings.config import TrainConfig
from trainer.systems.players import GENERATOR, Batch, Player, Stats, frozen

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


class Judged(NamedTuple):
    """What a discriminator makes of images: logits ``(n,)`` and the features ``(n, d)`` they rest on."""

    logits: Tensor
    features: Tensor


class Adversarial:
    """The discriminator moves in every round; then the generator, in every ``critic_steps``-th, against its fakes."""

    resting: frozenset[str] = frozenset()

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.spec = spec
        self.config = self.now = config
        self.loss = loss_of(config.loss, config.loss_options)
        self.generator = placed(build_generator(spec), config, device)
        self.discriminator = placed(
            build_discriminator(config.family, self._seen(), config.discriminator), config, device
        )
        self.generators = {GENERATOR: self.generator}
        self.networks: dict[str, nn.Module] = {GENERATOR: self.generator, "discriminator": self.discriminator}
        critic = optimiser(config, self.discriminator)
        if config.clip:
            critic.register_step_post_hook(lambda *_: clip_weights(self.discriminator, config.clip))
        self.players = [
            Player("discriminator", critic, self.discriminator_loss),
            Player("generator", optimiser(config, self.generator), self.generator_loss, config.critic_steps),
        ]
        self.share = AdaptiveShare().to(device) if config.augment_target else None
        if self.share is not None:
            self.networks["augment"] = self.share
        self._fakes: Fakes | None = None

    def begin(self, images_seen: int) -> int:
        """Move every setting that has a schedule; the batch stays as it is."""
        self.now = self.settings(images_seen)
        rates = {"discriminator": self.now.learning_rate_d, "generator": self.now.learning_rate_g}
        for player in self.players:
            if player.name in rates:
                set_rates(player.optimiser, rates[player.name], self.now.beta1, self.now.beta2)
        return self.now.batch

    def finished(self, average: Maker, images_seen: int) -> Mapping[str, Maker]:
        """Nothing: the whole is trained from the first round on."""
        return {}

    def settings(self, images_seen: int) -> TrainConfig:
        """The settings of the round after ``images_seen`` images."""
        return self.config.at(images_seen)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell real from fake; every ``penalty_every``-th round also stay flat around the real and the fake images."""
        now = self.now
        penalise = batch.step % now.penalty_every == 0
        images = batch.images.detach().requires_grad_(penalise and now.r1_gamma > 0)
        fakes = self._imagine(batch)
        shown = fakes.images.detach().requires_grad_(penalise and now.r2_gamma > 0)
        real, fake = self._judge(images, batch.labels), self._judge(shown, fakes.asked.labels)
        targets = _targets(real.logits, now.real_labels), _targets(fake.logits, now.fake_labels)
        loss = self.loss.discriminator(real.logits, fake.logits, *targets)
        stats = {"real": real.logits.mean(), "fake": fake.logits.mean(), TOLD: told(real.logits, fake.logits)}
        for name, gamma, judged, given in (("r1", now.r1_gamma, real, images), ("r2", now.r2_gamma, fake, shown)):
            if given.requires_grad:
                stats[name] = squared_gradient(judged.logits, given)
                # Lazy regularisation (Karras et al. 2020, section 3.1): rarer, so stronger in proportion.
                loss = loss + gamma / 2 * now.penalty_every * stats[name]
        if penalise and now.gradient_penalty:
            between = interpolates(images, shown)
            stats["penalty"] = gradient_penalty(self._judge(between, batch.labels).logits, between)
            loss = loss + now.gradient_penalty * now.penalty_every * stats["penalty"]
        if now.drift:
            stats["drift"] = drift(real.logits)
            loss = loss + now.drift * stats["drift"]
        if self.share is not None:
            self._adapt(self.share, real.logits, fake.logits, batch.step)
            stats["augment_p"] = self.share.p.clone()
        more, said = self.also_discriminator(real, fake, batch, fakes.asked)
        return loss + more, {**stats, **said}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Make the discriminator call fakes real.

        R3GAN pairs these fakes with a real batch of their own. Here they meet the round's reals again, under new
        augmentation: the pairing only sets the level that each fake is to beat, and at 32x32 a batch more to read,
        and more images seen in a round, would buy nothing.
        """
        fakes = self._imagine(batch)
        with frozen(*(network for name, network in self.networks.items() if name != "generator")):
            fake = self._judge(fakes.images, fakes.asked.labels)
            real = self._judge(batch.images, batch.labels).logits if self.loss.pairs else None
            more, said = self.also_generator(fake, fakes.asked)
        self._fakes = None
        loss = self.loss.generator(fake.logits, real) + more
        if self.now.orthogonal:
            loss = loss + self.now.orthogonal * orthogonal(self.generator)
        return loss, said

    def also_discriminator(
        self, real: Judged, fake: Judged, batch: Batch, asked: Conditions
    ) -> tuple[Tensor | float, Stats]:
        """What else the discriminator minimises, of what it made of the round's images."""
        return 0.0, {}

    def also_generator(self, fake: Judged, asked: Conditions) -> tuple[Tensor | float, Stats]:
        """What else the generator minimises, of what the discriminator made of its images."""
        return 0.0, {}

    def conditions(self, batch: Batch) -> Conditions:
        """What this round's fakes are asked to be: of the classes of the round's real images."""
        return Conditions(batch.labels)

    def _seen(self) -> GeneratorSpec:
        """What the discriminator is told of the images."""
        return self.spec

    def _judge(self, images: Tensor, labels: Tensor | None) -> Judged:
        """What the discriminator makes of what augmentation leaves of ``images``."""
        share = self.now.augment_p if self.share is None else self.share.p
        features = self.discriminator.features(augment(images, self.now.augment, share), labels)
        return Judged(self.discriminator.score(features, labels).float(), features)

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
                images = limited(self._generate(z, asked), *self.spec.value_range)
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
