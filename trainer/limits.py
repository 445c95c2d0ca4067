"""Fakes as pixels will show them."""

from typing import Any

import torch
from torch import Tensor


class _Limited(torch.autograd.Function):
    """A clamp whose gradient dies only where it would push a value further out."""

    @staticmethod
    def forward(context: Any, values: Tensor, low: float, high: float) -> Tensor:
        context.save_for_backward(values)
        context.ends = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (values,) = context.saved_tensors
        low, high = context.ends
        # Descent moves a value against its gradient.
        outwards = ((values > high) & (gradient < 0)) | ((values < low) & (gradient > 0))
        return gradient.masked_fill(outwards, 0), None, None


def limited(values: Tensor, low: float, high: float) -> Tensor:
    """``values`` of any shape clamped to ``low`` … ``high``, as every exported image is.

    A discriminator that saw more could tell fakes by how exactly they hit the ends of the range, which most pixels
    of a sprite lie at. The gradient of a value outside still pulls it back in; a plain clamp's would be 0, and a
    generator that once left the range altogether would never learn again.
    """
    out: Tensor = _Limited.apply(values, low, high)  # type: ignore[no-untyped-call]
    return out
