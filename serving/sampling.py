"""What ``sample`` does: seeds, a sweep of truncations, a way from seed to seed, mixed styles."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.animation import animation_kind, encode_animation
from core.contract import NOISE, latent_inputs
from core.errors import RequestRefused
from core.images import Images
from core.system import portable_name
from serving.client import Sampler
from serving.codes import Codes
from serving.files import (
    MOST_ON_A_SHEET,
    Picture,
    describe,
    make_places,
    save_pictures,
    save_samples,
    save_sheet,
    write_picture,
)
from serving.interpolation import Place, follow, lerp, slerp, walk
from serving.styles import mixed, parse_layers

MOST_FRAMES = 3600  # of an animation: three minutes at 20 a second
MOST_TRUNCATIONS = 32  # of a sweep: each is a stream of requests
MOST_MIXED = 1000
ALL = "all"  # in place of a label: every class in turn
_MOST_BYTES = 1 << 30  # of an animation's frames, which are in memory together

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """What every way of sampling needs: whom to ask, for which class, and where the files go.

    ``codes`` are the same for all images; ``progress`` hears how many of how many images are there.
    """

    sampler: Sampler
    out: Path
    sheet: Path | None = None
    label: str | None = None
    progress: Callable[[int, int], None] | None = None
    codes: NDArray[np.float32] | None = None

    def facts(self, truncation: str | float) -> dict[str, str]:
        """The text chunks of all pictures."""
        sampler = self.sampler
        label = None if self.label == ALL else self.label
        return describe(sampler.spec, sampler.model, sampler.version, truncation, label)

    def counted(self, items: Iterable[T], total: int) -> Iterator[T]:
        """The items as they are, while ``progress`` hears of them."""
        for done, item in enumerate(items, 1):
            yield item
            if self.progress:
                self.progress(done, total)


def parse_truncations(text: str) -> list[float]:
    """``"0.7"``, or a sweep: ``"0,0.25,0.5"``. Raises RequestRefused for anything else, and for one given twice."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise RequestRefused(f"'{text}' is not a truncation: write 0.7, or several for a sweep, 0,0.5,1") from None
    names = [f"{value:g}" for value in values]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RequestRefused(f"the truncation {twice} is given twice: leave one out")
    if len(values) > MOST_TRUNCATIONS:
        raise RequestRefused(f"{len(values)} truncations in one sweep: at most {MOST_TRUNCATIONS}")
    return values


def draw(order: Order, seeds: Sequence[int], truncations: Sequence[float], codes: Codes) -> str:
    """A PNG of each seed; at each truncation, with each value of a code, or in each class, where one of these is many.

    Raises RequestRefused where two of them are: a sheet has two sides.
    """
    every = order.label == ALL
    if (len(truncations) > 1) + (codes.way is not None) + every > 1:
        raise RequestRefused(
            "a sheet has two sides, and one is for seeds: give one of --label all, several truncations, a way of a code"
        )
    if every:
        return draw_classes(order, seeds, truncations[0])
    if codes.way is not None:
        return draw_codes(order, seeds, truncations[0], codes)
    return draw_sweep(order, seeds, truncations) if len(truncations) > 1 else draw_seeds(order, seeds, truncations[0])


def draw_seeds(order: Order, seeds: Sequence[int], truncation: float) -> str:
    """A PNG of each seed; says so in a line."""
    sampler = order.sampler
    images = order.counted(sampler.sample(seeds, truncation, order.label, order.codes), len(seeds))
    save_samples(images, order.out, sampler.spec, sampler.model, sampler.version, truncation, order.label, order.sheet)
    return _said(order, len(seeds), "images", MOST_ON_A_SHEET)


def draw_sweep(order: Order, seeds: Sequence[int], truncations: Sequence[float]) -> str:
    """A PNG of each seed at each truncation; on the sheet a row for each seed, a column for each truncation."""
    named = [f"{truncation:g}" for truncation in truncations]
    streams = [order.sampler.sample(seeds, each, order.label, order.codes) for each in truncations]
    return _draw_columns(order, seeds, "truncation", named, streams, order.facts(", ".join(named)))


