"""DCGAN: Radford, Metz and Chintala 2016 (arXiv 1511.06434), for any size a small base can double to.

Also with nearest up-sampling and convolutions in place of transposed convolutions, which cannot make
checkerboards (Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard Artifacts"). Labels go into both networks
as in Mirza and Osindero 2014 (arXiv 1411.1784), codes into the generator.
"""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.layers import (
    ClassEmbedding,
    LabelMap,
    MinibatchStandardDeviation,
    conditioned,
    conditioned_dim,
    rectifier,
)
from core.spec import GeneratorSpec

WIDEST = 8  # channels never exceed 8 times the width, as in the paper's 64x64 networks


class DCGANGenerator(Generator):
    """Project the latent to a base of feature maps, then double it until it is the image (figure 1).

    Options: ``width``, the channels before the image (128 in figure 1, 64 in the networks usually called DCGAN; 2,
    4 and 8 times that before); ``upsample``, "transposed" (the paper) or "nearest" (resize, then convolve); ``slope``
    of the rectifiers (0 in the paper); ``momentum`` of batch norm's running statistics, how much of a batch they take;
    ``extra`` 3x3 convolutions at the last size before the image.
    """

    learns_classes = learns_codes = True

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 64,
        upsample: Literal["transposed", "nearest"] = "transposed",
        slope: float = 0.0,
        momentum: float = 0.1,
        extra: int = 0,
    ) -> None:
        super().__init__(spec)
        check_width(width)
        size = spec.size
        base = (size.base_height, size.base_width)
        if upsample == "transposed":
            widths = [_widened(width, size.doublings - 1 - step) for step in range(size.doublings)]
            doublings: list[nn.Module] = [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise(widths)]
            image: nn.Module = nn.ConvTranspose2d(widths[-1], spec.channels, 4, 2, 1)
        elif upsample == "nearest":
            widths = [_widened(width, size.doublings - step) for step in range(size.doublings + 1)]
            doublings = [_resized(a, b) for a, b in pairwise(widths)]
            image = nn.Conv2d(widths[-1], spec.channels, 3, 1, 1)
        else:
            raise SpecError(f"upsample is '{upsample}': it must be transposed or nearest")

        def normalised(layer: nn.Module, channels: int) -> nn.Sequential:
            return nn.Sequential(layer, nn.BatchNorm2d(channels, momentum=momentum), rectifier(slope))

        self.embed = ClassEmbedding(len(spec.classes), spec.latent_dim) if spec.classes else None
        self.project = normalised(nn.ConvTranspose2d(conditioned_dim(spec), widths[0], base, bias=False), widths[0])
        self.stages = nn.Sequential(*(normalised(layer, b) for layer, b in zip(doublings, widths[1:], strict=True)))
        last = widths[-1]
        self.polish = nn.Sequential(
            *(normalised(nn.Conv2d(last, last, 3, 1, 1, bias=False), last) for _ in range(extra))
        )
        self.image = nn.Sequential(image, nn.Tanh())
        self.apply(initialise)

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)`` in [-1, 1]."""
        x = self.project(conditioned(style, self.spec, self.embed, label, codes)[:, :, None, None])
        x = self.polish(self.stages(x))  # from (n, widest, base_height, base_width)
        images: Tensor = self.image(x)
        return images


class DCGANDiscriminator(Discriminator):
    """Strided convolutions down to the base, then one score (section 3: no pooling, LeakyReLU 0.2, batch norm).

    Options: ``width``, the channels after the first convolution; ``norm``, "batch" (the paper; not at the input),
    "layer" or "none" (which gradient penalties want, for batch norm makes images depend on each other);
    ``minibatch_std``, show each score how varied its batch is; ``momentum`` as the generator's. A
    label is shown as one more channel of the image.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 64,
        norm: Literal["batch", "layer", "none"] = "batch",
        minibatch_std: bool = False,
        momentum: float = 0.1,
    ) -> None:
        check_width(width)
        if norm not in ("batch", "layer", "none"):
            raise SpecError(f"norm is '{norm}': it must be batch, layer or none")

        size = spec.size
        widths = [spec.channels + bool(spec.classes)] + [_widened(width, step) for step in range(size.doublings)]
        super().__init__(spec, (widths[-1] + minibatch_std) * size.base_height * size.base_width)
        self.label = LabelMap(len(spec.classes), spec.height, spec.width) if spec.classes else None

        norms = ["none"] + [norm] * (size.doublings - 1)
        self.halve = nn.Sequential(
            *(_strided(a, b, kind, momentum) for (a, b), kind in zip(pairwise(widths), norms, strict=True))
        )
        self.compare = MinibatchStandardDeviation() if minibatch_std else nn.Identity()
        self.last = nn.Linear(self.feature_dim, 1)
        self.apply(initialise)

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, height, width)`` to ``(n, feature_dim)``."""
        if self.label is not None:
            images = self.label.append_map(images, label)
        x: Tensor = self.compare(self.halve(images))  # (n, widest, base_height, base_width)
        return x.flatten(1)

    def score(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, feature_dim)`` to logits ``(n,)``."""
        logits: Tensor = self.last(features)  # (n, 1)
        return logits.flatten()


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02) (section 4); batch norm scales from N(1, 0.02) and biases 0, as is usual."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def check_width(width: int, option: str = "width") -> None:
    """Raise SpecError, naming the ``option``, for a width that no network of ours has."""
    if not 1 <= width <= 1024:
        raise SpecError(f"{option} must be 1 to 1024, not {width}")


def _widened(width: int, doublings: int) -> int:
    return width * min(1 << doublings, WIDEST)


def _resized(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False))


def _strided(inputs: int, outputs: int, norm: str, momentum: float) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=norm == "none")
    normalisation: list[nn.Module] = []
    if norm == "batch":
        normalisation.append(nn.BatchNorm2d(outputs, momentum=momentum))
    elif norm == "layer":
        normalisation.append(nn.GroupNorm(1, outputs))  # layer norm over channels and positions
    return nn.Sequential(convolution, *normalisation, nn.LeakyReLU(0.2, True))
