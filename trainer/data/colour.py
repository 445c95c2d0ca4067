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
# White, red, green and blue as (x, y), in cHRM's order: those of sRGB.
_PRIMARIES = np.array([[0.3127, 0.329], [0.64, 0.33], [0.3, 0.6], [0.15, 0.06]])
# Lam 1985, the Bradford transform: XYZ to the cones' responses, where whites are scaled into one another.
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_USUAL_GAMMA = 1 / 2.2  # so near to sRGB's curve that everybody takes it for that


def to_srgb(image: Image.Image) -> tuple[Image.Image, Note | None]:
    """An L, RGB, RGBA, CMYK or LAB picture in L, RGB or RGBA with sRGB's colours, and what was done, if anything.

    By its ICC profile (ICC.1), else by PNG's gAMA and cHRM chunks (PNG specification, 11.3.2), else it is sRGB.
    """
    profile, gamma = image.info.get("icc_profile"), unusual_gamma(image.info)

    # By its profile
    if profile:
        return _by_profile(image, profile)
    if image.mode == "LAB":
        return _apply(image, ImageCms.createProfile("LAB"), "LAB"), COLOUR

    # By what a PNG says of its colours, else it is sRGB
    image = image.convert("RGB") if image.mode == "CMYK" else image
    primaries = _unusual_primaries(image.info)
    if primaries is not None and image.mode in ("RGB", "RGBA"):
        return _by_primaries(image, primaries, float(image.info["gamma"])), COLOUR
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


def _unusual_primaries(info: Mapping[Any, Any]) -> NDArray[np.float64] | None:
    """White, red, green and blue ``(4, 2)`` of a PNG that says how its values became light, if they are not sRGB's."""
    found, gamma = info.get("chromaticity"), info.get("gamma")
    if found is None or len(found) != 8 or not gamma or "srgb" in info:
        return None
    primaries = np.asarray(found, np.float64).reshape(4, 2)
    usual = np.abs(primaries - _PRIMARIES).max() < 0.01
    corners = np.append(primaries[1:], np.ones((3, 1)), axis=1)
    return None if usual or primaries[:, 1].min() <= 0 or abs(np.linalg.det(corners)) < 1e-4 else primaries


def _by_primaries(image: Image.Image, primaries: NDArray[np.float64], gamma: float) -> Image.Image:
    pixels = np.asarray(image)
    light = (pixels[..., :3] / 255) ** (1 / gamma)
    to_theirs, to_ours = _to_xyz(primaries), _to_xyz(_PRIMARIES)
    whites = [_CONES @ matrix.sum(axis=1) for matrix in (to_theirs, to_ours)]
    adapted = np.linalg.inv(_CONES) @ np.diag(whites[1] / whites[0]) @ _CONES
    moved = light @ (np.linalg.inv(to_ours) @ adapted @ to_theirs).T
    levels = np.rint(255 * gamma_levels(moved, 1)).astype(np.uint8)
    return Image.fromarray(np.append(levels, pixels[..., 3:], axis=2), image.mode)


def _to_xyz(primaries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear RGB to XYZ, white at luminance 1 (SMPTE RP 177)."""
    xyz = np.stack([primaries[:, 0], primaries[:, 1], 1 - primaries.sum(axis=1)]) / primaries[:, 1]  # (3, 4)
    scaled: NDArray[np.float64] = xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])
    return scaled
