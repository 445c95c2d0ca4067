"""The pack against what a loader without one does: decode the same images from PNG files with Pillow.

    python benchmarks/pack.py

Prints the time to open 2,500 RGBA images of 64x64 (wanted: under 0.1 s) and the rate in training order (at least
20,000 images/s), both as ratios against the reference in the same process.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from core.images import Images, encode_png
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.data.sampler import indices

COUNT, SIDE, BATCH, REPEATS = 2500, 64, 64, 7


def sprites(count: int, side: int) -> Images:
    """Discs of flat colour on transparency: PNG files as small, and as quick to decode, as real sprites."""
    random = np.random.default_rng(0)
    rows, columns = np.indices((side, side)) - side / 2
    images = np.zeros((count, side, side, 4), np.uint8)
    for image in images:
        image[rows**2 + columns**2 < random.uniform(side / 5, side / 2.2) ** 2] = (*random.integers(0, 256, 3), 255)
        image[side // 3 : side // 2, side // 3 : side // 2] = (*random.integers(0, 256, 3), 255)
    return images


def median_seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def epoch_from_pack(pack: Pack) -> None:
    for start in range(0, COUNT, BATCH):
        pack.gather(indices(COUNT, 0, start, BATCH))


def epoch_from_files(paths: list[Path]) -> None:
    for start in range(0, COUNT, BATCH):
        np.stack([np.asarray(Image.open(paths[index])) for index in indices(COUNT, 0, start, BATCH)])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        images, root = sprites(COUNT, SIDE), Path(name)
        pack = write_pack(root / "pack", images, None, PackInfo("sprites", SIDE, SIDE, 4))
        paths = [root / f"{index}.png" for index in range(COUNT)]
        for path, image in zip(paths, images, strict=True):
            path.write_bytes(encode_png(image))
        opening = median_seconds(lambda: Pack.open(root / "pack"))
        packed = COUNT / median_seconds(lambda: epoch_from_pack(pack))
        decoded = COUNT / median_seconds(lambda: epoch_from_files(paths), repeats=3)
    print(f"{COUNT} images of {SIDE}x{SIDE} RGBA, batches of {BATCH} in training order, one process, warm files")
    print(f"opening the pack   {opening * 1e3:10.2f} ms   {COUNT / decoded / opening:8.0f} x faster than decoding all")
    print(f"reading the pack   {packed:10,.0f} images/s   {packed / decoded:8.1f} x Pillow from PNG files")
    print(f"Pillow, PNG files  {decoded:10,.0f} images/s")


if __name__ == "__main__":
    main()
