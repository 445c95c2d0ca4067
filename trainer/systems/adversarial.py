"""One generator against one discriminator (Goodfellow et al. 2014), with whatever loss and penalty the config names."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from core.networks import build_discriminator, build_generator
from core.networks.base import Generator
from core.spec import GeneratorSpec
from trainer.augment import ADAPT_EVERY, AdaptiveShare, augment
from trainer.config import TrainConfig
from trainer.limits import limited
from trainer.losses import LOSSES
from trainer.penalties import drift, gradient_penalty, interpolates, squared_gradient
from trainer.systems.players import Batch, Player, Stats

Network = TypeVar("Network", bound=nn.Module)


class Adversarial:
    """The discriminator moves, then the generator, against the same fakes."""

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.spec = spec
        self.config = self.now = config
        self.loss = LOSSES[config.loss]
        self.generator = _placed(build_generator(spec), config, device)
        self.discriminator = _placed(build_discriminator(config.family, spec, config.discriminator), config, device)
        self.networks: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = [
            Player("discriminator", adam(self.discriminator, config), self.discriminator_loss),
            Player("generator", adam(self.generator, config), self.generator_loss),
        ]
        self.share = AdaptiveShare().to(device) if config.augment_target else None
        if self.share is not None:
            self.networks["augment"] = self.share
        self._fakes: tuple[int, Tensor] | None = None

    def begin(self, images_seen: int) -> int:
        """Move every setting that has a schedule; the batch stays as it is."""
        self.now = self.settings(images_seen)
        rates = {"discriminator": self.now.learning_rate_d, "generator": self.now.learning_rate_g}
        for player in self.players:
            for group in player.optimiser.param_groups:
                group.update(lr=rates.get(player.name, group["lr"]), betas=(self.now.beta1, self.now.beta2))
        return self.now.batch

    def finished(self, average: Generator, images_seen: int) -> Mapping[str, Generator]:
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
        fakes = self._imagine(batch).detach().requires_grad_(penalise and now.r2_gamma > 0)
        real, fake = self._judge(images, batch), self._judge(fakes, batch)
        loss = self.loss.discriminator(real, fake, _targets(real, now.real_labels), _targets(fake, now.fake_labels))
        stats = {"real": real.mean(), "fake": fake.mean()}
        for name, gamma, logits, shown in (("r1", now.r1_gamma, real, images), ("r2", now.r2_gamma, fake, fakes)):
            if shown.requires_grad:
                stats[name] = squared_gradient(logits, shown)
                # Lazy regularisation (Karras et al. 2020, section 3.1): rarer, so stronger in proportion.
                loss = loss + gamma / 2 * now.penalty_every * stats[name]
        if penalise and now.gradient_penalty:
            between = interpolates(images, fakes)
            stats["penalty"] = gradient_penalty(self._judge(between, batch), between)
            loss = loss + now.gradient_penalty * now.penalty_every * stats["penalty"]
        if now.drift:
            stats["drift"] = drift(real)
            loss = loss + now.drift * stats["drift"]
        if self.share is not None:
            self._adapt(self.share, real.detach(), fake.detach(), batch.step)
            stats["augment_p"] = self.share.p.clone()
        return loss, stats

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Make the discriminator call fakes real.

        R3GAN pairs these fakes with a real batch of their own. Here they meet the round's reals again, under new
        augmentation: the pairing only sets the level that each fake is to beat, and at 32x32 a batch more to read,
        and more images seen in a round, would buy nothing.
        """
        self.discriminator.requires_grad_(False)  # its weights' gradients would be computed and thrown away
        fake = self._judge(self._imagine(batch), batch)
        real = self._judge(batch.images, batch) if self.loss.pairs else None
        self.discriminator.requires_grad_(True)
        self._fakes = None
        return self.loss.generator(fake, real), {}

    def _judge(self, images: Tensor, batch: Batch) -> Tensor:
        """The discriminator's logits ``(n,)`` of what augmentation leaves of ``images``."""
        share = self.now.augment_p if self.share is None else self.share.p
        logits: Tensor = self.discriminator(augment(images, self.now.augment, share), batch.labels)
        return logits.float()

    def _adapt(self, share: AdaptiveShare, real: Tensor, fake: Tensor, step: int) -> None:
        """Steer the share of augmented images by the logits ``(n,)`` of the round.

        Where a loss only compares logits, the discriminator is undecided halfway between real and fake, not at 0.
        """
        share.observe(real if self.loss.anchored else real - (real.mean() + fake.mean()) / 2)
        if step % ADAPT_EVERY == ADAPT_EVERY - 1:
            share.adapt(self.now.augment_target, self.now.augment_p)

    def _imagine(self, batch: Batch) -> Tensor:
        """This round's fakes. The generator moves last, so both players can judge one forward pass."""
        if self._fakes is None or self._fakes[0] != batch.step:
            z = torch.randn(len(batch.images), self.spec.latent_dim, device=batch.images.device)
            self._fakes = (batch.step, limited(self._generate(z, batch.labels), *self.spec.value_range))
        return self._fakes[1]

    def _generate(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """The generator's images of ``z`` ``(n, latent_dim)``, as the discriminator is to see them."""
        images: Tensor = self.generator(z, labels)
        return images


def adam(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015) over all of ``network``; its learning rate is set in every round."""
    return torch.optim.Adam(network.parameters(), betas=(config.beta1, config.beta2), fused=True)


def _targets(logits: Tensor, ends: tuple[float, float]) -> Tensor:
    """What the discriminator should say, ``(n,)``: one number, or drawn between two (noisy labels)."""
    low, high = ends
    return torch.full_like(logits, low) if low == high else torch.empty_like(logits).uniform_(low, high)


def _placed(network: Network, config: TrainConfig, device: torch.device) -> Network:
    """``network`` on its device, in the memory layout the config asks for."""
    if config.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)
