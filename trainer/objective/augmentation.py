"""Differentiable augmentation (Zhao et al. 2020, arXiv 2006.10738): both players see every image through it.

Every operation can be differentiated twice, for gradient penalties.

Values are in [-1, 1], premultiplied. Nothing here touches alpha except by moving the whole image, so no
network ever learns to cut transparency into a picture. Randomness is torch's global state.

The share of images that is touched is fixed, follows a schedule, or adapts itself (Karras et al. 2020, "Training
Generative Adversarial Networks with Limited Data", arXiv 2006.06676, section 3).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHIFT = 1 / 8  # of each side, as in the paper
CUT = 1 / 2  # of each side, as in the paper
ADAPT_EVERY = 4  # rounds (Karras et al. 2020, section 3.1)
ADAPT_IMAGES = 500_000  # the adaptive share can rise from 0 to 1 in so many (section 3.1)


def colour(images: Tensor) -> Tensor:
    """Random brightness (±0.5), saturation (0 to 2) and contrast (0.5 to 1.5), each drawn per image; alpha as it was.

    Grey images change in brightness and contrast only. ``(n, c, h, w)`` in, the same out.
    """
    n, c = images.shape[:2]
    draws = torch.rand(3, n, 1, 1, 1, device=images.device)

    # In 0 … 1, alpha apart
    unit = (images + 1) / 2
    alpha = unit[:, 3:] if c == 4 else torch.ones_like(unit[:, :1])
    hue = unit[:, :3]  # or the one channel that there is

    # Brightness
    hue = hue + (draws[0] - 0.5) * alpha  # premultiplied: light is added in proportion to alpha

    # Saturation: away from or towards grey
    mean = hue.mean(dim=1, keepdim=True)
    hue = mean + (hue - mean) * (draws[1] * 2)

    # Contrast: away from or towards the middle
    weight = alpha.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    middle = mean.sum(dim=(1, 2, 3), keepdim=True) / weight  # the mean visible tone
    hue = alpha * middle + (hue - alpha * middle) * (draws[2] + 0.5)

    return torch.cat([hue, alpha], dim=1) * 2 - 1 if c == 4 else hue * 2 - 1


def translation(images: Tensor) -> Tensor:
    """Shift each image by up to an eighth of its sides, by whole pixels.

    What comes in is transparent where there is alpha, and the border's colour otherwise (a black edge would teach
    the generator black edges). ``(n, c, h, w)`` in, the same out.
    """
    (shifted,) = translated(images)
    return shifted


def translated(*stacks: Tensor) -> list[Tensor]:
    """``translation`` of stacks ``(n, c, h, w)`` of pictures that belong together, row by row alike.

    Where they differ in size, the smallest moves by whole pixels and the others by as much of their sides.
    """
    n, device = len(stacks[0]), stacks[0].device
    smallest = [min(stack.shape[axis] for stack in stacks) for axis in (2, 3)]
    reach = [round(side * SHIFT) for side in smallest]
    steps = [torch.randint(2 * most + 1, (n, 1, 1, 1), device=device) - most for most in reach]
    moved = []
    for stack in stacks:
        factors = [side / least for side, least in zip(stack.shape[2:], smallest, strict=True)]
        down, across = ((step * factor).round().long() for step, factor in zip(steps, factors, strict=True))
        most = [round(furthest * factor) for furthest, factor in zip(reach, factors, strict=True)]
        moved.append(_shifted(stack, down, across, *most))
    return moved


def _shifted(images: Tensor, down: Tensor, across: Tensor, most_down: int, most_across: int) -> Tensor:
    """``images`` ``(n, c, h, w)``, each moved by its own whole pixels, ``(n, 1, 1, 1)``, by at most so many."""
    n, c, h, w = images.shape
    pad = (most_across, most_across, most_down, most_down)
    padded = F.pad(images, pad, value=-1.0) if c == 4 else F.pad(images, pad, mode="replicate")
    rows = (torch.arange(h, device=images.device)[:, None] + down + most_down).expand(n, c, h, padded.shape[3])
    columns = (torch.arange(w, device=images.device) + across + most_across).expand(n, c, h, w)
    return padded.gather(2, rows).gather(3, columns)


def cutout(images: Tensor) -> Tensor:
    """Grey out a box of half the sides at a random place of each image, in proportion to alpha, which stays as it is.

    The box's centre is anywhere in the image, so it may hang over the border. ``(n, c, h, w)`` in, the same out.
    """
    n, c, h, w = images.shape
    inside = _span(n, h, images.device)[:, None, :, None] & _span(n, w, images.device)[:, None, None, :]
    if c < 4:
        return images.masked_fill(inside, 0.0)
    hue, alpha = images[:, :3], images[:, 3:]
    grey = (alpha - 1) / 2  # premultiplied: half of what alpha lets through
    return torch.cat([torch.where(inside, grey, hue), alpha], dim=1)


def _span(n: int, side: int, device: torch.device) -> Tensor:
    """Which of ``side`` pixels lie in a stretch of ``CUT`` of them around a random centre, ``(n, side)``."""
    length = round(side * CUT)
    start = torch.randint(side + 1 - length % 2, (n, 1), device=device) - length // 2
    place = torch.arange(side, device=device)
    return (place >= start) & (place < start + length)


def flip(images: Tensor) -> Tensor:
    """Mirror each image left to right, or not, by the toss of a coin. ``(n, c, h, w)`` in, the same out.

    Never on unless asked for: letters, and things that look one way, would come out mirrored.
    """
    (flipped,) = flipped_alike(images)
    return flipped


def flipped_alike(*stacks: Tensor) -> list[Tensor]:
    """``flip`` of stacks ``(n, c, h, w)`` of pictures that belong together: both or neither."""
    heads = torch.rand(len(stacks[0]), 1, 1, 1, device=stacks[0].device) < 0.5
    return [torch.where(heads, stack.flip(3), stack) for stack in stacks]


# What may be done to a source and its target alike without being learned as part of the translation.
ALIKE: dict[str, Callable[..., list[Tensor]]] = {"translation": translated, "flip": flipped_alike}


def augment_alike(names: Sequence[str], probability: float, *stacks: Tensor) -> list[Tensor]:
    """Stacks ``(n, c, h, w)`` of pictures that belong together through each augmentation of ``ALIKE`` that is named.

    Each touches a row of all stacks, or of none, with ``probability``.
    """
    together = [*stacks]
    for name in names:
        changed = ALIKE[name](*together)
        if probability < 1:
            chosen = torch.rand(len(stacks[0]), 1, 1, 1, device=stacks[0].device) < probability
            changed = [torch.where(chosen, new, old) for new, old in zip(changed, together, strict=True)]
        together = changed
    return together


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
    "flip": flip,
}


def augment(images: Tensor, names: Sequence[str], probability: float | Tensor = 1.0) -> Tensor:
    """``images`` through each augmentation named, in order; each touches every image with ``probability``.

    A ``probability`` that is a 0-dimensional tensor stays where it is: nobody waits for the device.
    """
    for name in names:
        changed = AUGMENTATIONS[name](images)
        if isinstance(probability, Tensor) or probability < 1:
            chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
            changed = torch.where(chosen, changed, images)
        images = changed
    return images


class AdaptiveShare(nn.Module):
    """p, the share of images to augment, steered by how sure the discriminator is of real images.

    A discriminator that knows its images by heart calls all of them real: r = E[sign D(real)] nears 1. Every few
    rounds p moves towards where r is on target, by the share of ``ADAPT_IMAGES`` that were seen meanwhile (Karras et
    al. 2020, equation 1 and section 3.1). A network of its own, so that it is saved with the others.
    """

    p: Tensor
    signs: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("p", "signs", "count"):
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def observe(self, logits: Tensor) -> None:
        """Count the signs of real images' logits ``(n,)``."""
        self.signs += logits.float().sign().sum()
        self.count += len(logits)

    def adapt(self, target: float, most: float = 1.0) -> None:
        """Move p within 0 … ``most`` by what was counted since the last time."""
        direction = (self.signs - target * self.count).sign()
        self.p.add_(direction * self.count / ADAPT_IMAGES).clamp_(0.0, most)
        self.signs.zero_()
        self.count.zero_()
