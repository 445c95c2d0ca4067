"""Augmentations: what they may and may not do to a picture."""

import pytest
import torch

from trainer.augment import AUGMENTATIONS, SHIFT, augment, colour, translation


def premultiplied(n: int = 6, c: int = 4, size: int = 16) -> torch.Tensor:
    unit = torch.rand(n, c, size, size)
    if c == 4:
        unit[:, 3:] = (unit[:, 3:] > 0.5).float() * unit[:, 3:]
        unit[:, :3] *= unit[:, 3:]
    return unit * 2 - 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_keeps_shape_passes_gradients_and_depends_on_the_seed_alone(name: str, channels: int) -> None:
    images = premultiplied(c=channels).requires_grad_()
    torch.manual_seed(1)
    first = AUGMENTATIONS[name](images)
    torch.manual_seed(1)
    again = AUGMENTATIONS[name](images)
    torch.manual_seed(2)
    other = AUGMENTATIONS[name](images)
    assert first.shape == images.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    first.sum().backward()
    assert images.grad.abs().sum() > 0


def test_colour_leaves_alpha_alone_and_transparent_pixels_transparent() -> None:
    images = premultiplied()
    changed = colour(images)
    assert torch.equal(changed[:, 3], (images[:, 3] + 1) / 2 * 2 - 1)
    hidden = (images[:, 3:] == -1).expand(-1, 3, -1, -1)
    assert hidden.any()
    assert changed[:, :3][hidden].eq(-1).all()
    assert not torch.allclose(changed[:, :3], images[:, :3], atol=0.05)


def test_translation_moves_whole_pictures_by_whole_pixels() -> None:
    images = premultiplied(n=40)
    moved = translation(images)
    reach = round(16 * SHIFT)
    shifts = set()
    for before, after in zip(images, moved, strict=True):
        found = [
            (dy, dx)
            for dy in range(-reach, reach + 1)
            for dx in range(-reach, reach + 1)
            if torch.equal(_shifted(before, dy, dx), after)
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert {dy for dy, _ in shifts} == {dx for _, dx in shifts} == set(range(-reach, reach + 1))


def test_translation_continues_the_border_of_opaque_pictures() -> None:
    white = torch.ones(8, 3, 16, 16)
    assert torch.equal(translation(white), white)


def test_augment_applies_nothing_unless_asked() -> None:
    images = premultiplied()
    assert augment(images, ()) is images


def _shifted(image: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    """The slow way: copy pixel by pixel, transparent where nothing comes from."""
    _, h, w = image.shape
    moved = torch.full_like(image, -1.0)
    for y in range(h):
        for x in range(w):
            if 0 <= y + dy < h and 0 <= x + dx < w:
                moved[:, y, x] = image[:, y + dy, x + dx]
    return moved
