import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.fitting import fit, is_cut, resampling_for
from core.sizes import plan_size
from core.spec import FITS, RESAMPLINGS

SIZE = plan_size(16, 24)
PALETTE = np.array([[0, 0, 0], [255, 0, 77], [41, 173, 255], [255, 241, 232]], np.uint8)
EVERY = [(mode, resample) for mode in FITS for resample in RESAMPLINGS]


def palette_picture(height, width, seed=0):
    return Image.fromarray(PALETTE[np.random.default_rng(seed).integers(0, 4, (height, width))])


def colours(pixels):
    return {tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1]).tolist()}


@pytest.mark.parametrize(("mode", "resample"), EVERY)
@given(height=st.integers(1, 80), width=st.integers(1, 80), kind=st.sampled_from(["L", "RGB", "RGBA"]))
def test_any_picture_becomes_exactly_the_size(mode, resample, height, width, kind):
    fitted = fit(Image.new(kind, (width, height), 7), SIZE, mode, resample)
    assert fitted.shape == (16, 24, 4)
    assert fitted.dtype == np.uint8


@pytest.mark.parametrize(("mode", "resample"), EVERY)
def test_a_picture_of_the_right_size_is_not_touched(mode, resample):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 4), np.uint8)
    assert np.array_equal(fit(Image.fromarray(pixels), SIZE, mode, resample), pixels)


@pytest.mark.parametrize("mode", FITS)
@given(height=st.integers(1, 60), width=st.integers(1, 60))
def test_nearest_keeps_the_palette_exactly(mode, height, width):
    picture = palette_picture(height, width)
    assert colours(fit(picture, SIZE, mode, "nearest")[..., :3]) <= colours(np.asarray(picture))


def test_nearest_enlarges_by_whole_pixels():
    picture = palette_picture(5, 7)
    fitted = fit(picture, SIZE, "pad", "nearest")
    expected = np.asarray(picture).repeat(3, axis=0).repeat(3, axis=1)
    assert np.array_equal(fitted[0:15, 1:22, :3], expected)
    assert (fitted[..., 3].sum(axis=1) > 0).tolist() == [True] * 15 + [False]


def test_area_is_the_mean():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    expected = pixels.reshape(16, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(fit(Image.fromarray(pixels), SIZE, "stretch", "area")[..., :3] - expected).max() <= 1


@pytest.mark.parametrize(("mode", "resample"), EVERY)
@pytest.mark.parametrize("side", [5, 50, 333])
def test_hidden_colour_makes_no_halo(mode, resample, side):
    """A red disc on transparency whose hidden colour is green: no visible pixel may be anything but red."""
    rows, columns = np.indices((side, side)) - side / 2
    disc = (rows**2 + columns**2 < (side / 3) ** 2)[..., None]
    pixels = np.where(disc, np.array([255, 0, 0, 255], np.uint8), np.array([0, 255, 0, 0], np.uint8))
    fitted = fit(Image.fromarray(pixels), SIZE, mode, resample)
    visible = fitted[fitted[..., 3] > 0]
    assert len(visible) > 10
    assert (visible[:, 0] == 255).all() and (visible[:, 1:3] == 0).all()


def test_partial_alpha_is_mixed_premultiplied():
    """Against the definition, in floating point: colours weigh as much as they are seen."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 4), np.uint8)
    blocks = pixels.reshape(16, 2, 24, 2, 4).astype(np.float64)
    alpha = blocks[..., 3:].mean(axis=(1, 3))
    colour = (blocks[..., :3] * blocks[..., 3:]).mean(axis=(1, 3)) / np.maximum(alpha, 1)
    fitted = fit(Image.fromarray(pixels), SIZE, "stretch", "area").astype(np.float64)
    assert np.abs(fitted[..., 3:] - alpha).max() <= 1
    seen = np.abs(fitted[..., :3] * fitted[..., 3:] - colour * alpha) / 255
    assert seen.max() <= 2


def test_pad_shows_everything_in_the_middle():
    fitted = fit(Image.new("RGB", (10, 40), "red"), SIZE, "pad", "lanczos")
    assert (fitted[:, 10:14] == [255, 0, 0, 255]).all()
    assert (fitted[:, :10, 3] == 0).all() and (fitted[:, 14:, 3] == 0).all()


def test_crop_cuts_evenly():
    pixels = np.zeros((16, 40, 3), np.uint8)
    pixels[:, :8], pixels[:, 8:32], pixels[:, 32:] = 10, 20, 30
    assert (fit(Image.fromarray(pixels), SIZE, "crop", "lanczos")[..., :3] == 20).all()


def test_behind_the_margin_of_an_opaque_picture_lies_its_background():
    pixels = np.full((16, 16, 3), 200, np.uint8)
    pixels[4:12, 4:12] = [255, 0, 0]
    pixels[0, 0] = 5
    assert (fit(Image.fromarray(pixels), SIZE, "pad", "area")[:, :4] == [200, 200, 200, 0]).all()


SQUARE = plan_size(64, 64)
SMALL = plan_size(16, 16)


@pytest.mark.parametrize(("width", "height"), [(10, 12), (16, 16), (20, 30), (9, 40)])
@pytest.mark.parametrize("opaque", [True, False])
def test_keep_changes_no_pixel(width, height, opaque):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    pixels[..., 3] = 255
    picture = Image.fromarray(pixels[..., :3] if opaque else pixels)
    found = fit(picture, SMALL, "keep", "lanczos")
    tall, wide = min(height, 16), min(width, 16)
    there = found[(16 - tall) // 2 :, (16 - wide) // 2 :][:tall, :wide]
    top, left = (height - tall) // 2, (width - wide) // 2
    assert np.array_equal(there, pixels[top : top + tall, left : left + wide])
    assert (found[..., 3] == 255).sum() == tall * wide
    assert is_cut(picture, SMALL) == (width > 16 or height > 16)


def test_keep_cuts_nothing_where_nothing_is_drawn():
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[2:18, 2:18, 3] = 9
    assert not is_cut(Image.fromarray(pixels), SMALL)
    pixels[1, 9, 3] = 1
    assert is_cut(Image.fromarray(pixels), SMALL)
    assert not is_cut(Image.new("RGBA", (90, 90)), SMALL)


def test_pixel_art_that_grows_by_a_whole_factor_is_enlarged_with_nearest():
    art = palette_picture(16, 16)
    assert [resampling_for(art, SQUARE, mode) for mode in FITS] == ["nearest"] * 3 + [
        "lanczos"
    ]  # keep enlarges nothing
    assert resampling_for(palette_picture(8, 16), SQUARE, "pad") == "nearest"
    assert resampling_for(palette_picture(24, 24), SQUARE, "pad") == "lanczos"  # 2⅔ times
    assert resampling_for(palette_picture(64, 64), SQUARE, "pad") == "lanczos"  # as it is
    assert resampling_for(palette_picture(128, 128), SQUARE, "pad") == "lanczos"  # smaller
    assert resampling_for(palette_picture(16, 24), SQUARE, "stretch") == "lanczos"


def test_pictures_with_soft_edges_are_not_pixel_art():
    soft = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    assert resampling_for(Image.fromarray(soft), SQUARE, "pad") == "lanczos"
    assert resampling_for(Image.fromarray(soft[..., 0]), SQUARE, "pad") == "lanczos"
