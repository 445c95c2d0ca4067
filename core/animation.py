"""Pictures as animations that keep their transparency: GIF, animated PNG and WebP; NumPy and Pillow only."""

import io
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from core.errors import RequestRefused
from core.images import Images, to_pillow

KINDS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
FASTEST = 50  # frames a second: a GIF counts hundredths of a second, and viewers slow down what takes one

_COLOURS = 256  # of a GIF, its transparent one included
_OPAQUE_FROM = 128  # alpha, where there is one bit of it
_DESCRIPTION = 0x010E  # of an image, in Exif


def animation_kind(suffix: str) -> str:
    """Pillow's name for the format of files that end in ``suffix``. Raises RequestRefused for what is none."""
    if (kind := KINDS.get(suffix.lower())) is None:
        raise RequestRefused(f"'{suffix}' is no format of an animation: choose {', '.join(KINDS)}")
    return kind


def encode_animation(frames: Images, kind: str, fps: float, text: Mapping[str, str] | None = None) -> bytes:
    """The file of ``(n, height, width, channels)`` frames, played for ever, ``fps`` (at most FASTEST) a second.

    ``kind`` is ``GIF``, ``PNG`` or ``WEBP``. The last two are exact, but for colours under alpha 0. A GIF has one
    palette for all frames, the very colours where 256 are enough, and its pixels are transparent where alpha is
    below 128, opaque elsewhere. ``text`` becomes text chunks, a comment, or the Exif description. The same
    arguments give the same bytes.
    """
    durations = _durations(len(frames), fps, 100 if kind == "GIF" else 1000)
    described = "; ".join(f"{key}: {value}" for key, value in (text or {}).items())

    if kind == "GIF":
        return _encode(
            _indexed(frames), kind, durations, disposal=2, optimize=False, comment=described, **_clear(frames)
        )

    pictures = [to_pillow(frame) for frame in frames]
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        for key, value in (text or {}).items():
            info.add_itxt(key, value)
        return _encode(pictures, kind, durations, pnginfo=info)

    exif = Image.Exif()
    exif[_DESCRIPTION] = described
    return _encode(pictures, kind, durations, lossless=True, exif=exif)


def _encode(pictures: list[Image.Image], kind: str, durations: list[int], **options: Any) -> bytes:
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:], "loop": 0}
    pictures[0].save(buffer, kind, duration=durations, **more, **options)
    return buffer.getvalue()


def _durations(count: int, fps: float, ticks: int) -> list[int]:
    """Milliseconds of each frame in whole ``ticks`` of a second, so that what is rounded does not add up."""
    ends = [round((frame + 1) * ticks / fps) for frame in range(count)]
    return [(end - start) * 1000 // ticks for start, end in itertools.pairwise([0, *ends])]


def _clear(frames: Images) -> dict[str, int]:
    """Which index is transparent, for Pillow, where there is one."""
    return {"transparency": _COLOURS - 1} if _hidden(frames).any() else {}


def _hidden(frames: Images) -> NDArray[np.bool_]:
    """Where a GIF is transparent, ``(n, h, w)``."""
    if frames.shape[-1] != 4:
        return np.zeros(frames.shape[:-1], bool)
    return frames[..., 3] < _OPAQUE_FROM


def _indexed(frames: Images) -> list[Image.Image]:
    """The frames with one palette for all of them, made of what is visible; the last index is what is not."""
    hidden = _hidden(frames)
    colours = frames[..., :3] if frames.shape[-1] != 1 else np.repeat(frames, 3, axis=-1)
    palette, indices = _palette(colours[~hidden], _COLOURS - 1 if hidden.any() else _COLOURS)
    values = np.full(hidden.shape, _COLOURS - 1, np.uint8)
    values[~hidden] = indices
    pictures = [Image.fromarray(value, "P") for value in values]
    for picture in pictures:
        picture.putpalette(palette.tobytes())
    return pictures


def _palette(colours: Images, most: int) -> tuple[Images, NDArray[np.uint8]]:
    """At most ``most`` colours for pixels ``(n, 3)``, padded to a palette ``(256, 3)``, and each pixel's index."""
    palette = np.zeros((_COLOURS, 3), np.uint8)
    packed = colours @ [1 << 16, 1 << 8, 1]
    exact, indices = np.unique(packed, return_inverse=True)
    if len(exact) <= most:
        palette[: len(exact)] = exact[:, None] >> [16, 8, 0]  # bytes, so the lowest eight bits
        return palette, indices.astype(np.uint8)
    strip = Image.fromarray(colours[None], "RGB").quantize(most, Image.Quantize.MEDIANCUT)
    found = strip.getpalette() or []
    palette.flat[: len(found)] = found
    return palette, np.asarray(strip)[0]
