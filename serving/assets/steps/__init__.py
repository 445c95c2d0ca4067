"""The steps that a picture can go through, by the names they have in a file."""

from typing import Any

from serving.assets.steps import (
    alpha,
    bleed,
    centre,
    directions,
    outline,
    palette,
    sizes,
    specks,
    tileable,
    trim,
    turning,
)
from serving.assets.steps.step import NoSettings, Step, on_pixels, on_whole

STEPS: dict[str, Step[Any]] = {
    "threshold": Step(alpha.Threshold, on_pixels(alpha.threshold)),
    "specks": Step(specks.Specks, on_pixels(specks.specks)),
    "one-bit": Step(alpha.OneBit, on_pixels(alpha.one_bit)),
    "palette": Step(palette.Lock, palette.lock, load=palette.with_file),
    "outline": Step(outline.Outline, on_whole(outline.outline), moves=True),
    "flip": Step(turning.Flip, on_whole(turning.flip), moves=True),
    "turn": Step(turning.Turn, on_whole(turning.turn), moves=True),
    "directions": Step(directions.Directions, directions.directions, moves=True),
    "enlarge": Step(sizes.Enlarge, on_whole(sizes.enlarge), moves=True),
    "centre": Step(NoSettings, on_whole(lambda picture, _: centre.centre(picture)), moves=True),
    "pad": Step(sizes.Pad, on_whole(sizes.pad), moves=True),
    "tileable": Step(tileable.Tileable, tileable.tileable),
    "pivot": Step(centre.Pivot, centre.pivot, places=True),
    "trim": Step(trim.Trim, trim.trim, places=True),
    "bleed": Step(bleed.Bleed, on_pixels(bleed.bleed)),
    "premultiply": Step(NoSettings, on_pixels(lambda picture, _: alpha.premultiply(picture))),
}
