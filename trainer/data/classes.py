"""How the classes of a pack are spread: what a run that learns them has to know before it starts."""

import numpy as np

from trainer.data.pack import Pack
from trainer.data.sampler import Order

UNEVEN = 10  # times as many images in the largest class as in the smallest: from here on it is said


def members(pack: Pack, rows: Order | None = None) -> list[Order]:
    """The rows of each class that has any, int64 each, in the order of the classes; of some ``rows``, or of all."""
    rows = np.arange(len(pack)) if rows is None else rows
    labels = np.zeros(len(rows), np.int64) if pack.labels is None else pack.labels[rows]
    return [rows[labels == label] for label in np.unique(labels)]


def class_warning(pack: Pack, balance: bool) -> str | None:
    """What speaks against learning the classes of what a pack has to train on, in a sentence."""
    counts = (
        {pack.info.classes[int(pack.labels[rows[0]])]: len(rows) for rows in members(pack, pack.rows("train"))}
        if pack.labels is not None
        else {}
    )

    # Nothing to tell apart
    if len(counts) < 2:
        only = next(iter(counts), "none")
        return (
            f"all images are of one class ({only}): --conditional has nothing to learn, see --labels of 'data import'"
        )

    # Too few of one to learn it beside the others
    least, most = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    if counts[most] < UNEVEN * counts[least]:
        return None
    found = f"{most} has {counts[most]:,} images and {least} {counts[least]:,}"
    if balance:
        return f"{found}: --balance shows them equally often, the few of {least} over and over"
    return f"{found}: {least} will hardly be learned; --balance shows all classes equally often"
