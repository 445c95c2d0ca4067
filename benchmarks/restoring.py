"""Autoencoders beside the filters that everybody has, on the same held-out pictures. Run by hand.

    pip install scikit-image
    python benchmarks/restoring.py runs/denoise data/pack     # a run of denoise-cpu: median filters, non-local means
    python benchmarks/restoring.py runs/upscale data/pack     # a run of upscale-cpu: nearest, bicubic, Lanczos

Every filter has the strength that is best for these very pictures (the size of a median, the h of non-local means),
which nobody could choose beforehand: the network has no such help. PSNR and SSIM are of RGB over white, L1 of
premultiplied values. Noise is on colours alone where there is alpha, which the filters are given as it was.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.filters import median
from skimage.restoration import denoise_nl_means

from core.checkpoint import load_generator
from core.images import Images, from_pillow, to_pillow
from trainer.data.pack import Pack
from trainer.metrics.features import maker
from trainer.metrics.held import pairs_of
from trainer.metrics.pairs import l1, mean_of, psnr, ssim
from trainer.metrics.translation import translated
from trainer.objective.corruption import Corruption
from trainer.run import Run

Filter = Callable[[Images], Images]  # one picture (h, w, c)
RESAMPLINGS = {
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("pack", type=Path)
    args = parser.parse_args()
    generator = load_generator(Run(args.run).generator)
    spec = generator.spec
    assert spec.source is not None
    corruption = Corruption.parse(spec.source.origin)
    if corruption is None or corruption.kind not in ("noise", "smaller"):
        raise SystemExit(f"{args.run} is no run of denoise-cpu or upscale-cpu: its sources are {spec.source.origin}")
    sources, targets = pairs_of(Pack.open(args.pack), spec, "held").all()
    made = {"ours": translated(maker(generator), sources)}
    filters = denoising(corruption.strength) if corruption.kind == "noise" else enlarging((spec.width, spec.height))
    for name, candidates in filters:
        tried = [np.stack([each(picture) for picture in sources]) for each in candidates]
        made[name] = max(tried, key=lambda images: mean_of(psnr(images, targets)) or 0.0)
    print(
        f"{len(sources)} held-out pictures, {spec.source.origin}, the network after "
        f"{spec.provenance.images_seen:,} images"
    )
    print(f"{'':24}{'PSNR':>8}{'SSIM':>8}{'L1':>8}")
    for name, images in made.items():
        print(
            f"{name:24}{mean_of(psnr(images, targets)):8.2f}{mean_of(ssim(images, targets)):8.3f}"
            f"{mean_of(l1(images, targets)):8.2f}"
        )


def denoising(strength: float) -> Iterator[tuple[str, list[Filter]]]:
    """By name, the same filter at several strengths; alpha is left as it is."""
    yield "as it came", [lambda picture: picture]
    yield "median", [of_colours(lambda page, side=side: median_of(page, side)) for side in (3, 5, 7)]
    strengths = [factor * strength / 255 for factor in (0.4, 0.6, 0.8, 1.0, 1.2)]
    yield "non-local means", [of_colours(lambda page, h=h: means_of(page, h, strength / 255)) for h in strengths]


def of_colours(change: Filter) -> Filter:
    """``change`` of the colours of a picture, whatever else it has."""

    def changed(picture: Images) -> Images:
        colours = picture[..., :3] if picture.shape[-1] == 4 else picture
        return np.concatenate([change(colours), picture[..., colours.shape[-1] :]], axis=-1)

    return changed


def median_of(page: Images, side: int) -> Images:
    window = np.ones((side, side), bool)
    return np.stack([median(page[..., channel], window) for channel in range(page.shape[-1])], axis=-1)


def means_of(page: Images, h: float, sigma: float) -> Images:
    """Buades et al. 2005, as scikit-image has it: patches of 5x5 within 13x13, the noise known."""
    made = denoise_nl_means(page / 255, patch_size=5, patch_distance=6, h=h, sigma=sigma, channel_axis=-1)
    return np.round(made.clip(0, 1) * 255).astype(np.uint8)


def enlarging(size: tuple[int, int]) -> Iterator[tuple[str, list[Filter]]]:
    """Pillow's, which mix premultiplied colours."""
    for name, resampling in RESAMPLINGS.items():
        yield name, [lambda page, way=resampling: from_pillow(to_pillow(page).resize(size, way), page.shape[-1])]


if __name__ == "__main__":
    main()
