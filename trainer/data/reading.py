"""One image file to upright pixels in L, RGB or RGBA, or a short reason why not."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MOST_PIXELS = 64 * 1024 * 1024

# A file of 16 or 32 bits does not say what white is: it is the first of these that its brightest pixel fits in.
_WHITES = {"I": (255, 65_535, 2**31 - 1), "F": (1, 255, 65_535, 2**31 - 1)}


def read_image(path: Path) -> Image.Image:
    """The picture in ``path``: upright, mode RGBA if a pixel of it is transparent, otherwise L or RGB.

    Of an animation, the first frame. Raises DataError with a reason of a few words.
    """
    try:
        if path.stat().st_size == 0:
            raise DataError("empty file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of things we refuse, and of harmless metadata
            return _decode(path)
    except UnidentifiedImageError:
        known = path.suffix.lower() in SUFFIXES
        raise DataError("damaged, or not the image it is named" if known else "not an image") from None
    except Image.DecompressionBombError:
        raise DataError(f"more than {MOST_PIXELS} pixels") from None
    except DataError:
        raise
    except (MemoryError, Exception) as error:  # Pillow's decoders raise a dozen kinds for damaged files
        raise DataError(f"damaged or unreadable: {_first_line(error)}") from None


def drop_idle_alpha(image: Image.Image) -> Image.Image:
    """The image as RGB if it is RGBA without one transparent pixel."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    return image


def _decode(path: Path) -> Image.Image:
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise DataError(f"{image.width}x{image.height} pixels are more than {MOST_PIXELS}")
        if image.format == "PNG":
            image.verify()  # decoding alone does not look at checksums
    with Image.open(path, formats=FORMATS) as image:
        image.load()
        return drop_idle_alpha(_plain(_upright(image)))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata around whole pixels
        return image


def _plain(image: Image.Image) -> Image.Image:
    """The image in L, RGB or RGBA, 8 bits a channel."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, whole numbers or floats, scaled (never clipped at the bright end) to L or RGBA."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("damaged or unreadable: infinite or not-a-number pixels")
    brightest = values.max()
    whites = (65_535,) if image.mode.startswith("I;16") else _WHITES[image.mode]
    white = next((white for white in whites if brightest <= white), brightest)
    grey = Image.fromarray(np.rint(values.clip(min=0) / white * 255).astype(np.uint8))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    alpha = Image.fromarray(np.where(values == clear, np.uint8(0), np.uint8(255)))
    return Image.merge("RGBA", (grey, grey, grey, alpha))


def _first_line(error: BaseException) -> str:
    # The text of an OSError from the system holds the whole path, which belongs to nobody else.
    text = (isinstance(error, OSError) and error.strerror) or str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
