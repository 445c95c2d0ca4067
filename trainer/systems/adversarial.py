"""One generator against one discriminator (Goodfellow et al. 2014), with whatever loss and penalty the config names."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from core.networks import build_discriminator, build_generator
from core.spec import GeneratorSpec
from trainer.augment import augment
from trainer.config import TrainConfig
from trainer.losses import LOSSES
from trainer.penalties import squared_gradient
from trainer.systems.players import Batch, Player, Stats

Network = TypeVar("Network", bound=nn.Module)


class Adversarial:
    """The discriminator moves, then the generator, against the same fakes."""

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.spec = spec
        self.config = config
        self.loss = LOSSES[config.loss]
        self.generator = _placed(build_generator(spec), config, device)
        self.discriminator = _placed(build_discriminator(config.family, spec, config.discriminator), config, device)
        self.networks: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = [
            Player("discriminator", self._adam(self.discriminator, config.learning_rate_d), self.discriminator_loss),
            Player("generator", self._adam(self.generator, config.learning_rate_g), self.generator_loss),
        ]
        self._fakes: tuple[int, Tensor] | None = None

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell real from fake; every ``r1_every``-th round also stay flat around the real images."""
        config = self.config
        penalise = config.r1_gamma > 0 and batch.step % config.r1_every == 0
        images = batch.images.detach().requires_grad_(penalise)
        real = self.discriminator(augment(images, config.augment), batch.labels).float()
        fake = self.discriminator(augment(self._imagine(batch).detach(), config.augment), batch.labels).float()
        loss = self.loss.discriminator(
            real, fake, _targets(real, config.real_labels), _targets(fake, config.fake_labels)
        )
        stats = {"real": real.mean(), "fake": fake.mean()}
        if penalise:
            r1 = squared_gradient(real, images)
            # Lazy regularisation (Karras et al. 2020, section 3.1): rarer, so stronger in proportion.
            loss = loss + config.r1_gamma / 2 * config.r1_every * r1
            stats["r1"] = r1
        return loss, stats

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Make the discriminator call fakes real."""
        self.discriminator.requires_grad_(False)  # its weights' gradients would be computed and thrown away
        fake = self.discriminator(augment(self._imagine(batch), self.config.augment), batch.labels).float()
        self.discriminator.requires_grad_(True)
        self._fakes = None
        return self.loss.generator(fake), {}

    def _imagine(self, batch: Batch) -> Tensor:
        """This round's fakes. The generator moves last, so both players can judge one forward pass."""
        if self._fakes is None or self._fakes[0] != batch.step:
            z = torch.randn(len(batch.images), self.spec.latent_dim, device=batch.images.device)
            self._fakes = (batch.step, self.generator(z, batch.labels))
        return self._fakes[1]

    def _adam(self, network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(network.parameters(), learning_rate, betas, fused=True)


def _targets(logits: Tensor, ends: tuple[float, float]) -> Tensor:
    """What the discriminator should say, ``(n,)``: one number, or drawn between two (noisy labels)."""
    low, high = ends
    return torch.full_like(logits, low) if low == high else torch.empty_like(logits).uniform_(low, high)


def _placed(network: Network, config: TrainConfig, device: torch.device) -> Network:
    """``network`` on its device, in the memory layout the config asks for."""
    if config.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)
