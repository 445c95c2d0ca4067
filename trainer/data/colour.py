"""Colours of any profile as sRGB, which is what networks, browsers and game engines take pixels for."""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from trainer.data.notes import BAD_PROFILE, COLOUR, GAMMA, Note

_SRGB = ImageCms.createProfile("sRGB")
_SPACES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK", "Lab ": "LAB"}  # of a profile: Pillow's mode
# Profiles that move no colour of a coarse grid by more than this are sRGB by another name.
_NEAR = 3  # levels of 255
_USUAL_GAMMA = 1 / 2.2  # so near to sRGB's curve that everybody takes it for that


def to_srgb(image: Image.Image) -> tuple[Image.Image, Note | None]:
    """An L, RGB, RGBA, CMYK or LAB picture in L, RGB or RGBA with sRGB's colours, and what was done, if anything.

    By its ICC profile (ICC.1), else by PNG's gAMA chunk (PNG specification, section 11.3.2.2), else it is sRGB.
    """
    profile, gamma = image.info.get("icc_profile"), unusual_gamma(image.info)
    if profile:
        return _by_profile(image, profile)
    if image.mode == "LAB":
        return _apply(image, ImageCms.createProfile("LAB"), "LAB"), COLOUR
    image = image.convert("RGB") if image.mode == "CMYK" else image
    if gamma:
        return _by_gamma(image, gamma), GAMMA
    return image, None


def unusual_gamma(info: Mapping[Any, Any]) -> float | None:
    """The gamma that a PNG says it was stored with, if it is another than that of screens and files everywhere."""
    gamma = info.get("gamma")
    usual = not isinstance(gamma, float) or gamma <= 0 or 0.95 < gamma / _USUAL_GAMMA < 1.05
    return None if usual or "srgb" in info else gamma


def gamma_levels(values: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """Values 0 … 1, stored as light to the power of ``gamma``, by sRGB's curve (IEC 61966-2-1)."""
    light = values.clip(0, 1) ** (1 / gamma)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _by_profile(image: Image.Image, data: bytes) -> tuple[Image.Image, Note | None]:
    plain = image.convert("RGB") if image.mode == "CMYK" else image
    try:
        mode, is_srgb = _known(data)
        if is_srgb:
            return plain, None
        if (mode in ("CMYK", "LAB")) != (image.mode in ("CMYK", "LAB")):
            return plain, BAD_PROFILE  # of another kind of picture
        return _apply(image, ImageCms.ImageCmsProfile(io.BytesIO(data)), mode), COLOUR
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
        return plain, BAD_PROFILE


def _apply(image: Image.Image, profile: object, mode: str) -> Image.Image:
    """``image`` by way of ``profile``, which is of ``mode``; alpha is kept as it is."""
    transform = ImageCms.buildTransform(profile, _SRGB, mode, "RGB")  # type: ignore[arg-type]
    colours = ImageCms.applyTransform(image if image.mode == mode else image.convert(mode), transform)
    assert colours is not None  # only of transforms in place
    if image.mode == "RGBA":
        colours.putalpha(image.getchannel("A"))
    return colours.convert("L") if image.mode == "L" else colours


@lru_cache(maxsize=64)
def _known(data: bytes) -> tuple[str, bool]:
    """The mode that a profile is of, and whether it is sRGB."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    mode = _SPACES[profile.profile.xcolor_space]
    if mode not in ("L", "RGB"):
        return mode, False
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * 3), axis=-1).reshape(27, 27, 3)
    swatch = Image.fromarray(grid if mode == "RGB" else grid[..., 0])
    moved = np.asarray(_apply(swatch, profile, mode)).astype(int) - np.asarray(swatch)
    return mode, bool(np.abs(moved).max() <= _NEAR)


def _by_gamma(image: Image.Image, gamma: float) -> Image.Image:
    table = np.rint(255 * gamma_levels(np.arange(256) / 255, gamma)).astype(int).tolist()
    return image.point(table * len("RGB"[: len(image.getbands())]) + list(range(256)) * (image.mode == "RGBA"))
