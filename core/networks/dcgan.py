"""DCGAN: Radford, Metz and Chintala 2016 (arXiv 1511.06434), for any size a small base can double to.

Also with nearest up-sampling and convolutions in place of transposed convolutions, which cannot make
checkerboards (Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard Artifacts").
"""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.layers import MinibatchStandardDeviation
from core.spec import GeneratorSpec

WIDEST = 8  # channels never exceed 8 times the width, as in the paper's 64x64 networks


class DCGANGenerator(Generator):
    """Project the latent to a base of feature maps, then double it until it is the image (figure 1).

    Options: ``width``, the channels before the image (128 in figure 1, 64 in the networks usually called DCGAN; 2,
    4 and 8 times that before); ``upsample``, "transposed" (the paper) or "nearest" (resize, then convolve).
    """

    def __init__(
        self, spec: GeneratorSpec, width: int = 64, upsample: Literal["transposed", "nearest"] = "transposed"
    ) -> None:
        super().__init__(spec)
        _check_width(width)
        size = spec.size
        base = (size.base_height, size.base_width)
        if upsample == "transposed":
            widths = [_widened(width, size.doublings - 1 - step) for step in range(size.doublings)]
            doublings = [_transposed(a, b) for a, b in pairwise(widths)]
            image: nn.Module = nn.ConvTranspose2d(widths[-1], spec.channels, 4, 2, 1)
        elif upsample == "nearest":
            widths = [_widened(width, size.doublings - step) for step in range(size.doublings + 1)]
            doublings = [_resized(a, b) for a, b in pairwise(widths)]
            image = nn.Conv2d(widths[-1], spec.channels, 3, 1, 1)
        else:
            raise SpecError(f"upsample is '{upsample}': it must be transposed or nearest")
        self.project = nn.Sequential(
            nn.ConvTranspose2d(spec.latent_dim, widths[0], base, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(True)
        )
        self.stages = nn.Sequential(*doublings)
        self.image = nn.Sequential(image, nn.Tanh())
        self.apply(initialise)

    def synthesis(self, style: Tensor, label: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """``(n, latent_dim)`` to ``(n, channels, height, width)`` in [-1, 1]."""
        x = self.project(style[:, :, None, None])  # (n, widest, base_height, base_width)
        x = self.stages(x)
        images: Tensor = self.image(x)
        return images


class DCGANDiscriminator(Discriminator):
    """Strided convolutions down to the base, then one score (section 3: no pooling, LeakyReLU 0.2, batch norm).

    Options: ``width``, the channels after the first convolution; ``norm``, "batch" (the paper; not at the input)
    or "none" (which gradient penalties want); ``minibatch_std``, show each score how varied its batch is.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 64,
        norm: Literal["batch", "none"] = "batch",
        minibatch_std: bool = False,
    ) -> None:
        super().__init__(spec)
        _check_width(width)
        if norm not in ("batch", "none"):
            raise SpecError(f"norm is '{norm}': it must be batch or none")
        size = spec.size
        widths = [spec.channels] + [_widened(width, step) for step in range(size.doublings)]
        self.halve = nn.Sequential(
            *(_strided(a, b, norm == "batch" and step > 0) for step, (a, b) in enumerate(pairwise(widths)))
        )
        self.compare = MinibatchStandardDeviation() if minibatch_std else nn.Identity()
        self.score = nn.Conv2d(widths[-1] + minibatch_std, 1, (size.base_height, size.base_width))
        self.apply(initialise)

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """``(n, channels, height, width)`` to logits ``(n,)``."""
        x = self.halve(images)  # (n, widest, base_height, base_width)
        logits: Tensor = self.score(self.compare(x))  # (n, 1, 1, 1)
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


def _widened(width: int, doublings: int) -> int:
    return width * min(1 << doublings, WIDEST)


def _transposed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
    )


def _resized(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(True),
    )


def _strided(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not norm)
    normalisation = [nn.BatchNorm2d(outputs)] if norm else []
    return nn.Sequential(convolution, *normalisation, nn.LeakyReLU(0.2, True))


def _check_width(width: int) -> None:
    if not 1 <= width <= 1024:
        raise SpecError(f"width must be 1 to 1024, not {width}")
