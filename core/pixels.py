"""Pixels to network values and back, in torch: the trainer and the exported graph share these two functions.

RGBA networks work on **premultiplied** alpha: colour that nobody can see has no weight, edges blend without
halos, and a transparent pixel is one point (all channels at the low end), not a whole cube of colours.
"""

import torch
from torch import Tensor

_LEVELS = 255.0


def to_values(images: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Straight-alpha uint8 ``(n, h, w, c)`` to premultiplied float32 ``(n, c, h, w)`` in ``value_range``.

    Traced into every translator's graph, which then begins with Cast, then Transpose: TensorRT has no uint8 transpose.
    """
    unit = images.to(torch.float32).permute(0, 3, 1, 2) / _LEVELS  # (n, c, h, w)
    if unit.shape[1] == 4:
        colour, alpha = unit[:, :3], unit[:, 3:]
        unit = torch.cat([colour * alpha, alpha], dim=1)
    low, high = value_range
    return unit * (high - low) + low


def to_pixels(values: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Premultiplied float ``(n, c, h, w)`` in ``value_range`` to straight-alpha uint8 ``(n, h, w, c)``.

    Traced into every exported graph, so the order matters: Transpose, then Cast last (TensorRT refuses the
    reverse). Below one level of alpha the colour fades to black, which it reaches where alpha becomes 0, instead of
    being divided by nearly nothing: the function is continuous, so a rounding error of a runtime stays one.
    """
    low, high = value_range
    levels = ((values.float() - low) * (_LEVELS / (high - low))).clamp(0.0, _LEVELS)
    if values.shape[1] == 4:
        colour, alpha = levels[:, :3], levels[:, 3:]
        gain = _LEVELS / alpha.clamp(min=0.5)
        gain = torch.minimum(gain, 2 * _LEVELS - gain)  # from one level of alpha down to half of one, falls to 0
        levels = torch.cat([torch.minimum(colour, alpha) * gain, alpha], dim=1)
    return torch.round(levels).permute(0, 2, 3, 1).to(torch.uint8)
