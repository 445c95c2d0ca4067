"""Which picture of one folder belongs to which of another: those of one name, whatever their endings."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from trainer.data.reading import suffixes

_WRAPPED = "by names below the folders that hold all of a side"
_AFFIXED = "by names without what all of a side begin or end with"


class Key(NamedTuple):
    """What a picture is called: its folders and its name without the ending, and which of its file's pictures it is.

    ``number`` is 0 for the only one and for sprites with names of their own, else counted from 1.
    """

    parts: tuple[str, ...]
    number: int = 0


@dataclass(frozen=True)
class Pairing:
    """``pairs`` of (row of a target, row of a source) in the order of the names; ``alone`` are the others of both
    sides, (row, reason) each. ``said`` is what a person should know of how pairs were found."""

    pairs: list[tuple[int, int]]
    alone: tuple[list[tuple[int, str]], list[tuple[int, str]]]
    said: str = ""


def stem_of(name: str, any_ending: bool = True) -> str:
    """A file's name without its ending; numbers behind a dot are no ending ("walk.0001"). With ``any_ending`` False
    only endings of images are."""
    stem, dot, ending = name.rpartition(".")
    is_ending = bool(stem and dot) and (f".{ending.lower()}" in suffixes() or (any_ending and not ending.isdecimal()))
    return stem if is_ending else name


def pair_up(targets: Sequence[Key], sources: Sequence[Key]) -> Pairing:
    """Pair pictures of the same name: exactly, and where nothing else fits, but for capitals.

    If no names are the same, folders that wrap all of a side are left out of them, and the names of two single files;
    then what all names of a side begin or end with, such as "_lines". A name that is there twice on one side belongs
    to none.
    """
    names, said = [list(targets), list(sources)], ""
    for less, what in ((_of_files, _WRAPPED), (_cores, _AFFIXED)):
        if not set(map(_caseless, names[0])) & set(map(_caseless, names[1])):
            names, said = [less(keys) for keys in names], what
    found = _matched(names, {}, lambda key: key)
    exactly = len(found)
    found = _matched(names, found, _caseless)
    if exactly < len(found):
        capitals = f"{len(found) - exactly:,} by names that are the same but for capitals"
        said = f"{said}, {capitals}" if said else capitals

    order = sorted(found.items(), key=lambda pair: (names[0][pair[0]], pair))
    taken = [set(found), set(found.values())]
    lonely = [_alone(names[side], names[1 - side], taken[side], side) for side in (0, 1)]
    return Pairing(order, (lonely[0], lonely[1]), said if found else "")


def unwrapped(keys: Sequence[Key]) -> list[Key]:
    """The keys without the folders that all of them are in."""
    folders = [key.parts[:-1] for key in keys] or [()]
    first, last = min(folders), max(folders)  # what these two share, all between them do
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))))
    return [Key(key.parts[shared:], key.number) for key in keys]


def _of_files(keys: Sequence[Key]) -> list[Key]:
    """The same, and of the pictures of a single file without its name."""
    return unwrapped(keys) if len({key.parts for key in keys}) > 1 else [Key((), key.number) for key in keys]


def _cores(keys: Sequence[Key]) -> list[Key]:
    """The same without the words that all names begin or end with, what parts them from the rest included."""
    names = {key.parts[-1] for key in keys if key.parts}
    start = re.match(r".*[\W_]|", _shared(names), re.S)
    before = len(start[0]) if start else 0
    end = re.search(r"[\W_].*|$", _shared({name[before:][::-1] for name in names})[::-1], re.S)
    after = len(end[0]) if end else 0
    return [
        Key((*key.parts[:-1], key.parts[-1][before : len(key.parts[-1]) - after]), key.number) if key.parts else key
        for key in keys
    ]


def _shared(names: Collection[str]) -> str:
    """What all of the names begin with."""
    pairs = zip(min(names, default=""), max(names, default=""), strict=False)  # all others are between these
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _matched(names: list[list[Key]], found: dict[int, int], form: Callable[[Key], Hashable]) -> dict[int, int]:
    """``found`` and the pairs, row of a target to row of a source, of one ``form`` of name that is there once on each
    side; what is the name of two is the name of none."""
    taken = (set(found), set(found.values()))
    free = [_rows_of(keys, form, rows) for keys, rows in zip(names, taken, strict=True)]
    more = {rows[0]: free[1][name][0] for name, rows in free[0].items() if len(rows) == len(free[1].get(name, ())) == 1}
    return found | more


def _rows_of(keys: list[Key], form: Callable[[Key], Hashable], without: set[int]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        if row not in without:
            found.setdefault(form(key), []).append(row)
    return found


def _caseless(key: Key) -> Hashable:
    return tuple(part.casefold() for part in key.parts), key.number


def _alone(keys: list[Key], others: list[Key], taken: set[int], side: int) -> list[tuple[int, str]]:
    """The rows without a partner, and why."""
    own, there = (Counter(map(_caseless, some)) for some in (keys, others))
    this, that = ("target", "source") if side == 0 else ("source", "target")

    def reason(key: Key) -> str:
        if own[_caseless(key)] > 1:
            return f"another {this} has its name but for the ending or capitals, so which one is meant is not known"
        if there[_caseless(key)] > 1:
            return f"several {that}s of its name, so which one is meant is not known"
        return f"no {that} of its name"

    return [(row, reason(key)) for row, key in enumerate(keys) if row not in taken]
