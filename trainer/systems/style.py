"""A style-based generator in the adversarial game, with mixed styles and even paths (Karras et al. 2019 and 2020)."""

import torch
from torch import Tensor, nn

from core.errors import ConfigError
from core.networks import GENERATORS
from core.networks.style import StyleGenerator
from core.spec import GeneratorSpec
from trainer.objective.penalties import path_lengths
from trainer.optimisation.optimisers import set_rates
from trainer.settings.config import TrainConfig
from trainer.settings.regularise import Regularisation
from trainer.systems.adversarial import Adversarial, Conditions
from trainer.systems.players import Batch, Player, Stats

MEAN_DECAY = 0.01  # how much of a is new each time (2020, appendix B)
SHRINK = 2  # path lengths are taken on this part of a batch, as the paper's code does


class PathMean(nn.Module):
    """a, the moving average of path lengths: a network of its own, so that it is saved with the others.

    Corrected for its start at 0 as Adam's averages are (Kingma and Ba 2015, section 3): a short run would else
    spend most of its time shortening paths towards 0.
    """

    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    @torch.no_grad()
    def forward(self, lengths: Tensor) -> Tensor:
        """Move towards the mean of ``lengths`` ``(n,)``, and give the new average."""
        self.total.lerp_(lengths.mean(), MEAN_DECAY)
        self.weight.lerp_(torch.ones_like(self.weight), MEAN_DECAY)
        return self.total / self.weight


class Style(Adversarial):
    """As ``Adversarial``; some images have two styles, and a third player evens out the generator's paths.

    Both players of the generator share one optimiser. As it then takes k + 1 steps in k rounds, its learning rate
    and betas are those of k / (k + 1) steps: the lazy correction (2020, appendix B).
    """

    @classmethod
    def check(cls, config: TrainConfig, spec: GeneratorSpec) -> None:
        """Raise ConfigError for networks without styles."""
        super().check(config, spec)
        if not issubclass(GENERATORS[config.family], StyleGenerator):
            raise ConfigError(f"networks of family {config.family} have no styles: --set family=style")

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        self.regularise = Regularisation.of(config.regularise)
        self.path_mean = PathMean().to(device)
        super().__init__(config, spec, device)

    def build_networks(self) -> dict[str, nn.Module]:
        """Those of the game, and the average of path lengths where these are regularised."""
        networks = super().build_networks()
        if self.regularise.path_length:
            networks["path_mean"] = self.path_mean
        return networks

    def build_players(self) -> list[Player]:
        """Those of the game, then the one who evens out the paths, by the generator's own optimiser."""
        players = super().build_players()
        if self.regularise.path_length:
            every = int(self.regularise.path_length_every)
            players.append(Player("path_length", self.optimiser_g, self.path_length_loss, every))
        return players

    def begin(self, images_seen: int) -> int:
        """Move every setting that has a schedule, the generator's by the lazy correction."""
        count = super().begin(images_seen)
        if self.regularise.path_length:
            every = self.regularise.path_length_every
            share = every / (every + 1)
            betas = self.now.beta1**share, self.now.beta2**share
            set_rates(self.optimiser_g, self.now.learning_rate_g * share, *betas)
        return count

    def path_length_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """E (‖Jᵀy‖ - a)²: a step in w is to change every image by as much (2020, equation 4)."""
        # Fresh images of half a batch
        count = max(len(batch.images) // SHRINK, 1)
        z = torch.randn(count, self.spec.latent_dim, device=batch.images.device)
        asked = self.conditions(batch).labels
        labels = None if asked is None else asked[:count]
        styles = self._styles(z, labels)
        images = self.generator.synthesis(styles, labels)

        # How far their paths are from the average, weighted as lazy regularisation wants it
        lengths = path_lengths(images, styles)
        penalty = (lengths - self.path_mean(lengths)).square().mean()
        weight = self.regularise.path_length * self.regularise.path_length_every
        # The last biases shift every image alike and so have no path; the zero gives them a gradient nonetheless.
        return weight * penalty + 0 * images.mean(), {"length": lengths.mean()}

    def _generate(self, z: Tensor, asked: Conditions) -> Tensor:
        return self.generator.synthesis(self._styles(z, asked.labels), asked.labels)

    def _styles(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Styles ``(n, style_layers, style_dim)`` of ``z``; some rows change to another's from some layer on.

        Style mixing keeps layers from relying on each other's (2019, section 3.1).
        """
        layers = self.generator.style_layers
        styles = self.generator.mapping(z, labels)[:, None].expand(-1, layers, -1)
        if not self.regularise.mixing:
            return styles
        others = self.generator.mapping(torch.randn_like(z), labels)[:, None]  # (n, 1, style_dim)
        crossing = torch.randint(1, layers, (len(z), 1, 1), device=z.device)
        mixed = torch.rand(len(z), 1, 1, device=z.device) < self.regularise.mixing
        late = torch.arange(layers, device=z.device)[:, None] >= crossing  # (n, layers, 1)
        return torch.where(mixed & late, others, styles)
