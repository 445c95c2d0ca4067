"""A picture on its way through the steps: its pixels, and what an engine needs to know beside them."""

from dataclasses import dataclass

import numpy as np

from core.images import Images


@dataclass(frozen=True, eq=False)
class Sprite:
    """RGBA pixels, where they lie in the picture they were trimmed from, and the point that the sprite turns about."""

    pixels: Images  # (height, width, 4), straight alpha unless premultiplied
    source: tuple[int, int]  # width and height before trimming
    offset: tuple[int, int] = (0, 0)  # of the top left pixel in that
    pivot: tuple[float, float] | None = None  # shares of the source's width and height, from the top left
    direction: str = ""  # where it looks, as on a compass: "n" is up, "se" down and right
    notes: tuple[str, ...] = ()  # what a step found, for people
    palette: tuple[tuple[int, int, int], ...] = ()  # the colours that it was locked to, in their order

    @classmethod
    def of(cls, picture: Images) -> "Sprite":
        """An untrimmed sprite of a ``(height, width, channels)`` picture in grey, RGB or RGBA."""
        return cls(rgba(picture), (picture.shape[1], picture.shape[0]))

    @property
    def trimmed(self) -> bool:
        """Whether the source is larger than the pixels."""
        return self.source != (self.pixels.shape[1], self.pixels.shape[0])

    def whole(self) -> Images:
        """The pixels back in a picture of the source's size, ``(height, width, 4)``, with nothing around them."""
        page = np.zeros((self.source[1], self.source[0], 4), np.uint8)
        height, width = self.pixels.shape[:2]
        page[self.offset[1] : self.offset[1] + height, self.offset[0] : self.offset[0] + width] = self.pixels
        return page


def rgba(picture: Images) -> Images:
    """A grey, RGB or RGBA ``(height, width, channels)`` picture as RGBA, opaque where it had no alpha."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or 0 in picture.shape:
        raise ValueError(f"not a picture: {picture.dtype} of {picture.shape}")
    if picture.shape[2] == 4:
        return picture
    colour = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    return np.concatenate([colour, np.full((*picture.shape[:2], 1), 255, np.uint8)], axis=2)
