"""Which of the pictures of an import go into the pack: what is empty and what is there twice is counted, always."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from core.images import Images, clear_hidden_colour
from trainer.data.spool import Spool

WAYS = ("drop", "keep")


@dataclass(frozen=True)
class Choice:
    """``kept`` are the rows that go into the pack; the rest says what was found, whether it was dropped or not.

    ``duplicates`` look exactly like an earlier picture of their class, ``elsewhere`` like one of another class alone.
    ``firsts`` are the kept rows that look like none before them.
    """

    kept: tuple[int, ...]
    empty: int
    duplicates: int
    elsewhere: int
    firsts: tuple[int, ...]


def choose(
    pictures: Iterable[Images], empty: Sequence[bool], labels: Sequence[str], duplicates: str, flat: str
) -> Choice:
    """Look at the pictures as they will be in the pack, ``(h, w, c)`` each; ``labels`` has their classes or is empty.

    ``empty`` says of each whether it was so before it was fitted. ``duplicates`` and ``flat`` are ``drop`` or
    ``keep``. The same picture in two classes belongs to both: it is kept in each.
    """
    kept: list[int] = []
    firsts: list[int] = []
    seen: dict[bytes, tuple[str, ...]] = {}  # the classes that a picture is in, by its digest
    counts = {"empty": 0, "duplicates": 0, "elsewhere": 0}
    for row, picture in enumerate(pictures):
        label, clean = labels[row] if labels else "", clear_hidden_colour(picture)
        if empty[row] or bool((clean == clean[0, 0]).all()):
            counts["empty"] += 1
            if flat == "drop":
                continue
        digest = blake2b(np.ascontiguousarray(clean).data, digest_size=16).digest()
        before = seen.get(digest, ())
        counts["duplicates"] += label in before
        counts["elsewhere"] += bool(before) and label not in before
        if label not in before or duplicates == "keep":
            kept.append(row)
        if label not in before:
            seen[digest] = (*before, label)
        if not before:
            firsts.append(row)
    return Choice(tuple(kept), firsts=tuple(firsts), **counts)


def chosen(spool: Spool, channels: int, rows: Sequence[int]) -> Iterator[Images]:
    """The pictures in these rows, in order."""
    wanted = set(rows)
    return (picture for row, picture in enumerate(spool.pictures(channels)) if row in wanted)


def elsewhere(choice: Choice) -> tuple[tuple[str, str], ...]:
    """A row for the pack's table, if any picture is in two classes."""
    count = choice.elsewhere
    return (("in two classes", f"{count:,} look exactly like one of another class: kept in both"),) if count else ()
