import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageColor

from core.errors import DataError
from trainer.data import reading
from trainer.data.notes import ALL_FRAMES, BAD_PROFILE, COLOUR, FRAMES, GAMMA, Notes
from trainer.data.reading import FORMATS, read_image, read_pictures

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


def test_pictures_behind_names_of_other_kinds_say_what_to_do(tmp_path):
    known = {
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab": "git lfs pull",
        b"\n<!DOCTYPE html><html>": "web page",
        b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic": "HEIC",
        b"\x80\x00\x00\x00\xe0\xa5\x01\x00": "Aseprite",
        b"PK\x03\x04....": "archive",
    }
    for data, said in known.items():
        assert said in reason(tmp_path / "a.png", data)


@pytest.mark.parametrize("name", ["a.tga", "a.dds", "a.avif", "a.ico", "a.pcx", "a.ppm", "a.jp2", "a.qoi", "a.dib"])
def test_formats_that_pillow_opens_are_read(tmp_path, name):
    options = {"quality": 95} if name == "a.avif" else {"sizes": [(40, 40)]} if name == "a.ico" else {}
    square = np.ascontiguousarray(RGB[:40, :40])
    image = read_image(save(tmp_path / name, square, **options))
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - square).mean() < (5 if name == "a.avif" else 0.01)


