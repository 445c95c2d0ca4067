"""Small packs of pairs and of two domains, for tests of whatever learns from them."""

from pathlib import Path

import numpy as np

from tests.trainer.conftest import blobs, outlines
from trainer.data.pack import Pack, PackInfo, SourcesInfo, write_pack


def lines_of(images: np.ndarray, channels: int = 4) -> np.ndarray:
    """The edges of pictures ``(n, h, w, c)``: on transparency, or black on white where there is no alpha."""
    lines = outlines(images)
    return lines if channels == 4 else np.repeat(255 - lines[..., 3:], channels, axis=-1)


def parts_of(count: int) -> np.ndarray:
    """Every fifth held out, and of the rest some to choose by: uint8."""
    rows = np.arange(count)
    return np.where(rows % 5 == 0, 2, np.where(rows % 10 == 1, 1, 0)).astype(np.uint8)


def paired_pack(
    folder: Path, count: int = 40, side: int = 16, channels: int = 4, source_side: int = 0, source_channels: int = 4
) -> Pack:
    """Discs and their outlines, a fifth held out and a tenth for validation. Sources may be of another size."""
    images = blobs(count, side, side, channels)
    source_side = source_side or side
    rows = np.arange(source_side) * side // source_side
    sources = lines_of(images, source_channels)[:, rows][:, :, rows]
    made = SourcesInfo(source_side, source_side, source_channels, name="lines")
    info = PackInfo("discs", side, side, channels, licence="CC0-1.0", sources=made)
    return write_pack(folder, images, None, info, sources=sources, parts=parts_of(count))


def unpaired_pack(folder: Path, count: int = 40, sources: int = 30, side: int = 16, channels: int = 4) -> Pack:
    """Discs, and the outlines of others: two domains of different counts, with parts of their own."""
    lines = lines_of(blobs(sources, side, side, seed=1), channels)
    made = SourcesInfo(side, side, channels, paired=False, name="lines")
    info = PackInfo("discs", side, side, channels, licence="CC0-1.0", sources=made)
    return write_pack(
        folder,
        blobs(count, side, side, channels),
        None,
        info,
        sources=lines,
        parts=parts_of(count),
        source_parts=parts_of(sources),
    )
