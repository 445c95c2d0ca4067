"""Which of the pictures of an import go into the pack: what is empty and what is there twice is counted, always."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from core.images import Images, clear_hidden_colour

WAYS = ("drop", "keep")

Looks = tuple[bytes, ...]  # digests of a picture, or of an image and its source


@dataclass(frozen=True)
class Choice:
    """``kept`` are the rows that go into the pack; the rest says what was found, whether it was dropped or not.

    ``duplicates`` look exactly like an earlier picture of their class, ``elsewhere`` like one of another class alone.
    ``firsts`` are the kept rows that look like none before them. ``looks`` tells equal pictures, of each kept row.
    Of pairs, ``blank`` are those of an empty source and an image that is none.
    """

    kept: tuple[int, ...]
    empty: int
    duplicates: int
    elsewhere: int
    firsts: tuple[int, ...]
    looks: tuple[Looks, ...] = ()
    blank: tuple[int, ...] = ()


def choose(
    pictures: Iterable[tuple[Images, ...]],
    empty: Sequence[tuple[bool, ...]],
    labels: Sequence[str],
    duplicates: str,
    flat: str,
) -> Choice:
    """Look at the pictures as they will be in the pack, ``(h, w, c)`` each: ``(image,)`` or ``(image, source)``.

    ``labels`` has their classes or is empty; ``empty`` says of each whether it was so before it was fitted.
    ``duplicates`` and ``flat`` are ``drop`` or ``keep``. The same picture in two classes belongs to both: it is kept in
    each. A pair is a duplicate if both of its pictures are, and empty if one of them is.
    """
    kept, firsts, blank = list[int](), list[int](), list[int]()
    looks: list[Looks] = []
    seen: dict[Looks, tuple[str, ...]] = {}  # the classes that a picture is in, by its digests
    counts = {"empty": 0, "duplicates": 0, "elsewhere": 0}
    for row, some in enumerate(pictures):
        # Empty
        label, clean = labels[row] if labels else "", [clear_hidden_colour(picture) for picture in some]
        flats = [was or is_flat(picture) for was, picture in zip(empty[row], clean, strict=True)]
        if any(flats):
            counts["empty"] += 1
            blank += [row] if not flats[0] else []
            if flat == "drop":
                continue

        # Seen before
        look = tuple(_digest(picture) for picture in clean)
        before = seen.get(look, ())
        counts["duplicates"] += label in before
        counts["elsewhere"] += bool(before) and label not in before
        if label not in before or duplicates == "keep":
            kept.append(row)
            looks.append(look)
        if label not in before:
            seen[look] = (*before, label)
        if not before:
            firsts.append(row)
    return Choice(tuple(kept), firsts=tuple(firsts), looks=tuple(looks), blank=tuple(blank), **counts)


def elsewhere(choice: Choice) -> tuple[tuple[str, str], ...]:
    """A row for the pack's table, if any picture is in two classes."""
    count = choice.elsewhere
    return (("in two classes", f"{count:,} look exactly like one of another class: kept in both"),) if count else ()


def is_flat(picture: Images) -> bool:
    """Whether all pixels of a picture ``(h, w, c)`` without hidden colour are the same."""
    return bool((picture == picture[0, 0]).all())


def _digest(picture: Images) -> bytes:
    return blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest()
