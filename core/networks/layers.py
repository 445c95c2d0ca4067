"""Layers that several families share. Each names the equation or section it follows."""

import torch
from torch import Tensor, nn


class MinibatchStandardDeviation(nn.Module):
    """Append one channel that tells how much the images of a group differ (Karras et al. 2018, section 3).

    The batch is cut into groups of ``group`` neighbours; every image of a group gets the mean, over features and
    positions, of the standard deviation over the group. A batch that ``group`` does not divide is one group.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c + 1, h, w)``."""
        n, c, h, w = x.shape
        size = self.group if n % self.group == 0 else n
        groups = x.reshape(n // size, size, c, h, w)
        deviation = (groups.var(dim=1, unbiased=False) + 1e-8).sqrt()  # (n / size, c, h, w)
        statistic = deviation.mean(dim=(1, 2, 3)).repeat_interleave(size)  # (n,)
        return torch.cat([x, statistic.reshape(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)
