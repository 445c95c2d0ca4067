"""The Inception network of FID and KID, from a weights file that the user gives: no registry here ships it.

It is the third Inception (Szegedy et al. 2015, "Rethinking the Inception Architecture", arXiv 1512.00567) as Google
published it in December 2015 with 1008 classes, which is what Heusel et al. 2017 measured with. It differs from the
later one of the model zoos: average pools do not count the padding, the last block pools by the maximum, images are
resized as TensorFlow 1 did, and values are (x - 128) / 128. Figures made with any other are not FID and KID.
"""

import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import CheckpointError
from core.files import sha256
from core.images import Images, over_background
from trainer.metrics.extractor import Extractor, a_few_at_once

SIDE = 299
DIM = 2048
USUAL_FILE = "pt_inception-2015-12-05-6726825d.pth"
USUAL_SHA256 = "6726825d"  # how it begins
PROTOCOL = {
    "images": "uint8, straight alpha composited over white, grey in three channels",
    "resize": f"bilinear as TensorFlow 1 did, without antialiasing, corners not aligned, to {SIDE}x{SIDE}",
}

_CLASSES = 1008  # the file holds their classifier, which is loaded and not used
_EPSILON = 1e-3


class _Convolution(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, before: int, after: int, kernel: tuple[int, int], stride: int, padded: bool) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else 0
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, before, h, w)`` to ``(n, after, h', w')``."""
        return F.relu(self.bn(self.conv(x)))


class _Row(NamedTuple):
    """A convolution in a block: what it reads ("x", "pool" or another row), channels, kernel, and whether it halves."""

    source: str
    channels: int
    kernel: tuple[int, int]
    halves: bool = False


_Rows = Mapping[str, _Row]


class _Mixed(nn.Module):
    """Branches side by side. What no other row reads is joined along the channels, in order, pooled images last."""

    def __init__(self, before: int, rows: _Rows, maximum: bool) -> None:
        super().__init__()
        self.rows, self.maximum = rows, maximum
        self.halves = any(row.halves for row in rows.values())
        widths = {"x": before, "pool": before} | {name: row.channels for name, row in rows.items()}
        for name, (source, channels, kernel, halves) in rows.items():
            stride, padded = (2, False) if halves else (1, True)
            self.add_module(name, _Convolution(widths[source], channels, kernel, stride, padded))
        read = {row.source for row in rows.values()}
        self.joined = [name for name in (*rows, "pool") if name not in read]
        self.after = sum(widths[name] for name in self.joined)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, before, h, w)`` to ``(n, after, h, w)``, or half of h and w."""
        known = {"x": x, "pool": self._pool(x)}
        for name, row in self.rows.items():
            known[name] = getattr(self, name)(known[row.source])
        return torch.cat([known[name] for name in self.joined], dim=1)

    def _pool(self, x: Tensor) -> Tensor:
        if self.halves:
            return F.max_pool2d(x, 3, 2)
        if self.maximum:
            return F.max_pool2d(x, 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _figure_5(pooled: int) -> _Rows:
    """At 35x35: the 5x5 convolution beside two of 3x3 (Szegedy et al. 2015, figure 5)."""
    return {
        "branch1x1": _Row("x", 64, (1, 1)),
        "branch5x5_1": _Row("x", 48, (1, 1)),
        "branch5x5_2": _Row("branch5x5_1", 64, (5, 5)),
        "branch3x3dbl_1": _Row("x", 64, (1, 1)),
        "branch3x3dbl_2": _Row("branch3x3dbl_1", 96, (3, 3)),
        "branch3x3dbl_3": _Row("branch3x3dbl_2", 96, (3, 3)),
        "branch_pool": _Row("pool", pooled, (1, 1)),
    }


def _figure_6(inside: int) -> _Rows:
    """At 17x17: convolutions of 7x7 as rows and columns of 7 (figure 6)."""
    return {
        "branch1x1": _Row("x", 192, (1, 1)),
        "branch7x7_1": _Row("x", inside, (1, 1)),
        "branch7x7_2": _Row("branch7x7_1", inside, (1, 7)),
        "branch7x7_3": _Row("branch7x7_2", 192, (7, 1)),
        "branch7x7dbl_1": _Row("x", inside, (1, 1)),
        "branch7x7dbl_2": _Row("branch7x7dbl_1", inside, (7, 1)),
        "branch7x7dbl_3": _Row("branch7x7dbl_2", inside, (1, 7)),
        "branch7x7dbl_4": _Row("branch7x7dbl_3", inside, (7, 1)),
        "branch7x7dbl_5": _Row("branch7x7dbl_4", 192, (1, 7)),
        "branch_pool": _Row("pool", 192, (1, 1)),
    }


_FIGURE_7: _Rows = {  # at 8x8: branches that end in two
    "branch1x1": _Row("x", 320, (1, 1)),
    "branch3x3_1": _Row("x", 384, (1, 1)),
    "branch3x3_2a": _Row("branch3x3_1", 384, (1, 3)),
    "branch3x3_2b": _Row("branch3x3_1", 384, (3, 1)),
    "branch3x3dbl_1": _Row("x", 448, (1, 1)),
    "branch3x3dbl_2": _Row("branch3x3dbl_1", 384, (3, 3)),
    "branch3x3dbl_3a": _Row("branch3x3dbl_2", 384, (1, 3)),
    "branch3x3dbl_3b": _Row("branch3x3dbl_2", 384, (3, 1)),
    "branch_pool": _Row("pool", 192, (1, 1)),
}
_FROM_35_TO_17: _Rows = {  # figure 10
    "branch3x3": _Row("x", 384, (3, 3), halves=True),
    "branch3x3dbl_1": _Row("x", 64, (1, 1)),
    "branch3x3dbl_2": _Row("branch3x3dbl_1", 96, (3, 3)),
    "branch3x3dbl_3": _Row("branch3x3dbl_2", 96, (3, 3), halves=True),
}
_FROM_17_TO_8: _Rows = {
    "branch3x3_1": _Row("x", 192, (1, 1)),
    "branch3x3_2": _Row("branch3x3_1", 320, (3, 3), halves=True),
    "branch7x7x3_1": _Row("x", 192, (1, 1)),
    "branch7x7x3_2": _Row("branch7x7x3_1", 192, (1, 7)),
    "branch7x7x3_3": _Row("branch7x7x3_2", 192, (7, 1)),
    "branch7x7x3_4": _Row("branch7x7x3_3", 192, (3, 3), halves=True),
}
_BLOCKS: Mapping[str, _Rows] = {
    "Mixed_5b": _figure_5(32),
    "Mixed_5c": _figure_5(64),
    "Mixed_5d": _figure_5(64),
    "Mixed_6a": _FROM_35_TO_17,
    "Mixed_6b": _figure_6(128),
    "Mixed_6c": _figure_6(160),
    "Mixed_6d": _figure_6(160),
    "Mixed_6e": _figure_6(192),
    "Mixed_7a": _FROM_17_TO_8,
    "Mixed_7b": _FIGURE_7,
    "Mixed_7c": _FIGURE_7,
}


class Inception(nn.Sequential):
    """The network up to its pooled features. Layers are named as in the weights file."""

    def __init__(self) -> None:
        super().__init__(OrderedDict([*_stem(), *_mixed(), ("fc", nn.Linear(DIM, _CLASSES))]))

    def forward(self, images: Tensor) -> Tensor:
        """RGB ``(n, 3, 299, 299)`` in 0 … 255 to features ``(n, 2048)``."""
        x = (images - 128) / 128
        for layer in list(self)[:-1]:
            x = layer(x)  # (n, 2048, 8, 8) at last
        return x.mean(dim=(2, 3))  # (n, 2048)


def _stem() -> Iterator[tuple[str, nn.Module]]:
    """From 299x299 to ``(n, 192, 35, 35)`` (table 1)."""
    yield "Conv2d_1a_3x3", _Convolution(3, 32, (3, 3), 2, padded=False)
    yield "Conv2d_2a_3x3", _Convolution(32, 32, (3, 3), 1, padded=False)
    yield "Conv2d_2b_3x3", _Convolution(32, 64, (3, 3), 1, padded=True)
    yield "pool_2", nn.MaxPool2d(3, 2)
    yield "Conv2d_3b_1x1", _Convolution(64, 80, (1, 1), 1, padded=False)
    yield "Conv2d_4a_3x3", _Convolution(80, 192, (3, 3), 1, padded=False)
    yield "pool_4", nn.MaxPool2d(3, 2)


def _mixed() -> Iterator[tuple[str, nn.Module]]:
    """From ``(n, 192, 35, 35)`` to ``(n, 2048, 8, 8)``; only the last block pools by the maximum."""
    width = 192
    for name, rows in _BLOCKS.items():
        block = _Mixed(width, rows, maximum=name == "Mixed_7c")
        yield name, block
        width = block.after


def resize_like_tensorflow_1(images: Tensor, side: int = SIDE) -> Tensor:
    """``(n, c, h, w)`` to ``(n, c, side, side)``: pixel i of the result lies at i · h / side, and nothing is smoothed.

    Both corners at the top left coincide, unlike in PyTorch, where the centres of the images do.
    """
    for axis in (3, 2):  # (n, c, h, side), then (n, c, side, side)
        size = images.shape[axis]
        place = torch.arange(side, dtype=torch.float64) * (size / side)
        low = place.long()
        high = (low + 1).clamp(max=size - 1)
        share = (place - low).to(images).view(-1, *[1] * (3 - axis))
        before, after = (images.index_select(axis, rows.to(images.device)) for rows in (low, high))
        images = torch.lerp(before, after, share)
    return images


def load_inception(path: Path) -> Inception:
    """The network with the weights in ``path``, in evaluation mode, without gradients. Raises CheckpointError."""
    weights = _weights(path)
    # They count batches, which nothing reads, in some files and not in others.
    weights = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    network = Inception()
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError:
        raise _refused(path, "holds another network's weights") from None
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise _refused(path, "holds numbers that are not finite")
    return network.eval().requires_grad_(False)


def _weights(path: Path) -> dict[str, Any]:
    """The state dict in a file, whose pickle may make tensors and nothing else."""
    if not path.is_file():
        raise _refused(path, "is not a file")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise _refused(path, "is TorchScript, which is a program and not weights")

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whatever a pickle that is none, or may not be read, makes of it
        raise _refused(path, "cannot be read as weights alone") from None

    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise _refused(path, "does not hold a state dict")
    return dict(found)


def _refused(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"--inception {path} {why}: give {USUAL_FILE}, the file of pytorch-fid and torch-fidelity")


def inception(path: Path, device: torch.device | str = "cpu") -> Extractor:
    """The network of ``path`` on ``device``. Its figures are called FID and KID only if the weights are the usual ones.

    Raises CheckpointError for a file that does not hold this network.
    """
    network = load_inception(path).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
    digest = sha256(path)

    def look(images: Images) -> Tensor:
        pooled: Tensor = network(prepare(images, device).contiguous(memory_format=torch.channels_last))
        return pooled

    @torch.no_grad()
    def features(images: Images) -> Tensor:
        with torch.backends.cudnn.flags(allow_tf32=False):  # the same figures on every device
            return a_few_at_once(images, look)

    protocol = {**PROTOCOL, "extractor": "Inception of 2015-12-05, pooled", "weights_sha256": digest}
    if digest.startswith(USUAL_SHA256):
        return Extractor("inception", protocol, features, kid="KID", frechet="FID")
    protocol["warning"] = f"not the usual weights, whose sha256 begins with {USUAL_SHA256}: this is neither FID nor KID"
    return Extractor(f"inception-{digest[:8]}", protocol, features)


def prepare(images: Images, device: torch.device | str = "cpu") -> Tensor:
    """uint8 ``(n, h, w, c)`` to RGB ``(n, 3, 299, 299)`` in 0 … 255: over white, resized as TensorFlow 1 did."""
    opaque = torch.from_numpy(over_background(images)).to(device).permute(0, 3, 1, 2).float()  # (n, 3, h, w)
    return resize_like_tensorflow_1(opaque)
