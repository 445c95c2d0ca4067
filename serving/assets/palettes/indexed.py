"""Indexed PNG files: a byte or less for a pixel, and the alpha of each colour in a tRNS chunk."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, PngImagePlugin

from core.errors import AssetError
from core.images import Images
from serving.assets.palettes.colours import MOST_COLOURS, RGB


def indexed_png(picture: Images, order: Sequence[RGB] = (), text: Mapping[str, str] | None = None) -> bytes:
    """The PNG file (PNG 1.2, sections 4.1.2 and 4.2.1.1) of an RGBA picture of at most 256 colours, pixels exactly.

    Colours are in the ``order`` of a palette, then by level; what is transparent comes first, so that tRNS is short.
    """
    colours, which = np.unique(picture.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > MOST_COLOURS:
        raise AssetError(
            f"{len(colours)} colours with their alpha are too many for an indexed PNG: lock a palette, and make alpha "
            f"1-bit, so that there are at most {MOST_COLOURS}"
        )
    rank = {colour: place for place, colour in enumerate(order)}
    places = [(a == 255, rank.get((r, g, b), len(rank)), r, g, b, a) for r, g, b, a in colours.tolist()]
    sequence = np.array(sorted(range(len(places)), key=lambda index: places[index]), np.intp)
    image = Image.fromarray(np.argsort(sequence)[which].reshape(picture.shape[:2]).astype(np.uint8), "P")
    image.putpalette(colours[sequence, :3].tobytes())

    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    alpha = colours[sequence, 3]
    trns = {"transparency": alpha[alpha < 255].tobytes()} if (alpha < 255).any() else {}
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, **trns)
    return buffer.getvalue()
