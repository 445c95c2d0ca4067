"""What ``sample`` does: seeds, a sweep of truncations, a way from seed to seed, mixed styles."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from core.animation import animation_kind, encode_animation
from core.contract import NOISE, latent_inputs
from core.errors import RequestRefused
from core.images import Images
from serving.client import Sampler
from serving.codes import Codes
from serving.files import (
    MOST_ON_A_SHEET,
    Beside,
    Keeper,
    Picture,
    make_places,
    older_frames,
    on_a_sheet,
    save_pictures,
)
from serving.interpolation import Place, follow, lerp, slerp, walk
from serving.naming import text_in_names
from serving.order import Names, Order, number, said, seed_in_names
from serving.styles import mixed, parse_layers

MOST_FRAMES = 3600  # of an animation: three minutes at 20 a second
MOST_TRUNCATIONS = 32  # of a sweep: each is a stream of requests
MOST_MIXED = 1000
_MOST_BYTES = 1 << 30  # of an animation's frames, which are in memory together


def parse_truncations(text: str) -> list[float]:
    """``"0.7"``, or a sweep: ``"0,0.25,0.5"``. Raises RequestRefused for anything else, and for one given twice."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise RequestRefused(f"'{text}' is not a truncation: write 0.7, or several for a sweep, 0,0.5,1") from None
    names = [number(value) for value in values]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RequestRefused(f"the truncation {twice} is given twice: leave one out")
    if len(values) > MOST_TRUNCATIONS:
        raise RequestRefused(f"{len(values)} truncations in one sweep: at most {MOST_TRUNCATIONS}")
    return values


def draw(order: Order, seeds: Sequence[int], truncations: Sequence[float], codes: Codes) -> str:
    """A PNG of each seed; at each truncation, with each value of a code, or in each class, where one of these is many.

    Raises RequestRefused where two of them are: a sheet has two sides.
    """
    every = order.every_class
    if (len(truncations) > 1) + (codes.way is not None) + every > 1:
        raise RequestRefused(
            "a sheet has two sides, and one is for seeds: give one of all classes, several truncations, a way of a code"
        )
    if every:
        return draw_classes(order, seeds, truncations[0])
    if codes.way is not None:
        return draw_codes(order, seeds, truncations[0], codes)
    return draw_sweep(order, seeds, truncations) if len(truncations) > 1 else draw_seeds(order, seeds, truncations[0])


def draw_seeds(order: Order, seeds: Sequence[int], truncation: float) -> str:
    """A PNG of each seed; says so in a line."""
    names = Names(order, "{seed}", {"truncation": number(truncation)}, ["seed"], len(seeds))
    images = order.sampler.sample(seeds, truncation, order.label, order.codes)
    make_places(order.out, order.sheet)
    pictures = (
        Picture(names.next(seed=seed_in_names(seed)), image, {"Seed": str(seed)})
        for seed, image in order.counted(images, len(seeds))
    )
    return _save_table(order, pictures, None, order.facts(truncation))


def draw_sweep(order: Order, seeds: Sequence[int], truncations: Sequence[float]) -> str:
    """A PNG of each seed at each truncation; on the sheet a row for each seed, a column for each truncation."""
    named = [number(truncation) for truncation in truncations]
    streams = [order.sampler.sample(seeds, each, order.label, order.codes) for each in truncations]
    columns = [{"truncation": each} for each in named]
    return _draw_columns(order, seeds, "truncation", columns, streams, order.facts(", ".join(named)))


def draw_codes(order: Order, seeds: Sequence[int], truncation: float, codes: Codes) -> str:
    """A PNG of each seed with each value of one code; on the sheet a row for each seed, a column for each value."""
    assert codes.way is not None
    columns, streams = [], []
    for value in codes.way:
        at = codes.values.copy()
        at[codes.swept] = value
        columns.append({"code": number(value), "codes": ",".join(map(number, at)), "truncation": number(truncation)})
        streams.append(order.sampler.sample(seeds, truncation, order.label, at))
    return _draw_columns(order, seeds, f"code {codes.swept}", columns, streams, order.facts(truncation))


def _draw_columns(
    order: Order,
    seeds: Sequence[int],
    what: str,
    columns: Sequence[dict[str, str]],
    streams: Sequence[Iterable[tuple[int, Images]]],
    facts: dict[str, str],
) -> str:
    """The same seeds under several settings of ``what``: a stream of images, and the fields of a name, for each."""
    field, count, total = what.split()[0], len(columns), len(seeds) * len(columns)
    usual = f"{{seed}}_{what.replace(' ', '_')}_{{{field}}}"
    # In the order in which they are asked for where they lack; whatever else a column has follows from these.
    varying = [field] if len(seeds) == 1 else ["seed", field]
    names = Names(order, usual, dict.fromkeys(("seed", *columns[0]), ""), varying, total)
    make_places(order.out, order.sheet)
    together = (sample for row in zip(*streams, strict=True) for sample in row)
    pictures = (
        Picture(
            names.next(seed=seed_in_names(seed), **columns[index % count]),
            image,
            {"Seed": str(seed), what.capitalize(): columns[index % count][field]},
        )
        for index, (seed, image) in enumerate(order.counted(together, total))
    )
    return _save_table(order, pictures, count, facts)


