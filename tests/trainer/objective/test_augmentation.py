"""Augmentations: what they may and may not do to a picture."""

import pytest
import torch

from trainer.objective.augmentation import (
    AUGMENTATIONS,
    SHIFT,
    AdaptiveShare,
    augment,
    colour,
    cutout,
    flip,
    translation,
)


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


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colour_against_a_pixel_by_pixel_reference(channels: int) -> None:
    images = premultiplied(n=5, c=channels, size=4)
    if channels == 4:
        images[0] = -1
        images[0, :, 1, 1] = torch.tensor([-0.4, -0.6, -0.7, -0.4])  # less than one pixel's worth is seen at all
    torch.manual_seed(7)
    changed = colour(images)
    torch.manual_seed(7)
    draws = torch.rand(3, 5).tolist()
    for image, found, light, saturation, contrast in zip(images, changed, *draws, strict=True):
        assert torch.allclose(found, _coloured(image, light - 0.5, 2 * saturation, contrast + 0.5), atol=1e-5)


def _coloured(image: torch.Tensor, light: float, saturation: float, contrast: float) -> torch.Tensor:
    """The slow way: each pixel's colours nearer to or further from its grey, and that from the mean visible tone."""
    channels, height, width = image.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    pixels = {place: [(value.item() + 1) / 2 for value in image[:, place[0], place[1]]] for place in places}
    alpha = {place: pixel[3] if channels == 4 else 1.0 for place, pixel in pixels.items()}
    lit = {place: [value + light * alpha[place] for value in pixel[:3]] for place, pixel in pixels.items()}
    grey = {place: sum(values) / len(values) for place, values in lit.items()}
    tone = sum(grey.values()) / max(sum(alpha.values()), 1)
    changed = image.clone()
    for (y, x), values in lit.items():
        for channel, value in enumerate(values):
            vivid = grey[y, x] + saturation * (value - grey[y, x])
            middle = alpha[y, x] * tone
            changed[channel, y, x] = 2 * (middle + contrast * (vivid - middle)) - 1
    return changed


def test_translation_reaches_an_eighth_of_each_side() -> None:
    torch.manual_seed(0)
    rows, columns = torch.linspace(0, 1, 64)[:, None].expand(64, 24), torch.linspace(0, 1, 24).expand(64, 24)
    moved = translation(torch.stack([rows, columns, columns]).expand(600, 3, 64, 24))
    down, right = (moved[:, 0, 32, 12] * 63).round() - 32, (moved[:, 1, 32, 12] * 23).round() - 12
    assert set(down.int().tolist()) == set(range(-8, 9))
    assert set(right.int().tolist()) == set(range(-3, 4))


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


def test_augmenting_all_images_draws_no_lots() -> None:
    images = premultiplied(n=3)
    torch.manual_seed(0)
    found = augment(images, ["flip"])
    after = torch.rand(())
    torch.manual_seed(0)
    assert torch.equal(found, flip(images))
    assert torch.equal(torch.rand(()), after)


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


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 10, 6)])
def test_cutout_of_opaque_pictures_is_mid_grey_and_everywhere_equally_often(
    channels: int, height: int, width: int
) -> None:
    torch.manual_seed(0)
    cut = cutout(torch.ones(20_000, channels, height, width))
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    assert (cut == cut[:, :1]).all()
    often = (cut[:, 0] == 0).float().mean(dim=0)  # (h, w)
    # The centre of a box of 4 pixels is one of 9 edges of 8, that of a box of 5 or 3 one of 10 or 6 pixels.
    starts = {8: (range(-2, 7), 4), 10: (range(-2, 8), 5), 6: (range(-1, 5), 3)}
    covering = []
    for side in (height, width):
        begin, length = starts[side]
        covering.append(torch.tensor([sum(s <= at < s + length for s in begin) for at in range(side)]) / len(begin))
    torch.testing.assert_close(often, covering[0][:, None] * covering[1], atol=0.012, rtol=0)


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


def test_the_adaptive_share_counts_exactly_and_holds_no_graph() -> None:
    share = AdaptiveShare()
    share.observe(torch.ones(301, dtype=torch.bfloat16, requires_grad=True))  # a number that bfloat16 lacks
    assert (share.signs.item(), share.count.item()) == (301, 301)
    assert not share.signs.requires_grad


def test_the_adaptive_share_is_a_share() -> None:
    share = AdaptiveShare()
    share.p.fill_(0.9999)
    share.observe(torch.ones(1000))
    share.adapt(0.6)
    assert share.p == 1
