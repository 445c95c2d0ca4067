"""Differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738): both players see every image through it.

Values are in [-1, 1], premultiplied. Nothing here touches alpha except by moving the whole image, so no
network ever learns to cut transparency into a picture. Randomness is torch's global state.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 1 / 8  # of each side, as in the paper


def colour(images: Tensor) -> Tensor:
    """Random brightness (±0.5), saturation (0 to 2) and contrast (0.5 to 1.5), each drawn per image; alpha as it was.

    Grey images change in brightness and contrast only. ``(n, c, h, w)`` in, the same out.
    """
    n, c = images.shape[:2]
    draws = torch.rand(3, n, 1, 1, 1, device=images.device)
    unit = (images + 1) / 2
    alpha = unit[:, 3:] if c == 4 else torch.ones_like(unit[:, :1])
    hue = unit[:, :3] if c >= 3 else unit
    hue = hue + (draws[0] - 0.5) * alpha  # premultiplied: light is added in proportion to alpha
    mean = hue.mean(dim=1, keepdim=True)
    hue = mean + (hue - mean) * (draws[1] * 2)
    weight = alpha.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    middle = mean.sum(dim=(1, 2, 3), keepdim=True) / weight  # the mean visible tone
    hue = alpha * middle + (hue - alpha * middle) * (draws[2] + 0.5)
    return torch.cat([hue, alpha], dim=1) * 2 - 1 if c == 4 else hue * 2 - 1


def translation(images: Tensor) -> Tensor:
    """Shift each image by up to an eighth of its sides, by whole pixels.

    What comes in is transparent where there is alpha, and the border's colour otherwise (a black edge would teach
    the generator black edges). ``(n, c, h, w)`` in, the same out.
    """
    n, c, h, w = images.shape
    reach_h, reach_w = round(h * SHIFT), round(w * SHIFT)
    tops = torch.randint(2 * reach_h + 1, (n, 1, 1, 1), device=images.device)
    lefts = torch.randint(2 * reach_w + 1, (n, 1, 1, 1), device=images.device)
    pad = (reach_w, reach_w, reach_h, reach_h)
    padded = F.pad(images, pad, value=-1.0) if c == 4 else F.pad(images, pad, mode="replicate")
    rows = (torch.arange(h, device=images.device).view(1, 1, h, 1) + tops).expand(n, c, h, padded.shape[3])
    columns = (torch.arange(w, device=images.device).view(1, 1, 1, w) + lefts).expand(n, c, h, w)
    return padded.gather(2, rows).gather(3, columns)


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "colour": colour,
    "translation": translation,
}


def augment(images: Tensor, names: Sequence[str], probability: float = 1.0) -> Tensor:
    """``images`` through each augmentation named, in order; each touches every image with ``probability``."""
    for name in names:
        changed = AUGMENTATIONS[name](images)
        if probability < 1:
            chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
            changed = torch.where(chosen, changed, images)
        images = changed
    return images
