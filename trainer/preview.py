"""Pictures of a run: a sheet on fixed seeds at set moments, and the animations and strips made of these sheets."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.contract import Inputs, sample_inputs, sheet_inputs
from core.files import write_atomic
from core.images import MADE_BY, Images, encode_png, from_pillow, over_checkerboard, provenance, sheet, to_pillow
from core.networks.base import Generator
from trainer.metrics.features import maker, take
from trainer.run import Run

RENDER_BATCH = 64
STRIP_SEEDS = 8
STRIP_MOMENTS = 8
SMALLEST_SIDE = 64  # smaller images are enlarged, pixel by pixel, so that people can see them
LONGEST_ANIMATION = 100  # frames


def render(generator: Generator, count: int) -> Images:
    """The images of seeds 0 … ``count`` - 1, uint8 ``(count, h, w, c)`` with straight alpha; classes take turns."""
    return images_of(generator, sample_inputs(generator.spec, range(count)))


def images_of(generator: Generator, inputs: Inputs) -> Images:
    """What ``generator`` makes of the graph's inputs, each ``(n, …)``: uint8 ``(n, h, w, c)``, straight alpha."""
    make, count = maker(generator), len(inputs["z"])
    parts = [slice(start, start + RENDER_BATCH) for start in range(0, count, RENDER_BATCH)]
    return np.concatenate([make(take(inputs, part)) for part in parts])


def write_preview(run: Run, generator: Generator, count: int, images_seen: int) -> None:
    """The sheet of at most ``count`` images on fixed seeds after ``images_seen`` images, a row for each class."""
    inputs, columns = sheet_inputs(generator.spec, count)
    write_atomic(
        run.preview(images_seen), encode_png(sheet(images_of(generator, inputs), columns), {"Software": MADE_BY})
    )


def write_animation(run: Run) -> None:
    """``samples.gif``: every preview in turn, transparency over checks, the last one held."""
    previews = run.previews()[-LONGEST_ANIMATION:]
    if not previews:
        return
    frames = [_visible(path) for _, path in previews]
    durations = [200] * (len(frames) - 1) + [2000]
    temporary = run.root / ".samples.gif.tmp"
    frames[0].save(
        temporary,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        disposal=1,
        optimize=False,
        comment=MADE_BY,
    )
    temporary.replace(run.root / "samples.gif")


def write_strip(run: Run, height: int, width: int) -> None:
    """``progress.png``: the same few seeds, a row for each of up to eight moments, labelled with images seen."""
    previews = run.previews()
    if not previews:
        return
    chosen = np.unique(np.linspace(0, len(previews) - 1, STRIP_MOMENTS).round().astype(int))
    rows = [(previews[i][0], _first_cells(previews[i][1], height, width)) for i in chosen]
    label = ImageFont.load_default(14)
    margin, gap = 140, 4
    page = Image.new("RGB", (margin + rows[0][1].width, sum(row.height + gap for _, row in rows) - gap), "white")
    draw, top = ImageDraw.Draw(page), 0
    for moment, row in rows:
        draw.text((8, top + row.height // 2), f"{moment:,} images", "black", label, anchor="lm")
        page.paste(row, (margin, top))
        top += row.height + gap
    temporary = run.root / ".progress.png.tmp"
    page.save(temporary, "PNG", pnginfo=provenance())
    temporary.replace(run.root / "progress.png")


def _visible(path: Path) -> Image.Image:
    """A preview as people see it: over checks, enlarged if small."""
    with Image.open(path) as picture:
        image = from_pillow(picture, len(picture.getbands()))
    return to_pillow(over_checkerboard(image))


def _first_cells(path: Path, height: int, width: int) -> Image.Image:
    """The first few images of a preview's top row, side by side, enlarged if small."""
    sight = _visible(path)
    cells = min(STRIP_SEEDS, sight.width // width)
    scale = max(1, -(-SMALLEST_SIDE // min(height, width)))
    row = sight.crop((0, 0, cells * width, height))
    return row.resize((row.width * scale, row.height * scale), Image.Resampling.NEAREST)
