"""What ``sample`` does: seeds, a sweep of truncations, a way from seed to seed, mixed styles.

Pictures of seeds and of classes lie in the folder that was asked for; those of a sweep or a mix, and an animation's
frames, which go together, in a folder of their own in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from core.animation import animation_kind, encode_animation
from core.contract import NOISE, latent_inputs
from core.errors import RequestRefused
from core.images import Images
from core.seed_sheets import sheet_of_classes
from core.sheets import Cell, Sheet, pixels_of
from serving.client.sampler import Sampler
from serving.client.styles import mixed, parse_layers
from serving.protocol.picture_texts import number
from serving.sampling.codes import Codes
from serving.sampling.files import Keeper, Overview, Picture, make_places, older_frames, save_pictures
from serving.sampling.interpolation import Place, follow, lerp, slerp, walk
from serving.sampling.naming import text_in_names
from serving.sampling.order import Names, Order, said, seed_in_names
from serving.sampling.sheet import SheetFiles

MOST_FRAMES = 3600  # of an animation: three minutes at 20 a second
MOST_TRUNCATIONS = 32  # of a sweep: each is a stream of requests
MOST_MIXED = 1000
FRAMES, MIXED, TRUNCATIONS, CODES = "frames", "mixed", "truncations", "codes"  # folders
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
    captions, title = [*map(str, seeds)], order.title(f"truncation {number(truncation)}", "the seed below each")
    sheet = order.sheet_files(Sheet(_nothing(len(seeds)), captions=captions, title=title))
    make_places(order.out, *sheet.paths)
    pictures = (
        Picture(names.next(seed=seed_in_names(seed)), image, {"Seed": str(seed)})
        for seed, image in order.counted(images, len(seeds))
    )
    return _save(order, pictures, order.out, sheet, order.facts(truncation))


def draw_sweep(order: Order, seeds: Sequence[int], truncations: Sequence[float]) -> str:
    """A PNG of each seed at each truncation; on the sheet a row for each seed, a column for each truncation."""
    named = [number(truncation) for truncation in truncations]
    streams = [order.sampler.sample(seeds, each, order.label, order.codes) for each in truncations]
    columns = [{"truncation": each} for each in named]
    return _draw_columns(order, seeds, "truncation", TRUNCATIONS, columns, streams, order.facts(", ".join(named)))


def draw_codes(order: Order, seeds: Sequence[int], truncation: float, codes: Codes) -> str:
    """A PNG of each seed with each value of one code; on the sheet a row for each seed, a column for each value."""
    assert codes.way is not None
    columns, streams = [], []
    for value in codes.way:
        at = codes.values.copy()
        at[codes.swept] = value
        columns.append({"code": number(value), "codes": ",".join(map(number, at)), "truncation": number(truncation)})
        streams.append(order.sampler.sample(seeds, truncation, order.label, at))
    return _draw_columns(order, seeds, f"code {codes.swept}", CODES, columns, streams, order.facts(truncation))


def _draw_columns(
    order: Order,
    seeds: Sequence[int],
    what: str,
    folder: str,
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
    heads, rows = [column[field] for column in columns], [f"seed {seed}" for seed in seeds]
    drawn = Sheet(_nothing(total), columns=heads, rows=rows, corner=what, title=order.title())
    place, sheet = order.out / folder, order.sheet_files(drawn)
    make_places(place, *sheet.paths)
    together = (sample for row in zip(*streams, strict=True) for sample in row)
    pictures = (
        Picture(
            names.next(seed=seed_in_names(seed), **columns[index % count]),
            image,
            {"Seed": str(seed), what.capitalize(): columns[index % count][field], **_all_codes(columns[index % count])},
        )
        for index, (seed, image) in enumerate(order.counted(together, total))
    )
    return _save(order, pictures, place, sheet, facts)


def _all_codes(column: dict[str, str]) -> dict[str, str]:
    return {"Codes": column["codes"]} if "codes" in column else {}


def draw_classes(order: Order, seeds: Sequence[int], truncation: float) -> str:
    """A PNG of each seed in each class; on the sheet a row for each class, a column for each seed."""
    classes = order.sampler.spec.classes
    if not classes:
        raise RequestRefused(f"'{order.sampler.model}' has no classes: leave --label out")

    # What the pictures are called, and the sheet, which is refused before anything is drawn.
    total = len(seeds) * len(classes)
    same = {"truncation": number(truncation), "seed": ""}
    names = Names(order, "{seed}", same, ["label"] if len(seeds) == 1 else ["label", "seed"], total)
    title = order.title(f"truncation {number(truncation)}")
    sheet = order.sheet_files(sheet_of_classes(_nothing(total), seeds, classes, title))
    make_places(order.out, *sheet.paths)

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
    return _save(order, pictures, order.out, sheet, order.facts(truncation))


def _save(order: Order, pictures: Iterable[Picture], place: Path, sheet: SheetFiles, facts: dict[str, str]) -> str:
    """Save pictures and the sheet of them; says so in a line."""
    paths = save_pictures(pictures, place, facts, Keeper(order.overwrite), sheet.of(facts))
    sheet.delete_older()
    return said(paths, "images", place, sheet)


def _nothing(count: int) -> list[Cell]:
    """In place of pictures that are still to be made."""
    return [None] * count


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
    """A PNG of each of ``frames`` frames on the way from seed to seed, in ``frames/``, and the animation of them.

    The way is straight in w where the model has styles, on arcs in z where it has none.
    """
    # Where everything goes: frames, sheet and animation.
    names = Names(order, "frame_{frame}", {"truncation": number(truncation)}, ["frame"], MOST_FRAMES)
    animation = animation or order.out / names.file_name("interpolation.webp")
    kind = animation_kind(animation.suffix)
    _check_way(order.sampler, seeds, frames)
    place = order.out / FRAMES
    places = walk(len(seeds), frames, loop)
    sheet = order.sheet_files(_sheet_of_frames(order, seeds, places, truncation))
    make_places(place, *sheet.paths, animation)

    # Frames of a longer animation would be taken for ones of this.
    older = older_frames((_frame(names, index) for index in range(frames, MOST_FRAMES)), place)
    if older and not order.overwrite:
        raise RequestRefused(
            f"{place} holds frames of a longer animation ({older[0].name} and on): choose another --out, or give "
            "--overwrite, which deletes them"
        )

    # What is drawn, and what is said of it.
    straight = order.sampler.style_shape is not None
    images = order.counted(_along(order, seeds, places, truncation), frames)
    way = f"seeds {_listed(seeds)}{', and back' if loop else ''}, {'linear in w' if straight else 'spherical in z'}"
    facts = order.facts(truncation) | {"Interpolation": way}
    pictures = (
        Picture(_frame(names, index), image, _facts_of_frame(index, seeds, places))
        for index, image in enumerate(images)
    )

    moving = Overview([animation], lambda cells: [encode_animation(_stacked(cells), kind, fps, facts)])
    paths = save_pictures(pictures, place, facts, Keeper(order.overwrite), moving, sheet.of(facts))
    sheet.delete_older()
    for path in older:
        path.unlink()
    return f"{said(paths, 'frames', place, sheet)}, animation in {animation}"


def _stacked(cells: Sequence[Cell]) -> Images:
    return np.stack([image for image in map(pixels_of, cells) if image is not None])


def _sheet_of_frames(order: Order, seeds: Sequence[int], places: Sequence[Place], truncation: float) -> Sheet:
    """Each frame with its number, and with the seed that it is of where it is one."""
    seed_of = {index: seeds[place.start] for index, place in enumerate(places) if place.share == 0}
    captions = [f"{index}: seed {seed_of[index]}" if index in seed_of else str(index) for index in range(len(places))]
    title = order.title(f"truncation {number(truncation)}", "frames")
    return Sheet(_nothing(len(places)), captions=captions, title=title)


def _frame(names: Names, index: int) -> str:
    return names.of(index, frame=f"{index:04d}")


def draw_mixes(order: Order, seeds: Sequence[int], layers: str, truncation: float = 1.0) -> str:
    """A PNG of the first seed with some layers' styles from each of the others.

    They lie in ``mixed/``. The sheet is a row of the table in Karras et al. 2019, figure 3: above, whence the layers
    come; below, the first seed, then itself with those layers.
    """
    first, *others = seeds
    if not 1 <= len(others) <= MOST_MIXED:
        raise RequestRefused(f"{len(seeds)} seeds cannot be mixed: write two to {MOST_MIXED + 1}, like --mix 3,9")
    named = layers if layers[:1].isalpha() else f"layers_{layers}"
    same = {"truncation": number(truncation), "layers": text_in_names(named), "seed": seed_in_names(first)}
    names = Names(order, "{seed}_{layers}_from_{other}", same, ["other"], len(others))
    sampler, facts, place = order.sampler, order.facts(truncation), order.out / MIXED
    w = np.stack(list(sampler.styles(seeds, truncation, order.label)))
    taken = parse_layers(layers, w.shape[1])
    noise = latent_inputs(sampler.spec, seeds).get(NOISE)
    theirs = None if noise is None else noise[:1].repeat(len(others), 0)  # the first seed's: no layer's style
    made = sampler.sample_styles(mixed(w[:1].repeat(len(others), 0), w[1:], taken), theirs)
    images = order.counted(made, len(others))
    whose = f"layers {taken.start}-{taken.stop - 1} of {w.shape[1]}"
    heads, title = [f"seed {seed}" for seed in seeds], order.title(f"truncation {number(truncation)}", f"{whose} mixed")
    drawn = Sheet(_nothing(2 * len(seeds)), columns=heads, rows=["alone", f"into seed {first}"], title=title)
    sheet = order.sheet_files(drawn)
    make_places(place, *sheet.paths)
    pictures = (
        Picture(names.next(other=seed_in_names(other)), image, {"Seed": str(first), "Mixed": f"{whose} from {other}"})
        for other, image in zip(others, images, strict=True)
    )
    table = sheet.of(facts | {"Mixed": f"{whose} of seed {first}"})

    def with_sources(cells: Sequence[Cell]) -> Iterable[bytes]:
        own, *sources = sampler.sample_styles(w, noise)
        return table.make([None, *sources, own, *cells])

    paths = save_pictures(pictures, place, facts, Keeper(order.overwrite), Overview(table.paths, with_sources))
    sheet.delete_older()
    return f"{said(paths, 'images', place, sheet)} ({whose}, counted from 0)"


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
