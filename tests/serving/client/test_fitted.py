"""How any picture becomes one that a translator takes, and the result one like it."""

import numpy as np
import pytest
from PIL import Image

from core.errors import RequestRefused
from core.images import to_pillow
from core.sizes import plan_size
from serving.client.fitted import Fitted, as_pillow
from tests.serving.translators import translator_spec
from trainer.data.importing import ImportOptions, import_images

RED = (255, 0, 0)


def fitted(picture, spec, margins=False):
    """The source, and the result of a translator that changes nothing, a whole number of times as large."""
    plan = Fitted(as_pillow(picture), spec, margins)
    (source,) = plan.sources()
    times = spec.height // spec.source.height
    return source, plan.made_of(iter([source.repeat(times, axis=0).repeat(times, axis=1)]))


def random(height, width, channels):
    picture = np.random.RandomState(0).randint(0, 256, (height, width, channels), np.uint8)
    return picture * (picture[..., 3:] > 0) if channels == 4 else picture


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch", "keep"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_of_the_very_size_is_as_it_is(fit, channels):
    picture = random(8, 12, channels)
    source, result = fitted(picture, translator_spec(8, 12, channels, 1, channels, fit=fit))
    assert (source == picture).all()
    assert (result == picture).all()


@pytest.mark.parametrize(
    ("size", "fit", "resample", "times", "given"),
    [
        ((48, 40), "pad", "lanczos", 1, (64, 53)),  # 64 wide, and 40 · 64 / 48 high
        ((48, 40), "pad", "lanczos", 2, (128, 106)),
        ((16, 16), "pad", "nearest", 1, (64, 64)),
        ((20, 10), "pad", "nearest", 1, (60, 30)),  # three times: whole factors only
        ((20, 10), "keep", "lanczos", 1, (20, 10)),
        ((200, 10), "keep", "lanczos", 1, (64, 64)),  # cut off
        ((48, 40), "crop", "lanczos", 1, (64, 64)),
        ((32, 32), "crop", "lanczos", 1, (64, 64)),
        ((48, 40), "stretch", "lanczos", 1, (64, 64)),
    ],
)
def test_the_result_is_the_part_that_is_the_pictures(size, fit, resample, times, given):
    spec = translator_spec(64, 64, 4, times, fit=fit, resample=resample)
    picture = Image.new("RGB", size, RED)
    source, result = fitted(picture, spec)
    assert result.shape[1::-1] == given
    if fit == "pad":  # nothing of the margins, and all that is not
        assert (result[..., 3] == 255).all()
        assert (source[..., 3] == 255).sum() * times**2 == result[..., 3].size
    whole = fitted(picture, spec, margins=True)[1]
    assert whole.shape == (64 * times, 64 * times, 4)


def test_a_result_whose_edges_lie_between_pixels_stays_whole():
    """Half as large as its source: 53 rows from the sixth on are none."""
    spec = translator_spec(64, 64)
    object.__setattr__(spec, "height", 32)
    object.__setattr__(spec, "width", 32)
    whole = np.zeros((32, 32, 4), np.uint8)
    assert Fitted(Image.new("RGB", (48, 40)), spec).made_of(iter([whole])).shape == (32, 32, 4)
    assert Fitted(Image.new("RGB", (32, 16)), spec).made_of(iter([whole])).shape == (16, 32, 4)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch", "keep"])
@pytest.mark.parametrize("kind", ["array", "L", "LA", "RGB", "RGBA", "P", "half", "clear"])
def test_it_is_fitted_as_data_import_fits_the_file(tmp_path, kind, fit, channels):
    """Opaque pictures with an alpha, above all, which users of Pillow have."""
    colours = np.random.RandomState(3).randint(0, 256, (5, 3), np.uint8)
    picture = np.full((6, 20, 4), (10, 20, 30, 255), np.uint8)
    picture[1:5, 4:9, :3] = colours
    if kind in ("half", "clear"):
        picture[2:4, 5:8, 3] = 128 if kind == "half" else 0
    saved = to_pillow(picture) if kind in ("array", "half", "clear") else to_pillow(picture).convert(kind)
    (tmp_path / "in").mkdir()
    saved.save(tmp_path / "in" / "a.png")
    options = ImportOptions(plan_size(16, 16), fit=fit, resample="lanczos", channels=channels, empty="keep")
    pack = import_images(tmp_path / "in", tmp_path / "pack", options)
    spec = translator_spec(16, 16, channels, 1, channels, fit=fit, resample="lanczos")
    source, _ = fitted(picture if kind == "array" else saved, spec)
    assert (source == pack.images[0]).all()


def test_pixel_art_grows_pixel_by_pixel_unless_the_pack_was_resampled_otherwise():
    art = np.random.RandomState(0).randint(0, 2, (8, 8, 3), np.uint8) * 255
    auto, _ = fitted(art, translator_spec(16, 16, 3, 1, 3))
    assert (auto == art.repeat(2, axis=0).repeat(2, axis=1)).all()
    lanczos, _ = fitted(art, translator_spec(16, 16, 3, 1, 3, resample="lanczos"))
    assert (lanczos != auto).any()


@pytest.mark.parametrize(
    ("picture", "channels", "pixel"),
    [
        (np.array([[[10, 20, 30, 128]]], np.uint8), 4, [10, 20, 30, 128]),
        (np.array([[[10, 20, 30, 0]]], np.uint8), 4, [0, 0, 0, 0]),  # nobody sees it, and packs have none
        (np.array([[[10, 20, 30, 0]]], np.uint8), 3, [255, 255, 255]),
        (np.array([[[10, 20, 30, 51]]], np.uint8), 3, [206, 208, 210]),
        (np.array([[[10, 20, 30]]], np.uint8), 4, [10, 20, 30, 255]),
        (np.array([[[255, 0, 0]]], np.uint8), 1, [76]),
        (np.array([[[7]]], np.uint8), 3, [7, 7, 7]),
        (Image.new("1", (1, 1), 1), 1, [255]),
        (Image.new("LA", (1, 1), (9, 0)), 1, [255]),
        (Image.new("P", (1, 1)), 3, [0, 0, 0]),
    ],
)
def test_channels_become_those_that_the_translator_takes(picture, channels, pixel):
    source, _ = fitted(picture, translator_spec(1, 1, channels, 1, channels))
    assert source.tolist() == [[pixel]]


def test_margins_of_an_opaque_picture_have_the_colour_of_its_border():
    source, _ = fitted(Image.new("RGB", (4, 2), RED), translator_spec(4, 4, 3, 1, 3))
    assert (source == RED).all()


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((4, 4, 2), np.uint8), "1, 3 or 4 channels, not uint8"),
        (np.zeros((4, 4), np.uint8), "not uint8 \\(4, 4\\)"),
        (np.zeros((4, 4, 3), np.float32), "not float32"),
        (np.zeros((0, 4, 3), np.uint8), "not uint8 \\(0, 4, 3\\)"),
        (Image.new("I;16", (4, 4)), "of the mode I;16 cannot be translated: convert it"),
        (Image.new("CMYK", (4, 4)), "of the mode CMYK"),
    ],
)
def test_what_is_no_picture_is_refused(picture, said):
    with pytest.raises(RequestRefused, match=said):
        as_pillow(picture)


def test_arrays_and_pillows_are_the_same_picture():
    picture = random(5, 7, 4)
    spec = translator_spec()
    assert (fitted(picture, spec)[0] == fitted(to_pillow(picture), spec)[0]).all()
