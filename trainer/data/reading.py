"""One image file to upright pixels in L, RGB or RGBA with sRGB's colours, or a short reason why not."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from core.errors import DataError
from core.images import drop_idle_alpha
from core.ours import signed
from trainer.data.advice import advice_on
from trainer.data.colour import gamma_levels, to_srgb, unusual_gamma
from trainer.data.jpeg import is_whole
from trainer.data.notes import ALL_FRAMES, FRAMES, GAMMA, Notes

# Told by their first bytes, whatever the file is called. EPS, WMF and the like, which run other programs, are no
# pictures of pixels; others in Pillow's list are stubs.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "DDS", "JPEG2000", "PSD", "PPM", "QOI", "DIB")
# Those whose first bytes say little are tried where the name says so too.
BY_NAME = ("TGA", "ICO", "ICNS", "CUR", "PCX", "DCX", "SGI", "SUN", "XPM", "FLI", "MSP", "IM", "BLP", "FTEX")
ANIMATED = frozenset({"GIF", "PNG", "WEBP", "TIFF", "AVIF", "FLI", "DCX"})  # elsewhere a "frame" is a layer or a size
MOST_PIXELS = 64 * 1024 * 1024
MOST_FRAMES = 10_000
LARGEST_JPEG = 256 << 20  # bytes, held in memory to be looked at

# A file of 16 or 32 bits does not say what white is: it is the first of these that its brightest pixel fits in.
_WHITES = {"I": (255, 65_535, 2**31 - 1), "F": (1, 255, 65_535, 2**31 - 1)}
_HEAD = 512  # bytes, enough to tell what a file is


class MadeByUs(DataError):
    """A picture that this program wrote: no image to learn from."""


def read_image(path: Path, ours: bool = False) -> Image.Image:
    """The picture in ``path``: upright, mode RGBA if a pixel of it is transparent, otherwise L or RGB.

    Of an animation, the first frame. Raises DataError with a reason of a few words, for what this program wrote, too,
    unless ``ours``.
    """
    try:
        with path.open("rb") as file:
            return next(read_pictures(file, path.name, ours=ours))
    except OSError as error:
        raise DataError(_unreadable(error)) from None


def read_pictures(
    file: BinaryIO, name: str, frames: str = "first", notes: Notes | None = None, ours: bool = False
) -> Iterator[Image.Image]:
    """The picture in a file that can be sought in, or with ``frames="all"`` every one of an animation.

    ``notes`` learns of animations and of colours that were converted. Raises DataError with a reason of a few words,
    MadeByUs for what this program wrote, unless ``ours``.
    """
    notes = Notes() if notes is None else notes
    head = file.read(_HEAD)
    if not head:
        raise DataError("empty file")

    # Looked at before anything is decoded
    count = _checked(file, head, name, ours)
    if count > 1:
        notes[ALL_FRAMES if frames == "all" else FRAMES] += 1

    # Each frame, and each remark on them once
    learned: set[tuple[str, str]] = set()
    for index in range(count if frames == "all" else 1):
        picture, said = _read(file, head, name, index)
        if said is not None and said not in learned:
            learned.add(said)
            notes[said] += 1
        yield picture


def suffixes() -> frozenset[str]:
    """The endings of files that are read, in lower case with their dot."""
    Image.init()
    known = {*FORMATS, *BY_NAME}
    return frozenset(suffix for suffix, form in Image.EXTENSION.items() if form in known)


def _checked(file: BinaryIO, head: bytes, name: str, ours: bool) -> int:
    """How many frames there are. Raises DataError for what is no image, too large or damaged, as far as is seen now."""
    with _complaints(head, name), _opened(file, name) as image:
        if image.width * image.height > MOST_PIXELS:
            raise DataError(f"{image.width}x{image.height} pixels are more than {MOST_PIXELS}")
        if signed(image) and not ours:
            raise MadeByUs("made by Ganfoundry")
        count = getattr(image, "n_frames", 1) if image.format in ANIMATED else 1
        form = image.format

    # What decoding alone would let pass
    if form == "PNG":
        with _complaints(head, name), _opened(file, name) as image:
            image.verify()  # decoding alone does not look at checksums
    if form in ("JPEG", "MPO"):  # what cameras call a JPEG with more pictures behind it
        with _complaints(head, name):
            _check_jpeg(file)
    if count > MOST_FRAMES:
        raise DataError(f"{count} frames are more than {MOST_FRAMES}")
    return int(count)


def _check_jpeg(file: BinaryIO) -> None:
    file.seek(0)
    data = file.read(LARGEST_JPEG)
    if len(data) < LARGEST_JPEG and not is_whole(data):
        raise DataError("damaged: a part of it cannot be decoded")


def _read(file: BinaryIO, head: bytes, name: str, index: int) -> tuple[Image.Image, tuple[str, str] | None]:
    with _complaints(head, name), _opened(file, name) as image:
        if index:
            image.seek(index)
        image.load()
        if image.width * image.height > MOST_PIXELS:  # pages of a TIFF differ
            raise DataError(f"{image.width}x{image.height} pixels are more than {MOST_PIXELS}")
        upright = _upright(_with_alpha(image, file))
        if upright.mode.startswith(("I", "F")):
            return drop_idle_alpha(_eight_bits(upright)), GAMMA if _deep_gamma(upright) else None
        plain, said = to_srgb(_plain(upright, head))
        return drop_idle_alpha(plain), said


def _opened(file: BinaryIO, name: str) -> Image.Image:
    file.seek(0)
    named = Image.registered_extensions().get(Path(name).suffix.lower())
    return Image.open(file, formats=(*FORMATS, named) if named in BY_NAME else FORMATS)


@contextmanager
def _complaints(head: bytes, name: str) -> Iterator[None]:
    """Whatever Pillow raises becomes a DataError of a few words; what it warns of is refused anyway, or harmless."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError:
        known = Path(name).suffix.lower() in suffixes()
        unknown = "damaged, or not the image it is named" if known else "not an image"
        raise DataError(advice_on(head, name) or unknown) from None
    except Image.DecompressionBombError:
        raise DataError(f"more than {MOST_PIXELS} pixels") from None
    except DataError:
        raise
    except (MemoryError, Exception) as error:  # Pillow's decoders raise a dozen kinds for damaged files
        raise DataError(_unreadable(error)) from None


