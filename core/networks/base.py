"""What every generator, translator and discriminator can do, whatever its family."""

from collections.abc import Mapping
from itertools import chain
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from core.contract import SOURCE
from core.errors import SpecError
from core.images import Images
from core.pixels import to_pixels, to_values
from core.spec import GeneratorSpec

EXAMPLES = 16  # sources that travel with a translator


class Maker(nn.Module):
    """Makes images by a spec, whatever it makes them of: what is averaged, kept, judged and exported."""

    learns_classes: ClassVar[bool] = False  # whether the label changes the image
    learns_codes: ClassVar[bool] = False  # and whether continuous codes do

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec

    @property
    def style_layers(self) -> int:
        """How many layers take a style of their own, as ``(n, style_layers, style_dim)``; 0 without a mapping."""
        return 0

    @property
    def noise_dim(self) -> int:
        """How many noise values an image takes; where above 0, ``synthesis`` has a fourth argument for them."""
        return 0

    @property
    def grown_to(self) -> tuple[int, int] | None:
        """The height and width that a family which grows level by level has reached; None for the others."""
        return None

    @property
    def examples(self) -> Images | None:
        """Sources ``(m, h, w, c)`` to try it with, of the part of the data that its spec's provenance says; None if it
        has none."""
        return None

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(chain(self.parameters(), self.buffers())).device

    def pixels(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Straight-alpha uint8 images ``(n, h, w, c)`` of the contract's inputs by name (core/contract.py)."""
        raise NotImplementedError

    def example(self) -> tuple[Tensor, ...]:
        """What ``forward`` takes for one image, all zeros."""
        raise NotImplementedError


class Generator(Maker):
    """A generator: latent → style → image.

    A family writes ``synthesis`` and, if it has one, ``mapping``. Truncation acts between the two, so that it
    means the same everywhere: w for style families, z for the others (whose mean latent is 0).
    """

    latent_mean: Tensor

    def __init__(self, spec: GeneratorSpec, style_dim: int | None = None) -> None:
        super().__init__(spec)
        self.register_buffer("latent_mean", torch.zeros(style_dim or spec.latent_dim))

    def mapping(self, z: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, style_dim)``; the identity unless a family has a mapping network."""
        return z

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, style_dim)`` to images ``(n, channels, height, width)`` in the spec's value range."""
        raise NotImplementedError

    def forward(
        self,
        z: Tensor,
        label: Tensor | None = None,
        codes: Tensor | None = None,
        truncation: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Images ``(n, c, h, w)`` in the spec's value range, premultiplied where there is alpha.

        ``z`` is ``(n, latent_dim)``, ``label`` int64 ``(n,)``, ``codes`` ``(n, K)``. ``truncation`` ``(n, 1)``
        scales the distance to the mean latent (Karras et al. 2019, section B: w' = w̄ + ψ(w - w̄)). ``noise``
        ``(n, noise_dim)`` takes the place of the network's own, in families that have any.
        """
        style = self.mapping(z, label, codes)
        if truncation is not None:
            style = self.truncated(style, truncation)
        given = {} if noise is None else {"noise": noise}  # most families know of none
        return self.synthesis(style, label, codes, **given)

    def truncated(self, style: Tensor, truncation: Tensor) -> Tensor:
        """Styles ``(n, style_dim)``, the distance of each to the mean scaled by ``truncation`` ``(n, 1)``."""
        return self.latent_mean + truncation * (style - self.latent_mean)

    def example(self) -> tuple[Tensor, ...]:
        """A latent."""
        return (torch.zeros(1, self.spec.latent_dim),)

    def pixels(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Images of ``z``, and of whatever else the spec has: ``label`` is ``(n, 1)`` here."""
        given = dict(inputs)
        if "label" in given:
            given["label"] = given["label"][:, 0]
        return to_pixels(self(**given), self.spec.value_range)


class Translator(Maker):
    """A generator that makes an image of another one. A family writes ``forward``.

    ``example_sources`` ``(EXAMPLES, h, w, c)`` travel with the weights: real pictures for previews, golden images and
    trials, which drawn ones would not do for; all 0 until training chooses them.
    """

    example_sources: Tensor

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        if spec.source is None:
            raise SpecError(f"{spec.family} translates images: its spec must say what its source is")
        self.source = spec.source
        shape = (EXAMPLES, self.source.height, self.source.width, self.source.channels)
        self.register_buffer("example_sources", torch.zeros(shape, dtype=torch.uint8))

    @property
    def examples(self) -> Images | None:
        """The sources that travel with it; None before training has chosen them."""
        found: Images = np.ascontiguousarray(self.example_sources.cpu().numpy())
        return found if found.any() else None

    def show(self, sources: Images) -> None:
        """Let the first of ``sources`` ``(m, h, w, c)`` travel with it, m at least 1; too few take turns."""
        chosen = np.resize(sources, self.example_sources.shape)
        self.example_sources.copy_(torch.from_numpy(chosen))

    def forward(self, source: Tensor) -> Tensor:
        """Images ``(n, c', h', w')`` of sources ``(n, c, h, w)``, both in the value range, premultiplied with alpha."""
        raise NotImplementedError

    def example(self) -> tuple[Tensor, ...]:
        """A source."""
        return (torch.zeros(1, self.source.channels, self.source.height, self.source.width),)

    def pixels(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Images of ``source``, straight-alpha uint8 ``(n, h, w, c)``."""
        values = to_values(inputs[SOURCE], self.spec.value_range)
        return to_pixels(self(values), self.spec.value_range)


class Discriminator(nn.Module):
    """A discriminator or critic: images ``(n, c, h, w)`` to features ``(n, feature_dim)``, these to logits ``(n,)``.

    A family writes both steps: other heads than the score may look at the same features.
    """

    def __init__(self, spec: GeneratorSpec, feature_dim: int) -> None:
        super().__init__()
        self.spec = spec
        self.feature_dim = feature_dim

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """What the score rests on, ``(n, feature_dim)``."""
        raise NotImplementedError

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Unbounded scores ``(n,)``, higher for real."""
        raise NotImplementedError

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Unbounded scores ``(n,)``, higher for real; ``label`` is int64 ``(n,)`` where the spec has classes."""
        return self.score(self.features(images, label), label)
