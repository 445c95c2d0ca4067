"""What keeps a discriminator smooth. Each takes what was fed and what came out, and gives a scalar."""

import torch
from torch import Tensor


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """E ‖∇ₓ D(x)‖²: summed over pixels, averaged over the batch (Mescheder et al. 2018, equation 9, without γ/2).

    R1 on real images, R2 on fakes.

    ``logits`` ``(n,)`` must have been computed from ``images`` ``(n, c, h, w)``, which require gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)  # (n, c, h, w)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()