def draw_classes(order: Order, seeds: Sequence[int], truncation: float) -> str:
    """A PNG of each seed in each class; on the sheet a row for each class, a column for each seed."""
    classes = order.sampler.spec.classes
    if not classes:
        raise RequestRefused(f"'{order.sampler.model}' has no classes: leave --label out")
    total, same = len(seeds) * len(classes), {"truncation": number(truncation), "seed": ""}
    names = Names(order, "{seed}", same, ["label"] if len(seeds) == 1 else ["label", "seed"], total)
    make_places(order.out, order.sheet)
    samples = (
        (label, seed, image)
        for label in classes
        for seed, image in order.sampler.sample(seeds, truncation, label, order.codes)
    )
    pictures = (
        Picture(
            names.next(label=order.in_names[label], seed=seed_in_names(seed)),
            image,
            {"Seed": str(seed), "Label": label},
        )
        for label, seed, image in order.counted(samples, total)
    )
    return _save_table(order, pictures, len(seeds), order.facts(truncation))


def _save_table(order: Order, pictures: Iterable[Picture], columns: int | None, facts: dict[str, str]) -> str:
    """Save pictures, and a sheet of as many as fit, in whole rows where ``columns`` are given; says so in a line."""
    most = MOST_ON_A_SHEET // columns * columns if columns else MOST_ON_A_SHEET
    keeper = Keeper(order.overwrite)
    sheet = [on_a_sheet(order.sheet, facts, columns)] if order.sheet else []
    paths = save_pictures(pictures, order.out, facts, keeper, most, *sheet)
    return said(order, len(paths), "images", most)


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
    names = Names(order, "frame_{frame}", {"truncation": number(truncation)}, ["frame"], MOST_FRAMES)
    animation = animation or order.out / names.beside("interpolation.webp")
    kind = animation_kind(animation.suffix)
    _check_way(order.sampler, seeds, frames)
    make_places(order.out, order.sheet, animation)
    older = older_frames((_frame(names, index) for index in range(frames, MOST_FRAMES)), order.out)
    if older and not order.overwrite:
        raise RequestRefused(
            f"{order.out} holds frames of a longer animation ({older[0].name} and on): choose another --out, or give "
            "--overwrite, which deletes them"
        )
    places = walk(len(seeds), frames, loop)
    straight = order.sampler.style_shape is not None
    images = order.counted(_along(order, seeds, places, truncation), frames)
    way = f"seeds {_listed(seeds)}{', and back' if loop else ''}, {'linear in w' if straight else 'spherical in z'}"
    facts = order.facts(truncation) | {"Interpolation": way}
    pictures = (
        Picture(_frame(names, index), image, _facts_of_frame(index, seeds, places))
        for index, image in enumerate(images)
    )
    keeper = Keeper(order.overwrite)
    moving = Beside([animation], lambda images: [encode_animation(np.stack(images), kind, fps, facts)])
    paths = save_pictures(pictures, order.out, facts, keeper, frames, moving, on_a_sheet(order.sheet, facts))
    for path in older:
        path.unlink()
    return f"{said(order, len(paths), 'frames', MOST_ON_A_SHEET)}, animation in {animation}"


def _frame(names: Names, index: int) -> str:
    return names.of(index, frame=f"{index:04d}")


def draw_mixes(order: Order, seeds: Sequence[int], layers: str, truncation: float = 1.0) -> str:
    """A PNG of the first seed with some layers' styles from each of the others.

    The sheet is a row of the table in Karras et al. 2019, figure 3: above, whence the layers come; below, the first
    seed, then itself with those layers.
    """
    first, *others = seeds
    if not 1 <= len(others) <= MOST_MIXED:
        raise RequestRefused(f"{len(seeds)} seeds cannot be mixed: write two to {MOST_MIXED + 1}, like --mix 3,9")
    named = layers if layers[:1].isalpha() else f"layers_{layers}"
    same = {"truncation": number(truncation), "layers": text_in_names(named), "seed": seed_in_names(first)}
    names = Names(order, "{seed}_{layers}_from_{other}", same, ["other"], len(others))
    make_places(order.out, order.sheet)
    sampler, facts = order.sampler, order.facts(truncation)
    w = np.stack(list(sampler.styles(seeds, truncation, order.label)))
    taken = parse_layers(layers, w.shape[1])
    noise = latent_inputs(sampler.spec, seeds).get(NOISE)
    theirs = None if noise is None else noise[:1].repeat(len(others), 0)  # the first seed's: no layer's style
    made = sampler.sample_styles(mixed(w[:1].repeat(len(others), 0), w[1:], taken), theirs)
    images = order.counted(made, len(others))
    whose = f"layers {taken.start}-{taken.stop - 1} of {w.shape[1]}"
    pictures = (
        Picture(names.next(other=seed_in_names(other)), image, {"Seed": str(first), "Mixed": f"{whose} from {other}"})
        for other, image in zip(others, images, strict=True)
    )
    keeper = Keeper(order.overwrite)
    sheet = on_a_sheet(order.sheet, facts | {"Mixed": f"{whose} of seed {first}"}, len(seeds))

    def table(shown: Sequence[Images]) -> Sequence[bytes]:
        own, *sources = sampler.sample_styles(w, noise)
        return sheet.make([np.zeros_like(own), *sources, own, *shown])

    beside = [Beside(sheet.paths, table)] if order.sheet else []
    paths = save_pictures(pictures, order.out, facts, keeper, len(others), *beside)
    return f"{said(order, len(paths), 'images', MOST_ON_A_SHEET)} ({whose}, counted from 0)"


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
