"""Which pictures are held out: by a hash of their names, so that nothing is random and variants stay together."""

from collections.abc import Hashable, Sequence
from hashlib import sha256

import numpy as np

from core.errors import ConfigError
from trainer.data.info import PARTS
from trainer.data.pack import Parts
from trainer.data.pairing import Key, unwrapped

MOST = 0.5  # that may be held out: with the half as much to choose by, a quarter is left to train on
_TRAIN, _VALIDATION, _HELD = range(len(PARTS))


def parse_share(text: str) -> float:
    """``"10%"`` as 0.1, for ``--held``. Raises ConfigError for what is no share up to a half."""
    number = text.strip().removesuffix("%").strip()
    try:
        share = float(number) / 100
    except ValueError:
        share = -1
    if not 0 <= share <= MOST or not (text.strip().endswith("%") or share == 0):
        raise ConfigError(f"--held {text} is no share of the images: write a percentage from 0% to {MOST:.0%}, 10%")
    return share


def groups_of(keys: Sequence[Key], group_by: str, one_thing: bool) -> list[str]:
    """The group of each picture: its name up to the first ``group_by``, and which one of its file it is.

    Names are taken below the folders that all pictures are in. Pictures of one file are in one group where they are
    ``one_thing``, such as the frames of an animation, or a ``group_by`` is named.
    """
    return [_group(key, group_by, one_thing or bool(group_by)) for key in unwrapped(keys)]


def split(groups: Sequence[str], share: float, twins: Sequence[Sequence[Hashable]] = ()) -> Parts:
    """The part of each picture, uint8 places in ``PARTS``: about ``share`` held out, and half as much for validation.

    Pictures of one group, and those that have one of their ``twins`` (whatever tells equal pictures) in common, are in
    the same part. It is chosen by the SHA-256 of the group that comes first among them, so it stays what it is when
    others are added. From three such sets on there is at least one in each part.
    """
    sets = _sets([(group, *(twins[row] if twins else ())) for row, group in enumerate(groups)])
    names = [min(groups[row] for row in rows) for rows in sets]
    chances = np.array([int.from_bytes(sha256(name.encode()).digest()[:8], "big") / 2**64 for name in names])
    held = int((chances < share).sum())
    choosing = int((chances < 1.5 * share).sum()) - held

    # Small packs
    if share and len(sets) >= len(PARTS):
        held = min(max(held, 1), len(sets) - 2)
        choosing = min(max(choosing, 1), len(sets) - held - 1)
    elif held + choosing == len(sets):
        held = choosing = 0

    parts = np.empty(len(groups), np.uint8)
    for place, index in enumerate(np.argsort(chances, kind="stable")):
        parts[sets[index]] = _HELD if place < held else _VALIDATION if place < held + choosing else _TRAIN
    return parts


def _group(key: Key, group_by: str, together: bool) -> str:
    if not key.parts:
        return f"no. {key.number}"
    head = key.parts[-1].partition(group_by)[0] if group_by else ""
    number = f" no. {key.number}" if key.number and not together else ""
    return "/".join((*key.parts[:-1], head or key.parts[-1])) + number


def _sets(tokens: Sequence[Sequence[Hashable]]) -> list[list[int]]:
    """The rows that are connected by a token that they share, directly or by others between, in the order of rows."""
    above = list(range(len(tokens)))

    def root(row: int) -> int:
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    first: dict[tuple[int, Hashable], int] = {}
    for row, mine in enumerate(tokens):
        for place, token in enumerate(mine):
            above[root(row)] = root(first.setdefault((place, token), row))
    found: dict[int, list[int]] = {}
    for row in range(len(tokens)):
        found.setdefault(root(row), []).append(row)
    return list(found.values())
