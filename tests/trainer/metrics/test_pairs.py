"""Figures of pairs against closed forms, slow loops and torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure as reference_ssim

from tests.trainer.conftest import blobs
from trainer.metrics.pairs import alpha_iou, distance, l1, l1_within, mean_of, psnr, ssim


def random_images(count: int, height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (count, height, width, channels)).astype(np.uint8)


def flat(value: int | tuple[int, ...], channels: int = 3) -> np.ndarray:
    return np.broadcast_to(np.array(value, np.uint8), (1, 16, 12, channels)).copy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("offset", [1, 7, 100, 255])
def test_psnr_and_l1_of_an_offset(channels: int, offset: int) -> None:
    dark, light = flat(0, channels), flat(offset, channels)
    assert psnr(light, dark) == pytest.approx([20 * np.log10(255 / offset)], abs=1e-9)
    assert l1(dark, light) == pytest.approx([offset], abs=1e-4)


def test_psnr_of_equal_images_is_that_of_one_value_off_by_one() -> None:
    image, other = flat(9), flat(9)
    other[0, 3, 4, 1] += 1
    expected = 20 * np.log10(255) + 10 * np.log10(16 * 12 * 3)
    assert psnr(image, image) == pytest.approx([expected])
    assert psnr(other, image) == pytest.approx([expected])


def test_l1_is_of_premultiplied_values_with_alpha_among_them() -> None:
    red, nothing = flat((255, 0, 0, 51), 4), flat((0, 255, 0, 0), 4)
    assert l1(red, nothing) == pytest.approx([(51 + 51) / 4], abs=1e-4)
    assert psnr(red, nothing) == pytest.approx(
        [10 * np.log10(255**2 / (2 * 51**2 / 3))]
    )  # red over white: 255, 204, 204


def test_l1_within_looks_nowhere_else_and_where_there_is_nothing_is_no_figure() -> None:
    x, y = random_images(3, 8, 8, 3), random_images(3, 8, 8, 3, seed=1)
    where = np.random.RandomState(2).uniform(size=(3, 8, 8)) < 0.3
    where[2] = False
    slow = [
        np.mean([abs(int(x[n, i, j, c]) - int(y[n, i, j, c])) for i, j in np.argwhere(where[n]) for c in range(3)])
        for n in range(2)
    ]
    found = l1_within(x, y, where)
    assert found[:2] == pytest.approx(slow)
    assert np.isnan(found[2])
    assert mean_of(found) == pytest.approx(np.mean(slow))
    assert mean_of(found[2:]) is None


def test_alpha_iou_counts_pixels_from_half_opaque_on() -> None:
    ours, theirs = np.zeros((2, 4, 4, 4), np.uint8), np.zeros((2, 4, 4, 4), np.uint8)
    ours[0, :2, :, 3] = 128
    theirs[0, :, :2, 3] = 255
    theirs[0, 3, 3, 3] = 127
    assert alpha_iou(ours, theirs) == pytest.approx([4 / 12, 1])
    assert np.isnan(alpha_iou(ours[..., :3], theirs[..., :3])).all()


@pytest.mark.parametrize("size", [(11, 11), (16, 23)])
def test_ssim_is_that_of_torchmetrics(size: tuple[int, int]) -> None:
    x = random_images(70, *size, 3)
    y = np.clip(x + np.random.RandomState(1).normal(0, 60, x.shape), 0, 255).astype(np.uint8)
    as_reference = [torch.from_numpy(each).permute(0, 3, 1, 2).double() for each in (x, y)]
    _, everywhere = reference_ssim(*as_reference, data_range=255.0, return_full_image=True)
    within = everywhere[:, :, 5:-5, 5:-5]  # windows that hold mirrored pixels are its own idea
    assert ssim(x, y) == pytest.approx(within.mean(dim=(1, 2, 3)).numpy(), abs=1e-7)
    assert ssim(x, x) == pytest.approx(np.ones(70))


@pytest.mark.parametrize(("size", "window"), [((8, 30), 7), ((5, 5), 5), ((2, 1), 1), ((12, 10), 9)])
def test_ssim_of_small_images_has_the_largest_window_that_fits(size: tuple[int, int], window: int) -> None:
    x, y = random_images(2, *size, 3), random_images(2, *size, 3, seed=1)
    assert ssim(x, y) == pytest.approx(slow_ssim(x, y, window), abs=1e-9)


def slow_ssim(first: np.ndarray, second: np.ndarray, window: int) -> list[float]:
    """Equation 13 of Wang et al., window by window."""
    steps = np.arange(window) - window // 2
    weight = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.5**2))
    weight /= weight.sum()
    found = []
    for one, other in zip(first.astype(float), second.astype(float), strict=True):
        values = []
        for i, j in np.ndindex(one.shape[0] - window + 1, one.shape[1] - window + 1):
            x, y = one[i : i + window, j : j + window], other[i : i + window, j : j + window]
            w = weight[..., None]
            mx, my = (w * x).sum((0, 1)), (w * y).sum((0, 1))
            vx, vy, c = (
                (w * (x - mx) ** 2).sum((0, 1)),
                (w * (y - my) ** 2).sum((0, 1)),
                (w * (x - mx) * (y - my)).sum((0, 1)),
            )
            values.append((2 * mx * my + 6.5025) * (2 * c + 58.5225) / ((mx**2 + my**2 + 6.5025) * (vx + vy + 58.5225)))
        found.append(float(np.mean(values)))
    return found


def test_grey_and_transparent_images_have_all_figures_of_what_one_sees() -> None:
    grey = random_images(1, 16, 16, 1)
    assert ssim(grey, 255 - grey) == pytest.approx(ssim(grey.repeat(3, 3), 255 - grey.repeat(3, 3)))
    disc = blobs(1)
    hidden = disc.copy()
    hidden[..., :3][disc[..., 3] == 0] = 77
    for figure, best in ((ssim, 1), (l1, 0), (alpha_iou, 1)):
        assert figure(hidden, disc) == pytest.approx([best])


def test_distance_of_features() -> None:
    assert distance(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])) == pytest.approx(
        [5, 0]
    )