def test_what_has_no_mark_of_its_own_is_read_by_its_name_alone(tmp_path):
    data = save(tmp_path / "a.tga", RGB).read_bytes()
    assert reason(tmp_path / "a.bin", data) == "not an image"


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_at_every_depth(tmp_path, depth):
    """A PNG whose darkest and brightest greys are there, and the brightest is transparent."""
    white = 2**depth - 1
    row = b"\0" + (
        (white << depth).to_bytes(4) if depth == 16 else bytes([white << 8 - depth, 0][: max(1, depth // 4)])
    )
    path = tmp_path / "a.png"
    path.write_bytes(small_png(2, depth, 0, row, tRNS=white.to_bytes(2)))
    pixels = np.asarray(read_image(path))
    assert pixels[0, :, 3].tolist() == [0, 255]
    assert pixels[0, 1].tolist() == [0, 0, 0, 255]


def test_a_transparent_colour_of_16_bits(tmp_path):
    key, other = (0x1234, 0x5678, 0x9ABC), (0x2234, 0x5678, 0x9ABC)
    values = b"".join(value.to_bytes(2) for value in (*key, *other))
    (tmp_path / "a.png").write_bytes(small_png(2, 16, 2, b"\0" + values, tRNS=values[:6]))
    assert np.asarray(read_image(tmp_path / "a.png")).tolist() == [[[0x12, 0x56, 0x9A, 0], [0x22, 0x56, 0x9A, 255]]]


def test_a_bmp_of_32_bits_keeps_its_alpha(tmp_path):
    image = read_image(save(tmp_path / "a.bmp", RGBA))
    assert image.mode == "RGBA" and np.array_equal(np.asarray(image), RGBA)
    unused = np.dstack([RGB, np.zeros((40, 50), np.uint8)])  # as programs write it that know of no alpha
    image = read_image(save(tmp_path / "a.bmp", unused))
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), RGB)


def counted(path, frames="first"):
    notes = Notes()
    with path.open("rb") as file:
        return list(read_pictures(file, path.name, frames, notes)), notes


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tiff"])
def test_animations_are_said_and_give_every_frame_if_asked(tmp_path, name):
    colours = ("red", "lime", "blue")
    frames = [Image.new("RGB", (8, 8), colour) for colour in colours]
    options = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    first, notes = counted(tmp_path / name)
    assert len(first) == 1 and notes == {FRAMES: 1}
    found, notes = counted(tmp_path / name, "all")
    assert [image.convert("RGB").getpixel((0, 0)) for image in found] == [ImageColor.getrgb(c) for c in colours]
    assert notes == {ALL_FRAMES: 1}


def small_png(width, depth, kind, row, **chunks):
    """A PNG of one row, with ``chunks`` by their names."""
    head = width.to_bytes(4) + (1).to_bytes(4) + bytes([depth, kind, 0, 0, 0])
    parts = {
        b"IHDR": head,
        **{name.encode(): data for name, data in chunks.items()},
        b"IDAT": zlib.compress(row),
        b"IEND": b"",
    }
    written = [
        len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4) for name, data in parts.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def test_linear_light_becomes_srgb(tmp_path):
    """gAMA 1.0: half of the light is level 188 (IEC 61966-2-1), in 8 bits and in 16."""
    path = tmp_path / "a.png"
    path.write_bytes(
        small_png(3, 8, 2, b"\0" + bytes([0, 0, 0, 128, 128, 128, 255, 255, 255]), gAMA=(100_000).to_bytes(4))
    )
    (image,), notes = counted(path)
    assert np.asarray(image)[0, :, 0].tolist() == [0, 188, 255] and notes == {GAMMA: 1}
    path.write_bytes(small_png(2, 16, 0, b"\0" + bytes.fromhex("8000ffff"), gAMA=(100_000).to_bytes(4)))
    (image,), notes = counted(path)
    assert np.asarray(image).tolist() == [[188, 255]] and notes == {GAMMA: 1}
    path.write_bytes(small_png(1, 8, 2, b"\0\x80\x80\x80", gAMA=(45_455).to_bytes(4)))
    (image,), notes = counted(path)
    assert np.asarray(image).tolist() == [[[128] * 3]] and not notes


PRIMARIES = {  # white, red, green, blue; gamma; a colour of theirs and what it is in sRGB
    "sRGB": ((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), (200, 100, 50), (200, 100, 50)),
    "Adobe RGB": ((0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (128, 128, 128), (128, 128, 128)),
    "Adobe RGB green": ((0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (144, 255, 60), (0, 255, 0)),
    "ProPhoto's white": (
        (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001),
        (255, 255, 255),
        (255, 255, 255),
    ),
}


@pytest.mark.parametrize("name", PRIMARIES)
def test_primaries_of_a_png_are_looked_at(tmp_path, name):
    """Greys and white stay what they are; sRGB's purest green is a paler one in the wider Adobe RGB."""
    primaries, stored, shown = PRIMARIES[name]
    values = b"".join(round(100_000 * value).to_bytes(4) for value in primaries)
    data = small_png(1, 8, 2, b"\0" + bytes(stored), gAMA=(45_455).to_bytes(4), cHRM=values)
    (tmp_path / "a.png").write_bytes(data)
    (image,), notes = counted(tmp_path / "a.png")
    assert np.abs(np.asarray(image)[0, 0].astype(int) - shown).max() <= 2
    assert notes == ({} if name == "sRGB" else {COLOUR: 1})


def test_colour_profiles_are_converted(tmp_path):
    """A profile of light itself, with sRGB's primaries: its levels are those of linear light."""
    levels = np.array([[[0, 0, 0, 255], [128, 64, 255, 9], [255, 255, 255, 0]]], np.uint8)
    (image,), notes = counted(save(tmp_path / "a.png", levels, icc_profile=linear_profile()))
    expected = [[0, 0, 0], [188, 137, 255], [255, 255, 255]]
    assert np.abs(np.asarray(image)[0, :2, :3].astype(int) - expected[:2]).max() <= 1
    assert np.asarray(image)[0, :, 3].tolist() == [255, 9, 0]
    assert notes == {COLOUR: 1}
    for profile, said in (
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), {}),
        (b"junk", {BAD_PROFILE: 1}),
    ):
        (image,), notes = counted(save(tmp_path / "a.png", levels, icc_profile=profile))
        assert np.array_equal(np.asarray(image), levels) and notes == said


def linear_profile():
    """The sRGB profile with straight lines for its curves (ICC.1, 10.6: a curve of no entries)."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for index in range(int.from_bytes(data[128:132])):
        entry = 132 + 12 * index
        if data[entry : entry + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            start, size = (int.from_bytes(data[entry + at : entry + at + 4]) for at in (4, 8))
            data[start : start + size] = b"curv" + bytes(size - 4)
    return bytes(data)


@pytest.mark.parametrize(
    "how", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True, "quality": 95}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_with_bytes_missing_is_damaged(tmp_path, how, mode):
    """Bytes taken out of the middle: decoders fill the rest with grey and say nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    image = Image.fromarray(noise).convert(mode)
    for whole in (image, Image.new(mode, (64, 40)), image.resize((33, 17))):
        assert read_image(save(tmp_path / "a.jpg", whole, **how)).size == whole.size
    data = encoded_image(image, **how)
    middle = len(data) * 6 // 10
    assert "damaged" in reason(tmp_path / "a.jpg", data[:middle] + data[middle + 2000 :])


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_overwritten_in_its_middle_is_damaged(tmp_path, progressive):
    """Thirty-two bytes of nothing, as a bad sector leaves them: the file's length and its ends are right."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8))
    data = encoded_image(noise, progressive=progressive)
    middle = len(data) // 2
    assert "damaged" in reason(tmp_path / "a.jpg", data[:middle] + bytes(32) + data[middle + 32 :])


def encoded_image(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()