def _with_alpha(image: Image.Image, file: BinaryIO) -> Image.Image:
    """The image, with the alpha of a BMP of 32 bits, which its header does not promise and many programs write."""
    if image.format not in ("BMP", "DIB") or image.mode != "RGB":
        return image
    with _reopened(file) as again:
        decoder, _, offset, details = again.tile[0]
        if decoder != "raw" or not isinstance(details, tuple) or details[0] != "BGRX":
            return image
        file.seek(offset)
        data = file.read(4 * image.width * image.height)
        orientation = details[2]
    whole = Image.frombytes("RGBA", image.size, data, "raw", "BGRA", 0, orientation)
    return whole if whole.getchannel("A").getextrema() != (0, 0) else image


def _reopened(file: BinaryIO) -> ImageFile.ImageFile:
    file.seek(0)
    return Image.open(file, formats=("BMP", "DIB"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata around whole pixels
        return image


def _plain(image: Image.Image, head: bytes) -> Image.Image:
    """The image in L, RGB, RGBA, CMYK or LAB, 8 bits a channel."""
    if image.mode in ("CMYK", "LAB"):
        return image
    if image.has_transparency_data:
        image.info.update(_clear(image, head))
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _clear(image: Image.Image, head: bytes) -> dict[str, object]:
    """The transparent value of a PNG as Pillow's 8 bits have it: tRNS has those of the file (PNG, section 11.3.2.1)."""
    clear, depth = image.info.get("transparency"), head[24] if image.format in (None, "PNG") else 8
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        return {}
    if isinstance(clear, int) and image.mode == "L" and depth in (2, 4):
        return {"transparency": clear * (255 // (2**depth - 1))}
    if isinstance(clear, tuple) and depth == 16:  # of the pixels, too, Pillow keeps the higher half alone
        return {"transparency": tuple(value >> 8 for value in clear)}
    return {}


def _deep_gamma(image: Image.Image) -> float | None:
    """The gamma of grey of 16 bits, where it is not the usual one."""
    return unusual_gamma(image.info) if image.mode.startswith("I") else None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, whole numbers or floats, scaled (never clipped at the bright end) to L or RGBA."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("damaged or unreadable: infinite or not-a-number pixels")
    brightest = values.max()
    whites = (65_535,) if image.mode.startswith("I;16") else _WHITES[image.mode]
    white = next((white for white in whites if brightest <= white), brightest)

    # In shares of white, by its gamma
    shares = values.clip(min=0) / white
    gamma = _deep_gamma(image)
    grey = Image.fromarray(np.rint(255 * (gamma_levels(shares, gamma) if gamma else shares)).astype(np.uint8))

    # One grey may stand for nothing
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    alpha = Image.fromarray(np.where(values == clear, np.uint8(0), np.uint8(255)))
    return Image.merge("RGBA", (grey, grey, grey, alpha))


def _unreadable(error: BaseException) -> str:
    # The text of an OSError from the system holds the whole path, which belongs to nobody else.
    text = (isinstance(error, OSError) and error.strerror) or str(error).strip()
    return f"damaged or unreadable: {text.splitlines()[0] if text else type(error).__name__}"
