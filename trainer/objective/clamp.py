"""Fakes as pixels will show them."""

from typing import Any

import torch
from torch import Tensor

PULL = 0.01  # of the gradient that would bring a value back in: enough to, where all values are outside


class _Clamp(torch.autograd.Function):
    """A clamp whose gradient is not quite 0 outside where it leads back in."""

    @staticmethod
    def forward(context: Any, values: Tensor, low: float, high: float) -> Tensor:
        context.save_for_backward(values)
        context.ends = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (values,) = context.saved_tensors
        low, high = context.ends
        inwards = ((values > high) & (gradient > 0)) | ((values < low) & (gradient < 0))  # descent goes against it
        slope = torch.where(inwards, PULL, ((values >= low) & (values <= high)).to(gradient.dtype))
        return gradient * slope, None, None


def clamp(values: Tensor, low: float, high: float) -> Tensor:
    """``values`` of any shape clamped to ``low`` … ``high``, as every exported image is.

    A discriminator that saw more could tell fakes by how exactly they hit the ends of the range, which most pixels
    of a sprite lie at. Outside, a hundredth of the gradients that lead back in is left. A plain clamp leaves none, and
    a generator that once left the range altogether never learns again; the whole gradient would hold every value
    at the very edge, and flat ground would be hit no more exactly than before.
    """
    out: Tensor = _Clamp.apply(values, low, high)  # type: ignore[no-untyped-call]
    return out
