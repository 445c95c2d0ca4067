"""An exported graph against its reference: ONNX Runtime against PyTorch, row against batch, run against run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.contract import Inputs, count_of, rows
from core.difference import MOST_LEVELS, Difference
from core.errors import ExportError
from core.images import Images
from core.onnx.session import Session, run
from core.spec import GeneratorSpec
from core.trials import mixed_inputs, tried_inputs
from export.checks.verification import PYTORCH, Agreement

BATCHES = (1, 2, 3, 8, 17)
TRIED_TRUNCATIONS = (0.0, 0.5, 1.0)
DEPENDS = "an image depends on those beside it, as in training mode: export after .eval()"
UNKNOWN = "install the versions in constraints.txt, and if it stays, report it"

ImageFunction = Callable[[Inputs], Images]  # makes the images (n, h, w, c) of a graph's inputs by name


def truncation_note(made: Sequence[NDArray[Any]]) -> str | None:
    """A line on what truncation does not do, though ours does; None where it does: ``made`` are the values that the
    same latents become at each of ``TRIED_TRUNCATIONS``."""
    if not all(np.isfinite(values).all() for values in made):
        wrong = "makes values that are not numbers at 0 or 0.5"
    elif np.allclose(made[1], made[2], atol=1e-3 * float(np.ptp(made[2]))):
        wrong = "changes nothing"
    else:
        return None
    return (
        f"truncation {wrong} with this generator (it scales its own latents), so it is ignored: all images are as at 1"
    )


def check_against_reference(
    spec: GeneratorSpec,
    session: Session,
    reference: ImageFunction,
    named: str = PYTORCH,
    advice: str = UNKNOWN,
    examples: Images | None = None,
) -> Agreement:
    """How well ``session`` agrees with the ``reference``, which is ``named`` so in the record.

    A translator is tried with its ``examples``, mirrored and moved.

    Raises ExportError, with the figure and the ``advice``, at the first difference that is out of bounds.
    """
    # Batch by batch; every comparison sees seeds of its own
    compare = partial(_within, advice)
    by_batch = {}
    for batch in BATCHES:
        tried = tried_inputs(spec, range(100 * batch, 101 * batch), examples)
        by_batch[batch] = _against(session, reference, named, tried, compare)

    # The same inputs twice
    inputs = mixed_inputs(spec, range(5000, 5000 + BATCHES[-1]), examples)
    together = run(session, inputs)
    if not np.array_equal(together, run(session, inputs)):
        raise ExportError("two runs of the exported graph on the same inputs differ: it draws random numbers")

    # Each row alone
    alone = np.concatenate([run(session, row) for row in rows(inputs)])
    single = _within(DEPENDS, "an image alone against the same image in a batch", alone, together)
    return Agreement(named, by_batch, single, tuple(session.get_providers()))


def _against(
    session: Session,
    reference: ImageFunction,
    named: str,
    tried: Mapping[str, Inputs],
    compare: Callable[[str, Images, Images], Difference],
) -> Difference:
    """The most levels and the mean share of pixels over all ways in which ``tried`` has the inputs of one batch."""
    found = []
    for way, inputs in tried.items():
        what = f"ONNX Runtime against {named} at batch {count_of(inputs)}{way}"
        found.append(compare(what, run(session, inputs), reference(inputs)))
    return Difference(max(d.levels for d in found), sum(d.pixels for d in found) / len(found))


def _within(advice: str, what: str, images: Images, expected: Images) -> Difference:
    found = Difference.between(images, expected)
    if images.shape != expected.shape:
        raise ExportError(f"{what}: images {images.shape} instead of {expected.shape}: nothing was exported")
    if found.levels > MOST_LEVELS:
        raise ExportError(
            f"{what}: up to {found.levels} of 255 levels apart ({found.pixels:.2%} of pixels differ), {MOST_LEVELS} is "
            f"allowed: nothing was exported; {advice}"
        )
    return found
