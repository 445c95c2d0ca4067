"""Weights divided by their largest singular value: Miyato et al. 2018 (arXiv 1802.05957).

It is followed by one step of power iteration each time a layer is used in training (algorithm 1). In evaluation the
last value found is a constant, so an exported graph holds the quotient.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Spectral(nn.Module):
    """σ of a weight, and the direction it was found in; both are saved and averaged with the weights."""

    direction: Tensor
    norm: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        with torch.no_grad():
            rows = weight.flatten(1)
            left, values, _ = torch.linalg.svd(rows, full_matrices=False)  # exact for the fresh weight
        self.register_buffer("direction", left[:, 0].clone())
        self.register_buffer("norm", values[0].clone())

    def forward(self, weight: Tensor) -> Tensor:
        """``weight`` ``(outputs, …)`` divided by its norm."""
        if not self.training:
            return weight / self.norm
        with torch.autocast(weight.device.type, enabled=False):  # bfloat16 would be off by up to 0.4 %
            norm = self._step(weight.flatten(1))
        return weight / norm

    def _step(self, rows: Tensor) -> Tensor:
        """The norm of ``rows``, after one step of power iteration."""
        with torch.no_grad():
            right = F.normalize(rows.T @ self.direction, dim=0)
            left = F.normalize(rows @ right, dim=0)
            self.direction.copy_(left)
        norm = left @ rows @ right  # through which gradients pass, but not through the directions
        self.norm.copy_(norm.detach())
        return norm


class SpectralConv2d(nn.Conv2d):
    """A convolution whose weight has norm 1, with "same" padding unless another is given."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None, bias: bool = True
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if padding is None else padding, bias=bias)
        nn.init.orthogonal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.spectral = Spectral(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, h / stride, w / stride)``."""
        return F.conv2d(x, self.spectral(self.weight), self.bias, self.stride, self.padding)


class SpectralLinear(nn.Linear):
    """A linear layer whose weight has norm 1."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        nn.init.orthogonal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.spectral = Spectral(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs)`` to ``(n, outputs)``."""
        return F.linear(x, self.spectral(self.weight), self.bias)


class SpectralEmbedding(nn.Embedding):
    """Rows of a table whose weight has norm 1."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__(count, dim)
        nn.init.orthogonal_(self.weight)
        self.spectral = Spectral(self.weight)

    def forward(self, index: Tensor) -> Tensor:
        """int64 ``(n,)`` to ``(n, dim)``."""
        return F.embedding(index, self.spectral(self.weight))
