"""How far images are apart, by hand."""

from dataclasses import asdict

import numpy as np

from core.difference import Difference, VisibleDifference, levels_apart, relative_difference


def test_levels_apart():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    other = images.copy()
    other[0, 1, 1, 2] = 255
    assert levels_apart(images, images) == 0
    assert levels_apart(images, other) == levels_apart(other, images) == 255
    assert levels_apart(images, images[:, :1]) == 256
    assert levels_apart(images, images.astype(np.float32)) == 256
    assert levels_apart(images[:0], images[:0]) == 0


def test_differences_count_both_ways_and_past_128():
    first, second = (np.random.RandomState(seed).randint(0, 256, (2, 3, 4, 3), np.uint8) for seed in (0, 1))
    expected = max(abs(a - b) for a, b in zip(first.flatten().tolist(), second.flatten().tolist(), strict=True))
    assert 128 < expected < 255
    found = levels_apart(first, second)
    assert found == expected
    assert type(found) is int, "it goes into JSON"
    assert levels_apart(first, first + np.uint8(0)) == 0


def test_a_pixel_differs_if_any_of_its_channels_does():
    images = np.zeros((2, 2, 2, 3), np.uint8)
    other = images.copy()
    other[0, 0, 0], other[1, 1, 1, 2] = (1, 0, 5), 3
    assert asdict(Difference.between(other, images)) == {"levels": 5, "pixels": 0.25}
    assert Difference.between(images[:, :1], images) == Difference(256, 1.0)
    white = np.full_like(images, 255)
    assert Difference.between(white, images) == Difference(255, 1.0)
    white[0] = 0
    assert Difference.between(white, images) == Difference(255, 0.5)


def test_distance_by_hand():
    """Colour counts as it is seen: 200 and 100 under alpha 128 of 255 are 100.4 and 50.2."""
    images = np.zeros((2, 1, 1, 4), np.uint8)
    images[0, 0, 0] = (200, 0, 100, 128)
    expected = np.zeros_like(images)
    expected[0, 0, 0] = (100, 0, 100, 128)
    seen = 100 * 128 / 255
    psnr = 10 * np.log10(8 / (seen / 255) ** 2)
    assert VisibleDifference.between(images, expected) == VisibleDifference(
        round(seen / 8, 4), round(seen, 2), round(psnr, 2)
    )
    assert VisibleDifference.between(expected, images) == VisibleDifference.between(images, expected)
    thin, thick = (np.array([[[[0, 0, 0, alpha]]]], np.uint8) for alpha in (64, 128))
    assert VisibleDifference.between(thin, thick).most == 64
    black, white = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 255, np.uint8)
    assert VisibleDifference.between(white, black) == VisibleDifference(255.0, 255.0, 0.0)
    assert VisibleDifference.between(white, white) == VisibleDifference(0.0, 0.0, 100.0)
    assert VisibleDifference.between(black[:, :1], black) == VisibleDifference(256.0, 256.0, 0.0)
    assert images[0, 0, 0].tolist() == [200, 0, 100, 128]  # as they were
    assert str(VisibleDifference(0.25, 4.0, 35.0)) == "mean 0.250 and at most 4.0 of 255 levels apart, PSNR 35.0 dB"


def test_a_difference_of_next_to_nothing_is_100_decibels():
    """Floats, as the emulation of halves gives them: 1e-6 of a level would be 168."""
    black = np.zeros((1, 1, 1, 1), np.float32)
    assert VisibleDifference.between(black + np.float32(1e-6), black).psnr == 100.0


def test_relative_difference_is_a_share_of_the_largest_expected():
    expected = np.array([[4.0, -8.0]], np.float32)
    assert relative_difference(expected + np.float32([[0, 2]]), expected) == 0.25
    assert relative_difference(expected, expected) == 0.0
    assert np.isnan(relative_difference(expected * np.nan, expected))
    assert relative_difference(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0
