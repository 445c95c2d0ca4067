"""Pictures of a run: a sheet on fixed seeds at set moments, and the animations and strips made of these sheets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from core.contract import Inputs, batches, sample_inputs, sheet_inputs
from core.files import new_file, write_atomic
from core.images import Images, enlarged, over_checkerboard, sheet, to_pillow
from core.lettering import font_for, legible
from core.networks.base import Maker
from core.ours import facts_of, signed_png, software
from core.seed_sheets import cut, sheet_of_seeds
from core.sheets import CAPTION, Pages, Sheet, small
from core.spec import GeneratorSpec
from trainer.hooks.side_by_side import ACROSS, TARGET, strip
from trainer.metrics.features import maker
from trainer.run import Run

RENDER_BATCH = 64
STRIP_SEEDS = 8
STRIP_MOMENTS = 8
SMALLEST_PAGE = 256  # pixels that an animation is wide at least, as far as whole factors lead
HEAD = 20  # pixels above its pictures, for when it was
LONGEST_ANIMATION = 100  # frames
COLUMNS = "Columns"  # the text of a preview that says what each source is shown with


def preview_images(generator: Maker, count: int) -> Images:
    """The images of seeds 0 … ``count`` - 1, uint8 ``(count, h, w, c)`` with straight alpha; classes take turns.

    Those of a translator are of the sources that travel with it.
    """
    return images_of(generator, sample_inputs(generator.spec, range(count), examples=generator.examples))


def images_of(generator: Maker, inputs: Inputs) -> Images:
    """What ``generator`` makes of the graph's inputs, each ``(n, …)``: uint8 ``(n, h, w, c)``, straight alpha."""
    make = maker(generator)
    return np.concatenate([make(part) for part in batches(inputs, RENDER_BATCH)])


def write_preview(run: Run, generator: Maker, count: int, images_seen: int, drawn: Sheet | None = None) -> None:
    """The sheet of at most ``count`` images on fixed seeds after ``images_seen`` images, a row for each class.

    ``drawn`` is shown in its place, such as what a translator makes of pictures (trainer/hooks/side_by_side.py).
    """
    spec, size, moment = generator.spec, (generator.spec.height, generator.spec.width), _moment(images_seen)
    facts = facts_of(spec)
    if drawn is None:
        inputs, columns = sheet_inputs(spec, count, generator.examples)
        drawn = sheet_of_seeds([*images_of(generator, inputs)], columns, spec.classes, [moment])
    else:
        drawn, facts[COLUMNS] = replace(drawn, title=[moment, *drawn.title]), ", ".join(drawn.columns[:ACROSS])
    run.claim(run.preview(images_seen))
    (page,) = Pages(drawn, size, small(size), one=True)
    write_atomic(run.preview(images_seen), signed_png(page.image(), facts))


def write_animation(run: Run, spec: GeneratorSpec) -> None:
    """``samples.gif``: every preview in turn and when it was, transparency over checks, the last one held."""
    previews = run.previews()[-LONGEST_ANIMATION:]
    if not previews:
        return
    frames = [_frame(path, _moment(moment), spec) for moment, path in previews]
    durations = [200] * (len(frames) - 1) + [2000]
    more: dict[str, Any] = {"append_images": frames[1:], "duration": durations}
    run.claim(run.root / "samples.gif")
    with new_file(run.root / "samples.gif") as file:
        frames[0].save(file, "GIF", save_all=True, loop=0, disposal=1, optimize=False, comment=software(), **more)


def write_strip(run: Run, spec: GeneratorSpec) -> None:
    """``progress.png``: the first few pictures of the previews, a row for each of up to eight moments.

    Of a translator, what it makes of the first few sources, between these and what they are to become.
    """
    previews = run.previews()
    if not previews:
        return

    # The pictures of up to eight moments
    chosen = np.unique(np.linspace(0, len(previews) - 1, STRIP_MOMENTS).round().astype(int))
    pages = [_cells(previews[index][1], spec) for index in chosen]
    rows = [_moment(previews[index][0]) for index in chosen]

    # Of a translator between source and target, else the first seeds
    if spec.kind == "image":
        drawn = strip([cells for cells, _ in pages], rows, _last_column(previews[-1][1]))
    else:
        shown = min(STRIP_SEEDS, *(across for _, across in pages))
        cells = [over_checkerboard(cell, 2) for page, _ in pages for cell in page[:shown]]
        drawn = replace(_columns(spec, shown, len(pages[0][0])), cells=cells, rows=rows)

    height, width = pages[0][0][0].shape[:2]
    (page,) = Pages(drawn, (height, width), small((height, width)), one=True)
    run.claim(run.root / "progress.png")
    write_atomic(run.root / "progress.png", signed_png(page.image(), facts_of(spec)))


def _last_column(path: Path) -> str:
    """What a preview of a translator shows last of each source."""
    with Image.open(path) as picture:
        return str(picture.info.get(COLUMNS, TARGET[-1])).rpartition(", ")[2]


def _columns(spec: GeneratorSpec, shown: int, pictures: int) -> Sheet:
    """What the first pictures of a preview of so many are: seeds, or, where classes have one each, classes."""
    if spec.classes and pictures < 2 * len(spec.classes):
        return Sheet((), columns=spec.classes[:shown], corner="class", title=["seed 0"])
    names, legend = legible(spec.classes[:1], CAPTION)
    title = [f"class {name}" for name in names]
    return Sheet((), columns=[*map(str, range(shown))], corner="seed", title=title, legend=legend)


def _moment(images_seen: int) -> str:
    return f"after {images_seen:,} images"


def _frame(path: Path, moment: str, spec: GeneratorSpec) -> Image.Image:
    """The pictures of a preview edge to edge, for animations grow quickly, enlarged if small, and when it was."""
    cells, across = _cells(path, spec)
    page = sheet(np.stack([over_checkerboard(cell, 2) for cell in cells]), across)
    scale = max(SMALLEST_PAGE // page.shape[1], 1)
    large = to_pillow(enlarged(page, scale))
    frame = Image.new("RGB", (large.width, large.height + HEAD), "white")
    frame.paste(large, (0, HEAD))
    if font := font_for(moment):
        ImageDraw.Draw(frame).text((4, HEAD // 2), moment, "black", font, anchor="lm")
    return frame


def _cells(path: Path, spec: GeneratorSpec) -> tuple[list[Images], int]:
    with Image.open(path) as picture:
        return cut(picture, spec.height, spec.width)
