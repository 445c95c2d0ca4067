"""Two translators, there and back, that learn from two sets of images without pairs (Zhu et al. 2017)."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.errors import ConfigError
from core.run import A_TO_B, B_TO_A
from core.spec import IMAGES, GeneratorSpec
from trainer.objective.augmentation import augment_alike
from trainer.settings.config import TrainConfig
from trainer.settings.translation import Cycling
from trainer.systems.adversarial import optimiser
from trainer.systems.players import Batch, Player, Stats, frozen
from trainer.systems.translating import Translating, sources_of


class Pool(nn.Module):
    """Earlier results, shown to a discriminator again (Shrivastava et al. 2017, section 2.3, as Zhu et al. have it).

    Until it is full every result is kept and shown; from then on half of them are kept in the place of an earlier one,
    which is shown in their stead. A network of its own, so that it is saved with the others.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, spec: GeneratorSpec) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, spec.channels, spec.height, spec.width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, fresh: Tensor) -> Tensor:
        """What to show in the place of ``fresh`` results ``(n, c, h, w)``, one by one in order."""
        size, shown = len(self.images), fresh.detach().to(self.images.dtype, copy=True)
        draws = torch.rand(len(fresh), 2, device="cpu")  # on the CPU: they decide what is done, not what is computed
        for row in range(len(fresh) if size else 0):
            if (filled := int(self.filled)) < size:
                self.images[filled] = shown[row]
                self.filled += 1
            elif draws[row, 0] < 0.5:
                place = min(int(draws[row, 1] * size), size - 1)
                shown[row], self.images[place] = self.images[place].clone(), shown[row].clone()
        return shown


class Turn(NamedTuple):
    """One round: images of both domains, a ``(n, c, h, w)`` and b, and what each translator made of the other's."""

    step: int
    a: Tensor
    b: Tensor
    to_b: Tensor
    to_a: Tensor


class Cycle(Translating):
    """Both translators move together, then both discriminators, which see some earlier results in place of new ones.

    a are the pack's sources, b its images; the first translator makes b of a. The order is that of the authors: the
    discriminators judge what the translators made before they moved.
    """

    @classmethod
    def check(cls, config: TrainConfig, spec: GeneratorSpec) -> None:
        """Raise ConfigError for discriminators that see sources, and for images that have no identity loss."""
        super().check(config, spec)

        # Nothing stands beside a real image
        if config.discriminator.get("given"):
            raise ConfigError(
                "without pairs there is no source to show beside a real image: --set discriminator.given=false"
            )

        # What is left alone must be of one size
        back = reversed_spec(spec)
        shapes = [(each.channels, each.height, each.width) for each in (spec, back)]
        if Cycling.of(config.cycle).identity and shapes[0] != shapes[1]:
            raise ConfigError(
                f"sources of {_said(back)} and images of {_said(spec)} cannot be compared: --set cycle.identity=0, or "
                "import both alike"
            )

    def __init__(self, config: TrainConfig, spec: GeneratorSpec, device: torch.device) -> None:
        super().__init__(config, spec, device)
        self.cycling = Cycling.of(config.cycle)

        # A translator each way, and a discriminator for what each of them makes
        back = reversed_spec(spec)
        self.there, self.back = self.translator(A_TO_B, spec), self.translator(B_TO_A, back)
        self.generators = {A_TO_B: self.there, B_TO_A: self.back}
        self.discriminator_a = self.patch_discriminator("discriminator_a", back)
        self.discriminator_b = self.patch_discriminator("discriminator_b", spec)

        # Earlier results of each
        size = int(self.cycling.pool)
        self.pool_a, self.pool_b = Pool(size, back).to(device), Pool(size, spec).to(device)
        self.networks |= {"pool_a": self.pool_a, "pool_b": self.pool_b}

        self.players = [
            Player("generators", optimiser(config, self.there, self.back), self.generators_loss),
            Player("discriminator_a", optimiser(config, self.discriminator_a), self.discriminator_a_loss),
            Player("discriminator_b", optimiser(config, self.discriminator_b), self.discriminator_b_loss),
        ]
        self._round: Turn | None = None

    def generators_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Pass for the other domain, lead back to where it came from, and leave alone what is there already.

        Zhu et al. 2017, equations 1 to 3, and the identity loss of section 5.2.
        """
        turn = self._turn(batch)

        # E (D(G(x)) - 1)² and the like: pass for the other domain (equation 1)
        with frozen(self.discriminator_a, self.discriminator_b):
            fooled = self.patch_generator_loss(self.discriminator_b, turn.b, turn.to_b, None)
            fooled = fooled + self.patch_generator_loss(self.discriminator_a, turn.a, turn.to_a, None)

        # E ‖F(G(x)) - x‖₁ both ways: lead back (equations 2 and 3)
        cycle = _apart(self.back(turn.to_b), turn.a) + _apart(self.there(turn.to_a), turn.b)
        loss = self.cycling.adversarial * fooled + self.cycling.cycle * cycle
        low, high = self.spec.value_range
        stats = {"fooled": fooled.detach(), "cycle": cycle.detach() / 2 * 255 / (high - low)}  # in levels of 255

        # E ‖G(y) - y‖₁ both ways: leave alone what is there already (section 5.2)
        if self.cycling.identity:
            same = _apart(self.there(turn.b), turn.b) + _apart(self.back(turn.a), turn.a)
            loss = loss + self.cycling.cycle * self.cycling.identity * same
            stats["identity"] = same.detach() / 2 * 255 / (high - low)
        return loss, stats

    def discriminator_a_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell sources from what is made of images."""
        turn = self._turn(batch)
        return self.patch_discriminator_loss(self.discriminator_a, turn.a, self.pool_a(turn.to_a), None, batch.step)

    def discriminator_b_loss(self, batch: Batch) -> tuple[Tensor, Stats]:
        """Tell images from what is made of sources."""
        turn, self._round = self._turn(batch), None
        return self.patch_discriminator_loss(self.discriminator_b, turn.b, self.pool_b(turn.to_b), None, batch.step)

    def _turn(self, batch: Batch) -> Turn:
        """What both made in this round, before anyone moved."""
        if self._round is None or self._round.step != batch.step:
            (a,) = augment_alike(self.now.augment, self.now.augment_p, sources_of(batch))
            (b,) = augment_alike(self.now.augment, self.now.augment_p, batch.images)
            self._round = Turn(batch.step, a, b, self.there(a), self.back(b))
        return self._round


def reversed_spec(spec: GeneratorSpec) -> GeneratorSpec:
    """The spec of the other direction: source and image exchanged, and their licences with them."""
    assert spec.source is not None
    source = replace(spec.source, height=spec.height, width=spec.width, channels=spec.channels, origin=IMAGES)
    made, facts = spec.source, spec.provenance
    turned = {
        "data_licence": facts.source_licence or facts.data_licence,
        "data_attribution": facts.source_attribution or facts.data_attribution,
        "source_licence": facts.data_licence if facts.source_licence else "",
        "source_attribution": facts.data_attribution if facts.source_attribution else "",
    }
    back = replace(spec, height=made.height, width=made.width, channels=made.channels, source=source)
    return back.with_provenance(**turned)


def _apart(made: Tensor, wanted: Tensor) -> Tensor:
    """E ‖made - wanted‖₁."""
    return (made.float() - wanted).abs().mean()


def _said(spec: GeneratorSpec) -> str:
    return f"{spec.width}x{spec.height} in {spec.channels} channels"
