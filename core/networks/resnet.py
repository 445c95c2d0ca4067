"""The translator of Johnson, Alahi and Fei-Fei 2016 (arXiv 1603.08155), as CycleGAN has it: Zhu et al. 2017 (arXiv
1703.10593), section 7.2, for any size a small base can double to and sources of another size."""

from torch import Tensor, nn

from core.networks.base import Translator
from core.networks.dcgan import check_width
from core.networks.translating import (
    NORMS,
    UPS,
    Norm,
    Up,
    check_between,
    check_choice,
    doubling_layers,
    entry_step,
    initialise,
    norm_layers,
    ranged,
    resized,
    sides_at,
)
from core.spec import GeneratorSpec


class ResNet(Translator):
    """In the paper's words c7s1-64, d128, d256, ``blocks`` times R256, u128, u64, c7s1-3.

    Options: ``width``, the channels at the target's size (and at larger ones), doubled with every halving; ``downs``,
    how often the target's size is halved on the way: a smaller source is halved less often, a larger one more;
    ``blocks`` (the paper: 9, or 6 at 128 pixels); ``norm``, "instance" (the paper), "batch" or "none"; ``up``, "resize"
    or "transposed" (the paper, but 4x4 in place of 3x3, which a stride of 2 does not divide).

    RGBA to RGBA by default: 11.4 M parameters, 6.5 GFLOP an image at 64x64 and 25.9 at 128x128.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        width: int = 64,
        downs: int = 2,
        blocks: int = 9,
        norm: Norm = "instance",
        up: Up = "resize",
    ) -> None:
        super().__init__(spec)
        check_width(width)
        check_between("blocks", blocks, 0, 64)
        check_choice("norm", norm, NORMS)
        check_choice("up", up, UPS)
        self.first = first = entry_step(spec)
        check_between("downs", downs, max(first, 1), spec.size.doublings)
        bias = norm == "none"

        def channels(step: int) -> int:
            """Of the maps at the target's size halved ``step`` times."""
            return width << max(step, 0)

        def ends(step: int) -> list[nn.Module]:
            """What follows a convolution to those maps."""
            return [*norm_layers(norm, channels(step), *sides_at(spec.size, step)), nn.ReLU(True)]

        layers = [nn.ReflectionPad2d(3), nn.Conv2d(self.source.channels, channels(first), 7, bias=bias), *ends(first)]
        for step in range(first + 1, downs + 1):
            layers += [nn.Conv2d(channels(step - 1), channels(step), 3, 2, 1, bias=bias), *ends(step)]
        layers += [Residual(channels(downs), norm, *sides_at(spec.size, downs)) for _ in range(blocks)]
        for step in range(downs - 1, -1, -1):
            layers += [*doubling_layers(up, channels(step + 1), channels(step), bias), *ends(step)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(channels(0), spec.channels, 7)]
        self.layers = nn.Sequential(*layers)
        initialise(self, norm)
        if norm == "none":
            for block in self.layers:
                if isinstance(block, Residual):
                    block.begin_with_nothing()

    def forward(self, source: Tensor) -> Tensor:
        """Sources ``(n, c, h, w)`` to images ``(n, c', h', w')``, both in the value range."""
        made = self.layers(resized(source, *sides_at(self.spec.size, self.first)))
        return ranged(made, self.spec.value_range)


class Residual(nn.Module):
    """Two 3x3 convolutions that are added to what they see (Johnson et al. 2016: no rectifier after the sum)."""

    def __init__(self, channels: int, norm: Norm, height: int, width: int) -> None:
        super().__init__()
        first, last = (nn.Conv2d(channels, channels, 3, bias=norm == "none") for _ in range(2))
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(1), first, *norm_layers(norm, channels, height, width), nn.ReLU(True)),
            *(nn.ReflectionPad2d(1), last, *norm_layers(norm, channels, height, width)),
        )

    def begin_with_nothing(self) -> None:
        """Add 0 at first, as Fixup does (Zhang et al. 2019): without a norm each block would double the variance."""
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, height, width)`` to the same."""
        out: Tensor = x + self.layers(x)
        return out
