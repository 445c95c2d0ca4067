"""Augmentations: what they may and may not do to a picture."""

import pytest
import torch

from trainer.augment import AUGMENTATIONS, SHIFT, AdaptiveShare, augment, colour, cutout, flip, translation


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


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_penalties_can_be_differentiated_through_it(name: str) -> None:
    images = premultiplied(c=3).requires_grad_()
    weight = torch.ones(3, 16, 16, requires_grad=True)
    torch.manual_seed(0)
    score = (AUGMENTATIONS[name](images) * weight).square().sum()
    (gradient,) = torch.autograd.grad(score, images, create_graph=True)
    gradient.square().sum().backward()
    assert weight.grad.isfinite().all() and weight.grad.abs().sum() > 0


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


def test_cutout_greys_a_box_in_proportion_to_alpha_and_nothing_else() -> None:
    images = premultiplied(n=40)
    changed = cutout(images)
    assert torch.equal(changed[:, 3], images[:, 3])
    alpha = (images[:, 3:] + 1) / 2
    grey = (alpha * 0.5 * 2 - 1).expand(-1, 3, -1, -1)
    touched = (changed != images)[:, :3].any(dim=1)  # (n, h, w)
    assert torch.allclose(changed[:, :3].movedim(1, 3)[touched], grey.movedim(1, 3)[touched], atol=1e-6)
    transparent = images[:, 3] == -1
    assert transparent.any()
    assert not (touched & transparent).any()
    assert (touched & ~transparent).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_cutout_of_opaque_pictures_is_mid_grey_and_everywhere_equally_often(channels: int) -> None:
    torch.manual_seed(0)
    cut = cutout(torch.ones(20_000, channels, 8, 8))
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    assert (cut == cut[:, :1]).all()
    often = (cut[:, 0] == 0).float().mean(dim=0)  # (h, w)
    # Of the 9 centres along each side, 4 cover a pixel that is 4 or more from one border, fewer none.
    covering = torch.tensor([sum(c - 2 <= place < c + 2 for c in range(9)) for place in range(8)]) / 9
    torch.testing.assert_close(often, covering[:, None] * covering, atol=0.012, rtol=0)


def test_flip_mirrors_whole_pictures_or_leaves_them() -> None:
    images = premultiplied(n=400)
    flipped = flip(images)
    same = (flipped == images).flatten(1).all(dim=1)
    mirrored = (flipped == images.flip(3)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.float().mean() < 0.6
    assert torch.equal(flip(images.flip(3).maximum(images)), images.flip(3).maximum(images))  # symmetric ones stay


@pytest.mark.parametrize("share", [0.0, 0.3, torch.tensor(0.3), torch.tensor(0.0), torch.tensor(1.0)])
def test_the_share_of_touched_images_is_what_was_asked_for(share: float | torch.Tensor) -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 8).expand(20_000, 1, 8, 8)  # colour changes it unless it is left alone
    touched = (augment(ramp, ["colour"], share) != ramp).flatten(1).any(dim=1).float().mean().item()
    assert touched == pytest.approx(float(share), abs=0.012)


def test_several_augmentations_are_drawn_independently() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 8).expand(20_000, 1, 8, 8)
    changed = augment(ramp, ["flip", "cutout"], 0.5)
    flipped = changed[:, 0, :, 0].amax(dim=1) == 1
    assert flipped.float().mean().item() == pytest.approx(0.25, abs=0.03)


def verdicts(share_positive: float, n: int = 100) -> torch.Tensor:
    positive = round(share_positive * n)
    return torch.cat([torch.ones(positive), -torch.ones(n - positive)]) * torch.rand(n).add(0.1)


@pytest.mark.parametrize(("positive", "direction"), [(0.8, 1), (0.7, -1), (0.75, 0)])  # r = 0.6, 0.4, 0.5
def test_the_adaptive_share_moves_by_the_images_seen_in_500_thousand(positive: float, direction: int) -> None:
    share = AdaptiveShare()
    share.p.fill_(0.5)
    for _ in range(4):
        share.observe(verdicts(positive))
    share.adapt(0.5)
    assert share.p.item() == pytest.approx(0.5 + direction * 400 / 500_000, abs=1e-7)
    share.adapt(0.5)  # nothing was seen since
    assert share.p.item() == pytest.approx(0.5 + direction * 400 / 500_000, abs=1e-7)


def test_the_adaptive_share_goes_from_0_to_its_most_in_that_share_of_500_kimg_and_back() -> None:
    share, moves = AdaptiveShare(), 0
    while share.p < 0.3:
        share.observe(torch.ones(1000))
        share.adapt(0.6, most=0.3)
        moves += 1
    assert moves == 150
    share.observe(torch.ones(1000))
    share.adapt(0.6, most=0.3)
    assert share.p == pytest.approx(0.3)
    for _ in range(151):
        share.observe(-torch.ones(1000))
        share.adapt(0.6, most=0.3)
    assert share.p == 0
