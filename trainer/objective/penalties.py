"""What keeps a discriminator smooth. Each takes what was fed and what came out, and gives a scalar."""

import math

import torch
from torch import Tensor, nn


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """E ‖∇ₓ D(x)‖²: summed over pixels, averaged over the batch (Mescheder et al. 2018, equation 9, without γ/2).

    R1 on real images, R2 on fakes.

    ``logits`` ``(n,)`` must have been computed from ``images`` ``(n, c, h, w)``, which require gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)  # (n, c, h, w)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()


def interpolates(real: Tensor, fake: Tensor) -> Tensor:
    """ε x + (1 - ε) x̃ with ε ~ U[0, 1] an image, requiring gradients (Gulrajani et al. 2017, algorithm 1).

    Two batches ``(n, c, h, w)`` in, one of the real images' type out: under autocast fakes may be bfloat16.
    """
    weight = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
    return torch.lerp(fake.detach().to(real.dtype), real.detach(), weight).requires_grad_()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """E (‖∇ₓ D(x)‖₂ - 1)² (Gulrajani et al. 2017, equation 3, without λ), taken at ``interpolates``.

    ``logits`` ``(n,)`` must have been computed from ``images`` ``(n, c, h, w)``, which require gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)  # (n, c, h, w)
    # linalg's norm has a gradient of 0 at 0, where that of a square root would be infinite.
    norm: Tensor = torch.linalg.vector_norm(gradient.float().flatten(1), dim=1)  # (n,)
    return (norm - 1).square().mean()


def drift(real: Tensor) -> Tensor:
    """E D(x)², which keeps a critic's scores near 0 (Karras et al. 2018, appendix A.1, without ε)."""
    return real.square().mean()


def path_lengths(images: Tensor, styles: Tensor) -> Tensor:
    """‖Jᵀy‖ for y ~ N(0, 1 / pixels): how far a step in w moves each image (Karras et al. 2020, equation 4).

    ``images`` ``(n, c, h, w)`` must have been computed from ``styles``, ``(n, style_dim)`` or one for each layer
    ``(n, layers, style_dim)``, whose squared lengths are then averaged over the layers. Gives ``(n,)``.
    """
    n, _, h, w = images.shape
    direction = torch.randn_like(images) / math.sqrt(h * w)
    (gradient,) = torch.autograd.grad((images * direction).sum(), styles, create_graph=True)
    gradient = gradient.float().reshape(n, -1, styles.shape[-1])  # (n, layers or 1, style_dim)
    return (gradient.square().sum(dim=2).mean(dim=1) + 1e-12).sqrt()


def orthogonal(network: nn.Module) -> Tensor:
    """Σ ‖WᵀW ⊙ (1 - I)‖² over all filters of more than one (Brock et al. 2019, equation 3, without β).

    Keeps filters from repeating each other, and leaves their lengths alone. Rows are outputs, flattened. Where they are
    more than their length n, ‖WWᵀ‖ = ‖WᵀW‖ spares their products with each other: n² of them will do.
    """
    total = torch.zeros((), device=next(network.parameters()).device)
    for weight in network.parameters():
        if weight.ndim < 2:  # a bias
            continue
        rows = weight.flatten(1)  # (outputs, …)
        if len(rows) > rows.shape[1]:
            total = total + (rows.T @ rows).square().sum() - rows.square().sum(dim=1).square().sum()
        else:
            products = rows @ rows.T
            total = total + (products - torch.diag(products.diagonal())).square().sum()
    return total


@torch.no_grad()
def clip_weights(network: nn.Module, most: float) -> None:
    """Every weight back within -``most`` … ``most`` (Arjovsky et al. 2017, algorithm 1)."""
    torch._foreach_clamp_min_(list(network.parameters()), -most)
    torch._foreach_clamp_max_(list(network.parameters()), most)
