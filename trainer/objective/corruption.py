"""How a source is made of an image, so that a translator learns to undo it: no pairs are needed.

All work on pixels as a file holds them, uint8 with straight alpha: what is to be mended later comes from files too.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from core.errors import ConfigError
from core.images import from_pillow, luma, over_background, to_pillow
from core.pixels import to_pixels, to_values
from core.spec import IMAGES, SourceSpec
from trainer.settings.fields import setting

SOURCES = "sources"  # an origin of sources that nothing has to make, as ``IMAGES`` is

Draws = torch.Generator | None  # whose random numbers; None takes torch's own


def noise(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """Gaussian noise of the standard deviation ``strength``, in levels of 255, on every colour; alpha stays."""
    colours = images.shape[-1] - (images.shape[-1] == 4)
    spread = torch.randn(images[..., :colours].shape, generator=draws, device=images.device) * strength
    noisy = (images[..., :colours] + spread).round().clamp(0, 255).to(torch.uint8)
    return _visible(torch.cat([noisy, images[..., colours:]], dim=-1))


def colourless(images: Tensor, _strength: float, _draws: Draws) -> Tensor:
    """Only how light each pixel is: one channel, or, where there is alpha, three equal ones and alpha."""
    light = torch.from_numpy(luma(images[..., :3].cpu().numpy())).to(images.device)  # as every import makes grey
    return light if images.shape[-1] == 3 else torch.cat([light.expand(*light.shape[:-1], 3), images[..., 3:]], dim=-1)


def smaller(images: Tensor, strength: float, _draws: Draws) -> Tensor:
    """Reduced by the whole factor ``strength``: means of squares, premultiplied where there is alpha."""
    return to_pixels(F.avg_pool2d(to_values(images, (0.0, 1.0)), int(strength)), (0.0, 1.0))


def hole(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """A box of ``strength`` of each side is missing, anywhere within the image: transparent, or grey without alpha."""
    count, height, width, channels = images.shape
    rows = _stretch(count, height, strength, images.device, draws)[:, :, None, None]
    columns = _stretch(count, width, strength, images.device, draws)[:, None, :, None]
    return torch.where(rows & columns, 0 if channels == 4 else 128, images).to(torch.uint8)


def _stretch(count: int, side: int, share: float, device: torch.device, draws: Draws) -> Tensor:
    """Which of ``side`` pixels lie in a stretch of ``share`` of them, anywhere within, bool ``(count, side)``."""
    length = max(round(side * share), 1)
    start = torch.randint(side - length + 1, (count, 1), generator=draws, device=device)
    place = torch.arange(side, device=device)
    return (place >= start) & (place < start + length)


def jpeg(images: Tensor, strength: float, _draws: Draws) -> Tensor:
    """As a JPEG file of the quality ``strength`` shows them, on white where there is alpha: grey or RGB."""
    pages = [over_background(page) if page.shape[-1] == 4 else page for page in images.cpu().numpy()]
    return torch.from_numpy(np.stack([_through_jpeg(page, int(strength)) for page in pages])).to(images.device)


def _through_jpeg(page: Any, quality: int) -> Any:
    buffer = io.BytesIO()
    to_pillow(page).save(buffer, "JPEG", quality=quality)
    return from_pillow(Image.open(buffer), page.shape[-1])


def _visible(images: Tensor) -> Tensor:
    """Without the colour of fully transparent pixels."""
    return images * (images[..., 3:] > 0) if images.shape[-1] == 4 else images


class Way(NamedTuple):
    """A way to corrupt images: what does it, and the strengths that it takes, the least, the most and the usual."""

    does: Callable[[Tensor, float, Draws], Tensor]
    least: float
    most: float
    usual: float
    whole: bool = False


WAYS: dict[str, Way] = {
    "colourless": Way(colourless, 1, 1, 1, whole=True),
    "hole": Way(hole, 0.01, 0.9, 0.4),
    "jpeg": Way(jpeg, 1, 95, 10, whole=True),
    "noise": Way(noise, 1, 255, 50),
    "smaller": Way(smaller, 2, 16, 2, whole=True),
}


@dataclass(frozen=True)
class Corruption:
    """One way, and how strong: the deviation of noise in levels, the factor of ``smaller``, the share of each side that
    is missing, a JPEG's quality. 0 is the usual of each."""

    kind: str = setting("noise", "what is done to images: noise, colourless, smaller, hole or jpeg")
    strength: float = setting(0.0, "how much: levels of noise, times smaller, share of each side, quality of a JPEG")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Corruption":
        """The settings by name. Raises ConfigError for what does not fit."""
        unknown = sorted(settings.keys() - {"kind", "strength"})
        if unknown:
            raise ConfigError(f"corruption.{unknown[0]} is unknown: choose from kind, strength")

        kind = settings.get("kind", "noise")
        if kind not in WAYS:
            raise ConfigError(f"corruption.kind is {kind!r}: choose from {', '.join(WAYS)}")

        way, strength = WAYS[kind], settings.get("strength", 0.0)
        number = isinstance(strength, int | float) and not isinstance(strength, bool)
        strength = way.usual if number and strength == 0 else strength
        if not number or not way.least <= strength <= way.most or (way.whole and strength != int(strength)):
            what = "a whole number" if way.whole else "a number"
            raise ConfigError(f"corruption.strength is {strength!r}: {kind} takes {what}, {way.least} to {way.most}")
        return cls(kind, float(strength))

    @classmethod
    def parse(cls, origin: str) -> "Corruption | None":
        """The corruption that a spec's ``origin`` names; None where the sources were not made of images."""
        if origin in (SOURCES, IMAGES):
            return None
        kind, _, strength = origin.partition(" ")
        try:
            return cls.of({"kind": kind, "strength": float(strength)})
        except ValueError:
            raise ConfigError(f"the sources are said to be {origin!r}, which nobody here makes") from None

    @property
    def origin(self) -> str:
        """As a spec names it."""
        return f"{self.kind} {self.strength:g}"

    def source_of(self, height: int, width: int, channels: int) -> SourceSpec:
        """What becomes of images of that size. Raises ConfigError where nothing can."""
        if self.kind == "smaller" and (height % self.strength or width % self.strength):
            raise ConfigError(
                f"images of {width}x{height} cannot be made {self.strength:g} times smaller: "
                "--set corruption.strength=2, or import them in another size"
            )
        if self.kind == "colourless" and channels == 1:
            raise ConfigError(
                "the pack's images are grey, so there is no colour to learn: import them with --channels 3"
            )

        # Its size, and its channels where these change
        factor = int(self.strength) if self.kind == "smaller" else 1
        of = {"colourless": {3: 1}, "jpeg": {4: 3}}.get(self.kind, {})
        return SourceSpec(height // factor, width // factor, of.get(channels, channels), origin=self.origin)

    def corrupt(self, images: Tensor, draws: Draws = None) -> Tensor:
        """Sources ``(n, h', w', c')`` of uint8 images ``(n, h, w, c)``, straight alpha."""
        return WAYS[self.kind].does(images, self.strength, draws)
