import io
import zlib

import numpy as np
import pytest
from PIL import Image

from core.errors import DataError
from trainer.data import reading
from trainer.data.reading import FORMATS, read_image

RGB = np.cumsum(np.random.default_rng(0).integers(0, 3, (40, 50, 3)), axis=1).astype(np.uint8)
RGBA = np.dstack([RGB, np.where(np.indices((40, 50))[0] < 9, 0, 200).astype(np.uint8)])


def save(path, image, form=None, **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(path, form, **options)
    return path


def encoded(form, image=RGB, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_are_read_exactly(tmp_path, form):
    options = {"lossless": True} if form == "WEBP" else {}
    image = read_image(save(tmp_path / "a", RGB, form, **options))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), RGB)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_formats_are_read_nearly(tmp_path, form):
    image = read_image(save(tmp_path / "a", RGB, form, quality=95))
    assert np.abs(np.asarray(image).astype(int) - RGB).mean() < 4


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_kept_straight(tmp_path, form):
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    image = read_image(save(tmp_path / "a", RGBA, form, **options))
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image), RGBA)


def test_alpha_that_hides_nothing_is_dropped(tmp_path):
    opaque = np.dstack([RGB, np.full((40, 50), 255, np.uint8)])
    image = read_image(save(tmp_path / "a.png", opaque))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), RGB)


def test_palette_with_transparency(tmp_path):
    indices = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    indices.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for name in ("a.png", "a.gif"):
        image = read_image(save(tmp_path / name, indices, transparency=1))
        assert image.mode == "RGBA"
        pixels = np.asarray(image)
        assert pixels[0, 0].tolist() == [255, 0, 0, 255] and pixels[1, 0].tolist() == [0, 0, 255, 255]
        assert (pixels[:, 1, 3] == 0).all()
    assert np.asarray(read_image(save(tmp_path / "b.png", indices)))[0, 1].tolist() == [0, 255, 0]


def test_grey_with_alpha(tmp_path):
    pixels = np.array([[[10, 0], [20, 128]]], np.uint8)
    image = read_image(save(tmp_path / "a.png", Image.fromarray(pixels, "LA")))
    assert np.asarray(image).tolist() == [[[10, 10, 10, 0], [20, 20, 20, 128]]]


def test_one_colour_of_rgb_may_be_transparent(tmp_path):
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    image = read_image(save(tmp_path / "a.png", pixels, transparency=(4, 5, 6)))
    assert np.asarray(image)[0, :, 3].tolist() == [255, 0]


def test_one_bit(tmp_path):
    pixels = np.array([[True, False]])
    for name in ("a.png", "a.tiff", "a.bmp"):
        image = read_image(save(tmp_path / name, pixels))
        assert image.convert("L").tobytes() == b"\xff\x00"


@pytest.mark.parametrize("name", ["a.jpg", "a.tiff"])
def test_cmyk(tmp_path, name):
    path = save(tmp_path / name, Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    red = np.asarray(read_image(path))
    assert red.shape == (8, 8, 3)
    assert (red[..., 0] > 240).all() and (red[..., 1:] < 15).all()


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("a.png", np.array([[0, 256, 32768, 65535]], np.uint16), [0, 1, 128, 255]),
        ("a.tiff", np.array([[0, 256, 32768, 65535]], np.uint16), [0, 1, 128, 255]),
        ("dark.png", np.array([[0, 257]], np.uint16), [0, 1]),
        ("a.tiff", np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        ("a.tiff", np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        ("a.tiff", np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
        ("a.tiff", np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        ("a.tiff", np.array([[-3, 128, 255]], np.float32), [0, 128, 255]),
        ("a.tiff", np.array([[0, 65535]], np.float32), [0, 255]),
        ("a.tiff", np.array([[0, 1e12]], np.float32), [0, 255]),
        ("a.tiff", np.array([[0, 0]], np.float32), [0, 0]),
    ],
)
def test_deep_grey_is_scaled_not_clipped(tmp_path, name, values, expected):
    image = read_image(save(tmp_path / name, values))
    assert image.mode == "L"
    assert np.asarray(image).tolist() == [expected]


def test_deep_grey_with_a_transparent_value(tmp_path):
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    image.info["transparency"] = 0
    assert np.asarray(read_image(save(tmp_path / "a.png", image)))[0].tolist() == [[0, 0, 0, 0], [255, 255, 255, 255]]


def test_not_a_number_is_damage(tmp_path):
    path = save(tmp_path / "a.tiff", np.array([[0, np.nan]], np.float32))
    with pytest.raises(DataError, match="not-a-number"):
        read_image(path)


# How a camera stores a picture that is upright once the transformation of its EXIF orientation is undone.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(tmp_path, orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    stored = np.ascontiguousarray(STORED[orientation](RGB))
    path = save(tmp_path / "a", stored, form, exif=exif, **options)
    assert np.array_equal(np.asarray(read_image(path)), RGB)


def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    path = save(tmp_path / "a.jpg", RGB, exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert read_image(path).size == (50, 40)


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.png", "a.webp"):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert np.asarray(read_image(tmp_path / name).convert("RGB"))[0, 0].tolist() == [255, 0, 0]


def reason(path, data):
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120
    return str(caught.value)


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"PSD"}))  # which Pillow does not write
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, form, kept):
    data = encoded(form)
    assert "damaged" in reason(tmp_path / f"a.{form.replace('JPEG2000', 'jp2')}", data[: int(len(data) * kept)])


@pytest.mark.parametrize("position", range(60, 700, 40))
def test_a_flipped_byte_in_a_png_is_found(tmp_path, position):
    data = bytearray(encoded("PNG"))
    data[position] ^= 0x55
    assert "damaged" in reason(tmp_path / "a.png", bytes(data))


def test_what_is_no_image_is_refused(tmp_path):
    assert reason(tmp_path / "a.png", b"") == "empty file"
    assert reason(tmp_path / "readme.txt", b"buy milk") == "not an image"
    assert reason(tmp_path / "a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>").startswith(
        "vector graphics: render it"
    )
    assert reason(tmp_path / "a.png", b"buy milk") == "damaged, or not the image it is named"
    assert reason(tmp_path / "a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").startswith("vector")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", decode)
    monkeypatch.setattr(reading, "_plain", decode)
    for side in (8_200, 12_000, 60_000):  # above our limit, above Pillow's warning, above Pillow's error
        assert str(reading.MOST_PIXELS) in reason(tmp_path / "a.png", claiming(side))


def claiming(side):
    """A PNG that only claims to be large."""
    chunks = [b"IHDR" + side.to_bytes(4) * 2 + bytes([8, 6, 0, 0, 0]), b"IDAT" + zlib.compress(b""), b"IEND"]
    parts = [(len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="unreadable"):
        read_image(tmp_path / "gone.png")
