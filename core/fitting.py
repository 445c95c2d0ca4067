"""A picture of any size to exactly the size a network makes."""

import numpy as np
from PIL import Image

from core.images import Images, from_pillow
from core.sizes import Size

_FILTERS = {  # of core.spec.RESAMPLINGS
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}

_FEW_COLOURS = 64  # of pixel art: more is a picture with soft edges


def fit(image: Image.Image, size: Size, mode: str, resample: str) -> Images:
    """An L, RGB or RGBA picture as uint8 RGBA ``(height, width, 4)``, straight alpha.

    ``pad`` shows all of it, centred; ``crop`` fills the size and cuts off what sticks out evenly; ``stretch``
    ignores its proportions; ``keep`` changes no pixel: the middle of the picture, in the middle. Colours are mixed
    premultiplied, so what is hidden never bleeds into an edge. Margins are transparent; around an opaque picture
    their hidden colour is the commonest one of its border, for a pack that turns out to have no alpha.
    """
    filtering = _FILTERS[resample]
    whole = (size.width, size.height)
    if mode == "stretch":
        return from_pillow(image.resize(whole, filtering), 4)
    if mode == "crop":
        return from_pillow(image.resize(whole, filtering, box=_centre(image, size)), 4)
    if mode == "keep":
        picture = from_pillow(image.crop(_middle(image, size)), 4)
    else:
        picture = from_pillow(image.resize(_inner(image.size, size, mode, resample), filtering), 4)
    return picture if picture.shape[:2] == (size.height, size.width) else _centred(picture, size, _margin(image))


def place_of(sides: tuple[int, int], size: Size, mode: str, resample: str) -> tuple[int, int, int, int] | None:
    """Where all of a picture of ``sides``, (width, height), lies in what ``fit`` makes of it: left, top, right, bottom.

    None where something of it is cut off, or it lost its proportions.
    """
    across, down = scales(sides, size, mode, resample)
    width, height = _inner(sides, size, mode, resample)
    if across != down or width > size.width or height > size.height:
        return None
    left, top = (size.width - width) // 2, (size.height - height) // 2
    return left, top, left + width, top + height


def scales(sides: tuple[int, int], size: Size, mode: str, resample: str) -> tuple[float, float]:
    """How many times as wide and as high a picture of ``sides``, (width, height), becomes.

    ``nearest`` pads to whole factors only: pixel art whose pixels differ in size looks broken.
    """
    across, down = size.width / sides[0], size.height / sides[1]
    if mode == "keep":
        return 1, 1
    if mode == "crop":
        return max(across, down), max(across, down)
    if mode == "pad":
        scale = min(across, down)
        across = down = int(scale) if resample == "nearest" and scale > 1 else scale
    return across, down


def _inner(sides: tuple[int, int], size: Size, mode: str, resample: str) -> tuple[int, int]:
    """The width and height that a picture of ``sides`` is resized to."""
    across, down = scales(sides, size, mode, resample)
    return max(round(sides[0] * across), 1), max(round(sides[1] * down), 1)


def resampling_for(image: Image.Image, size: Size, mode: str) -> str:
    """How to resample a picture that nobody said it of: nearest for pixel art that grows by a whole factor."""
    factors = scales(image.size, size, mode, "lanczos")
    whole = factors[0] >= 2 and all(factor == int(factor) for factor in factors)
    return "nearest" if whole and _is_pixel_art(image) else "lanczos"


def _is_pixel_art(image: Image.Image) -> bool:
    """Whether it has few colours, for so many pixels that this is no accident. It is small: it grows."""
    most = min(_FEW_COLOURS, max(image.width * image.height // 4, 2))
    return image.getcolors(most) is not None


def _centre(image: Image.Image, size: Size) -> tuple[float, float, float, float]:
    """The largest box of the target's proportions in the middle of the image: left, top, right, bottom."""
    scale = min(image.width / size.width, image.height / size.height)
    width, height = size.width * scale, size.height * scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return left, top, min(left + width, image.width), min(top + height, image.height)


def is_cut(image: Image.Image, size: Size) -> bool:
    """Whether ``keep`` cuts off something that is drawn."""
    left, top, right, bottom = _middle(image, size)
    drawn = image.getchannel("A").getbbox() if image.mode == "RGBA" else (0, 0, *image.size)
    return drawn is not None and (drawn[0] < left or drawn[1] < top or drawn[2] > right or drawn[3] > bottom)


def _middle(image: Image.Image, size: Size) -> tuple[int, int, int, int]:
    """As much of the middle of an image as ``size`` holds: left, top, right, bottom."""
    width, height = min(image.width, size.width), min(image.height, size.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return left, top, left + width, top + height


def _centred(picture: Images, size: Size, margin: tuple[int, ...]) -> Images:
    page = np.empty((size.height, size.width, 4), np.uint8)
    page[:] = margin
    height, width = picture.shape[:2]
    top, left = (size.height - height) // 2, (size.width - width) // 2
    page[top : top + height, left : left + width] = picture
    return page


def _margin(image: Image.Image) -> tuple[int, ...]:
    """Transparent, with the commonest colour of an opaque image's border behind it."""
    if image.mode == "RGBA":
        return 0, 0, 0, 0
    pixels = from_pillow(image, 3)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colours, counts = np.unique(border, axis=0, return_counts=True)
    return (*colours[counts.argmax()].tolist(), 0)
