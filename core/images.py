"""Pictures as arrays: uint8 HWC, straight alpha, and the PNG files, sheets and backgrounds made of them."""

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

Images = NDArray[np.uint8]  # (n, height, width, channels), channels 1, 3 or 4

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of Pillow, by channels
CHANNEL_NAMES = {1: "grey", 3: "RGB", 4: "RGBA"}  # for people
# ITU-R BT.601 luma in 16-bit fixed point; the weights add up to 1, so grey stays exactly what it was.
_LUMA = np.array([19_595, 38_470, 7_471], np.uint32)


def to_pillow(image: Images) -> Image.Image:
    """A uint8 ``(height, width, channels)`` array as a Pillow image: L, RGB or RGBA by its channels."""
    channels = image.shape[2]
    return Image.fromarray(image[:, :, 0] if channels == 1 else image, MODES[channels])


def from_pillow(image: Image.Image, channels: int) -> Images:
    """A Pillow image as a uint8 ``(height, width, channels)`` array. RGBA keeps straight alpha."""
    array = np.asarray(image.convert(MODES[channels]), np.uint8)
    return array.reshape(*array.shape[:2], channels)


def enlarged(image: Images, scale: int) -> Images:
    """Each pixel of ``(height, width, channels)`` as a square of ``scale`` by ``scale``."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def drop_idle_alpha(image: Image.Image) -> Image.Image:
    """The image as RGB if it is RGBA without one transparent pixel."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    return image


def encode_png(image: Images, text: Mapping[str, str] | None = None) -> bytes:
    """The PNG file of one ``(height, width, channels)`` image, with ``text`` as iTXt chunks.

    The same image and text always give the same bytes.
    """
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def clear_hidden_colour(image: Images) -> Images:
    """The image with the colour of fully transparent pixels set to 0. Nobody sees it, so nothing may learn it."""
    if image.shape[-1] != 4:
        return image
    return image * (image[..., 3:] > 0)


def over_background(images: Images, colour: Sequence[int] = (255, 255, 255)) -> Images:
    """RGBA images over an opaque colour as RGB, ``(…, 3)``; grey and RGB images are returned as RGB."""
    if images.shape[-1] == 1:
        return np.repeat(images, 3, axis=-1)
    if images.shape[-1] == 3:
        return images
    return _over(images, colour)


def with_channels(picture: Images, opaque: bool, channels: int) -> Images:
    """An RGBA ``(h, w, 4)`` picture in 1, 3 or 4 channels: without alpha it lies on white, unless ``opaque``, where
    what is transparent are margins with a colour behind them."""
    if channels == 4:
        return picture
    colour = picture[..., :3] if opaque else over_background(picture)
    return colour if channels == 3 else luma(colour)


def luma(colour: Images) -> Images:
    """RGB ``(h, w, 3)`` as grey ``(h, w, 1)``."""
    return ((colour @ _LUMA + 32_768) >> 16).astype(np.uint8)[..., None]


def sheet(images: Images, columns: int | None = None, gap: int = 0) -> Images:
    """``(n, h, w, c)`` images in rows, left to right, as one ``(H, W, c)`` picture.

    ``columns`` is the square root of ``n``, rounded up, unless given. Gaps and empty cells are 0: transparent or black.
    """
    count, height, width, channels = images.shape
    columns = columns or max(math.ceil(math.sqrt(count)), 1)
    rows = max(math.ceil(count / columns), 1)
    page = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        page[top : top + height, left : left + width] = image
    return page


def checkerboard(height: int, width: int, square: int = 8) -> Images:
    """The grey checks that editors show behind transparency, RGB ``(height, width, 3)``."""
    rows, columns = np.indices((height, width)) // square
    tone = np.where(rows % 2 == columns % 2, 255, 204).astype(np.uint8)
    return np.repeat(tone[:, :, None], 3, axis=2)


def over_checkerboard(image: Images, square: int = 8) -> Images:
    """One ``(h, w, c)`` image as RGB, transparency shown as checks."""
    if image.shape[2] != 4:
        return over_background(image)
    return _over(image, checkerboard(image.shape[0], image.shape[1], square))


def _over(images: Images, behind: Images | Sequence[int]) -> Images:
    """RGBA images over opaque colours, ``(…, 3)``."""
    alpha = images[..., 3:].astype(np.float32) / 255
    mixed: Images = np.rint(images[..., :3] * alpha + (1 - alpha) * behind).astype(np.uint8)
    return mixed