def draw_codes(order: Order, seeds: Sequence[int], truncation: float, codes: Codes) -> str:
    """A PNG of each seed with each value of one code; on the sheet a row for each seed, a column for each value."""
    assert codes.way is not None
    named, streams = [f"{value:g}" for value in codes.way], []
    for value in codes.way:
        at = codes.values.copy()
        at[codes.swept] = value
        streams.append(order.sampler.sample(seeds, truncation, order.label, at))
    return _draw_columns(order, seeds, f"code {codes.swept}", named, streams, order.facts(truncation))


def _draw_columns(
    order: Order,
    seeds: Sequence[int],
    what: str,
    named: Sequence[str],
    streams: Sequence[Iterable[tuple[int, Images]]],
    facts: dict[str, str],
) -> str:
    """The same seeds under several settings of ``what``, ``named``: a stream of images, and a column, for each."""
    make_places(order.out, order.sheet)
    columns, total = len(streams), len(seeds) * len(streams)
    together = (sample for row in zip(*streams, strict=True) for sample in row)
    pictures = (
        Picture(
            f"{seed:010d}_{what.replace(' ', '_')}_{named[index % columns]}",
            image,
            {"Seed": str(seed), what.capitalize(): named[index % columns]},
        )
        for index, (seed, image) in enumerate(order.counted(together, total))
    )
    return _save_table(order, pictures, total, columns, facts)


def draw_classes(order: Order, seeds: Sequence[int], truncation: float) -> str:
    """A PNG of each seed in each class; on the sheet a row for each class, a column for each seed."""
    classes = order.sampler.spec.classes
    if not classes:
        raise RequestRefused(f"'{order.sampler.model}' has no classes: leave --label out")
    make_places(order.out, order.sheet)
    total = len(seeds) * len(classes)
    samples = (
        (label, seed, image)
        for label in classes
        for seed, image in order.sampler.sample(seeds, truncation, label, order.codes)
    )
    pictures = (
        Picture(f"{_file_name(label)}_{seed:010d}", image, {"Seed": str(seed), "Label": label})
        for label, seed, image in order.counted(samples, total)
    )
    return _save_table(order, pictures, total, len(seeds), order.facts(truncation))


def _save_table(order: Order, pictures: Iterable[Picture], total: int, columns: int, facts: dict[str, str]) -> str:
    """Save ``total`` pictures, row by row, and a sheet of as many whole rows as fit; says so in a line."""
    most = MOST_ON_A_SHEET // columns * columns
    _, shown = save_pictures(pictures, order.out, facts, most if order.sheet else 0)
    save_sheet(shown, order.sheet, facts, columns)
    return _said(order, total, "images", most)


def _file_name(label: str) -> str:
    """A class's name as part of a file's: whatever a file system might not take is a '_'."""
    return portable_name(label)[:80]


def draw_interpolation(
    order: Order,
    seeds: Sequence[int],
    frames: int,
    *,
    fps: float = 20,
    loop: bool = False,
    animation: Path | None = None,
    truncation: float = 1.0,
) -> str:
    """A PNG of each of ``frames`` frames on the way from seed to seed, and the animation of them.

    The way is straight in w where the model has styles, on arcs in z where it has none.
    """
    animation = animation or order.out / "interpolation.webp"
    kind = animation_kind(animation.suffix)
    _check_way(order.sampler, seeds, frames)
    make_places(order.out, order.sheet, animation)
    places = walk(len(seeds), frames, loop)
    straight = order.sampler.style_shape is not None
    images = order.counted(_along(order, seeds, places, truncation), frames)
    way = f"seeds {_listed(seeds)}{', and back' if loop else ''}, {'linear in w' if straight else 'spherical in z'}"
    facts = order.facts(truncation) | {"Interpolation": way}
    pictures = (
        Picture(f"frame_{index:04d}", image, _facts_of_frame(index, seeds, places))
        for index, image in enumerate(images)
    )
    _, shown = save_pictures(pictures, order.out, facts, frames)
    write_picture(animation, encode_animation(np.stack(shown), kind, fps, facts))
    save_sheet(shown[:MOST_ON_A_SHEET], order.sheet, facts)
    return f"{_said(order, frames, 'frames', MOST_ON_A_SHEET)}, animation in {animation}"


