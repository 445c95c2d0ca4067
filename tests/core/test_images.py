"""Pictures as arrays and as PNG files."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from core.images import (
    checkerboard,
    clear_hidden_colour,
    encode_png,
    from_pillow,
    over_background,
    over_checkerboard,
    sheet,
)

pictures = st.sampled_from([1, 3, 4]).flatmap(lambda c: arrays(np.uint8, (5, 7, c)))


@given(pictures)
def test_png_there_and_back_with_its_text(image: np.ndarray) -> None:
    data = encode_png(image, {"seed": "42", "model": "émoji"})
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.text == {"seed": "42", "model": "émoji"}
        assert np.array_equal(from_pillow(opened, image.shape[2]), image)
    assert data == encode_png(image, {"seed": "42", "model": "émoji"})


@given(arrays(np.uint8, (3, 4, 5, 4)))
def test_hidden_colour_is_cleared_and_nothing_else(images: np.ndarray) -> None:
    cleared = clear_hidden_colour(images)
    hidden = images[..., 3] == 0
    assert cleared.dtype == np.uint8
    assert np.array_equal(clear_hidden_colour(images[0]), cleared[0])
    assert (cleared[hidden] == 0).all()
    assert np.array_equal(cleared[~hidden], images[~hidden])
    assert np.array_equal(over_background(cleared), over_background(images))


def test_what_is_barely_visible_keeps_its_colour() -> None:
    image = np.array([[[10, 20, 30, 0], [10, 20, 30, 1]]], np.uint8)
    assert clear_hidden_colour(image).tolist() == [[[0, 0, 0, 0], [10, 20, 30, 1]]]


@given(arrays(np.uint8, (2, 3, 4, 4)), st.tuples(*[st.integers(0, 255)] * 3))
def test_compositing_agrees_with_pillow(images: np.ndarray, colour: tuple[int, int, int]) -> None:
    for image, ours in zip(images, over_background(images, colour), strict=True):
        page = Image.new("RGBA", (4, 3), (*colour, 255))
        page.alpha_composite(Image.fromarray(image, "RGBA"))
        theirs = np.asarray(page.convert("RGB")).astype(int)
        assert np.abs(ours - theirs).max() <= 1


def test_grey_and_rgb_need_no_background() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    assert over_background(grey).shape == (1, 3, 4, 3)
    assert np.array_equal(over_background(grey)[..., 1], grey[..., 0])
    rgb = np.arange(36, dtype=np.uint8).reshape(1, 3, 4, 3)
    assert over_background(rgb) is rgb


@pytest.mark.parametrize(("count", "columns", "shape"), [(5, None, (8, 15)), (5, 5, (4, 25)), (1, None, (4, 5))])
def test_sheets_hold_every_image_in_reading_order(count: int, columns: int | None, shape: tuple[int, int]) -> None:
    images = np.random.RandomState(0).randint(1, 256, (count, 4, 5, 3), dtype=np.uint8)
    page = sheet(images, columns)
    assert page.shape == (*shape, 3)
    across = shape[1] // 5
    for index, image in enumerate(images):
        top, left = index // across * 4, index % across * 5
        assert np.array_equal(page[top : top + 4, left : left + 5], image)
    assert page.astype(int).sum() == images.astype(int).sum()


def test_gaps_are_empty() -> None:
    page = sheet(np.full((4, 2, 2, 4), 255, np.uint8), gap=1)
    assert page.shape == (5, 5, 4)
    assert (page[2] == 0).all()
    assert (page[:, 2] == 0).all()


def test_checks_show_only_through_transparency() -> None:
    image = np.zeros((16, 16, 4), np.uint8)
    image[:, 8:] = (10, 20, 30, 255)
    seen = over_checkerboard(image)
    assert set(np.unique(seen[:, :8])) == {204, 255}
    assert (seen[:, 8:] == (10, 20, 30)).all()


@pytest.mark.parametrize("behind", [0, 37, 255])
def test_every_colour_of_every_alpha_is_rounded_to_the_nearest(behind: int) -> None:
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    image = np.stack([colour, colour, colour, alpha], axis=-1).astype(np.uint8)
    nearest = (2 * (colour * alpha + behind * (255 - alpha)) + 255) // 510  # whole numbers; 255 is odd, so no ties
    assert (over_background(image, (behind,) * 3) == nearest[..., None]).all()


def test_the_background_is_white_unless_told() -> None:
    assert (over_background(np.zeros((1, 2, 2, 4), np.uint8)) == 255).all()
    red, green, blue = over_background(np.zeros((1, 1, 1, 4), np.uint8), (1, 2, 3)).flatten()
    assert (red, green, blue) == (1, 2, 3)


def test_checks_are_light_first_and_8_pixels_wide() -> None:
    light, dark = 255, 204
    small = checkerboard(7, 5, square=2)
    even, odd = [light, light, dark, dark, light], [dark, dark, light, light, dark]
    assert small.shape == (7, 5, 3)
    assert small[..., 2].tolist() == [even, even, odd, odd, even, even, odd]
    wide = checkerboard(10, 20)[..., 0]
    assert wide[0].tolist() == [light] * 8 + [dark] * 8 + [light] * 4
    assert wide[9].tolist() == [dark] * 8 + [light] * 8 + [dark] * 4
    clear = np.zeros((10, 20, 4), np.uint8)
    assert np.array_equal(over_checkerboard(clear), checkerboard(10, 20))
    assert np.array_equal(over_checkerboard(clear, square=3), checkerboard(10, 20, square=3))
    assert over_checkerboard(clear[..., :1]).shape == (10, 20, 3)


def test_half_of_an_image_and_half_of_the_checks() -> None:
    image = np.full((16, 16, 4), (100, 100, 100, 51), np.uint8)  # a fifth
    assert set(np.unique(over_checkerboard(image))) == {224, 183}  # 20 + 204, and 20 + 163.2


def test_a_sheet_of_nothing_is_one_empty_cell() -> None:
    assert sheet(np.zeros((0, 4, 5, 3), np.uint8)).shape == (4, 5, 3)