def draw_mixes(order: Order, seeds: Sequence[int], layers: str, truncation: float = 1.0) -> str:
    """A PNG of the first seed with some layers' styles from each of the others.

    The sheet is a row of the table in Karras et al. 2019, figure 3: above, whence the layers come; below, the first
    seed, then itself with those layers.
    """
    first, *others = seeds
    if not 1 <= len(others) <= MOST_MIXED:
        raise RequestRefused(f"{len(seeds)} seeds cannot be mixed: write two to {MOST_MIXED + 1}, like --mix 3,9")
    make_places(order.out, order.sheet)
    sampler, facts = order.sampler, order.facts(truncation)
    w = np.stack(list(sampler.styles(seeds, truncation, order.label)))
    taken = parse_layers(layers, w.shape[1])
    noise = latent_inputs(sampler.spec, seeds).get(NOISE)
    theirs = None if noise is None else noise[:1].repeat(len(others), 0)  # the first seed's: no layer's style
    made = sampler.sample_styles(mixed(w[:1].repeat(len(others), 0), w[1:], taken), theirs)
    images = order.counted(made, len(others))
    named = layers if layers[0].isalpha() else f"layers_{layers}"
    whose = f"layers {taken.start}-{taken.stop - 1} of {w.shape[1]}"
    pictures = (
        Picture(
            f"{first:010d}_{named}_from_{other:010d}", image, {"Seed": str(first), "Mixed": f"{whose} from {other}"}
        )
        for other, image in zip(others, images, strict=True)
    )
    _, shown = save_pictures(pictures, order.out, facts, len(others))
    if order.sheet:
        own, *sources = sampler.sample_styles(w, noise)
        table = [np.zeros_like(own), *sources, own, *shown]
        save_sheet(table, order.sheet, facts | {"Mixed": f"{whose} of seed {first}"}, len(seeds))
    return f"{_said(order, len(others), 'images', MOST_ON_A_SHEET)} ({whose}, counted from 0)"


def _check_way(sampler: Sampler, seeds: Sequence[int], frames: int) -> None:
    spec = sampler.spec
    most = min(MOST_FRAMES, _MOST_BYTES // (spec.height * spec.width * spec.channels + 4 * spec.noise))
    if len(seeds) < 2:
        raise RequestRefused("a way needs two seeds or more: write --interpolate 3-9 or 3,9")
    if not len(seeds) <= frames <= most:
        raise RequestRefused(f"{frames} frames for {len(seeds)} seeds: choose from {len(seeds)} (each seed) to {most}")


def _along(order: Order, seeds: Sequence[int], places: list[Place], truncation: float) -> Iterator[Images]:
    """The image at each place. Noise, where it is an input, goes on arcs in any case: straight lines weaken it."""
    sampler = order.sampler
    given = latent_inputs(sampler.spec, seeds)
    noise = follow(given[NOISE], places, slerp) if NOISE in given else None
    if sampler.style_shape:
        w = np.stack(list(sampler.styles(seeds, truncation, order.label)))
        return sampler.sample_styles(follow(w, places, lerp), noise)
    return sampler.sample_latents(follow(given["z"], places, slerp), truncation, order.label, noise)


def _facts_of_frame(index: int, seeds: Sequence[int], places: list[Place]) -> dict[str, str]:
    place = places[index]
    facts = {"Frame": f"{index + 1} of {len(places)}"}
    if place.share == 0:
        return facts | {"Seed": str(seeds[place.start])}
    return facts | {"Between": f"{place.share:.4f} of the way from seed {seeds[place.start]} to {seeds[place.end]}"}


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds)) if len(seeds) <= 12 else f"{seeds[0]} … {seeds[-1]} ({len(seeds)} of them)"


def _said(order: Order, count: int, what: str, most: int) -> str:
    shown = f" of the first {most:,}" if count > most else ""
    return f"{count:,} {what} in {order.out}" + (f", sheet{shown} in {order.sheet}" if order.sheet else "")
