"""A generator in other precisions: made from its fp32 graph, judged by the gate of each, written if it passes.

==== ===================================================================================================================
fp16 Mean error at most 0.25 and largest at most 4 of 255 levels, as ONNX Runtime runs it; at most 8 and no overflow
     with every half rounded (``half.emulate``); on ``probe``, on ``stretched`` and on the golden images.
int8 PSNR at least 35 dB on ``probe`` and the golden images; KID within 10 % of fp32's, by a judge from outside
     (of a translator, of what it makes of the held-out sources of a pack).
==== ===================================================================================================================

A precision that fails is not written; its figures say by how much. The rest of the bundle does not suffer from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from core.bundle import Golden
from core.contract import Inputs, batches
from core.errors import BundleError, ExportError
from core.images import Images
from core.onnx.session import open_session, run
from core.spec import GeneratorSpec
from core.trials import examples_in, probe, stretched
from export.precisions.fp16 import emulate, to_half
from export.precisions.int8 import to_int8
from export.precisions.limits import (
    EXPERIMENTAL,
    FILES,
    LIMITS,
    TRUE_HALVES,
    Distance,
    holds,
    kid_complaint,
)

Make = Callable[[Inputs], Images]
Judge = Callable[[GeneratorSpec, Make], float]  # the KID of what a graph makes
Tell = Callable[[str], None]

_BATCH = 16


def write_precisions(
    bundle: Path, model: ModelProto, spec: GeneratorSpec, golden: Golden, wanted: Sequence[str], judge: Judge | None
) -> dict[str, Any]:
    """Write ``model`` into ``bundle`` in each precision of ``wanted`` that passes; the figures of all, by name."""
    figures = {}
    for precision in wanted:
        found: dict[str, Any] = {"written": False, "failed": None, "experimental": precision in EXPERIMENTAL}
        try:
            typed = to_half(model) if precision == "fp16" else to_int8(model, spec, examples_in(golden.inputs))
            gate = _half_gate if precision == "fp16" else partial(_int8_gate, judge=judge)
            found |= {"limits": asdict(LIMITS[precision])}
            found["failed"] = _empty(typed, precision) or gate(model, typed, spec, golden, found)
        except (ExportError, BundleError) as error:
            found["failed"] = str(error)
        if found["failed"] is None:
            data = typed.SerializeToString(deterministic=True)
            (bundle / FILES[precision]).write_bytes(data)
            found |= {"written": True, "bytes": len(data)}
        figures[precision] = found
    return figures


def _empty(typed: ModelProto, precision: str) -> str | None:
    return None if holds(typed, precision) else f"the graph has no weights that {precision} is for"


def failures(figures: dict[str, Any]) -> list[str]:
    """What was not written and why, one line for each precision."""
    return [f"{name} was not written: {found['failed']}" for name, found in figures.items() if found["failed"]]


def check_written(figures: dict[str, Any], bundle: Path) -> None:
    """Raise ExportError, once all else is written into ``bundle``, for precisions that were not."""
    if failed := failures(figures):
        raise ExportError(f"{'; '.join(failed)} (all else is in {bundle})")


def _half_gate(
    model: ModelProto, half: ModelProto, spec: GeneratorSpec, golden: Golden, found: dict[str, Any]
) -> str | None:
    """What is wrong with ``half``; its figures go into ``found``."""
    make, reference = _maker(half), _maker(model)
    sets = {"probe": probe(spec, examples_in(golden.inputs)), "stretched": stretched(spec)}
    expected = {name: reference(inputs) for name, inputs in sets.items()} | {"golden": golden.images}
    sets["golden"] = golden.inputs
    complaints: list[str | None] = []
    for name, inputs in sets.items():
        emulated = emulate(half, inputs)
        as_run = Distance.between(make(inputs), expected[name])
        rounded = Distance.between(emulated.images, expected[name])
        found |= {name: asdict(as_run), f"{name}_in_true_halves": asdict(rounded)}
        found["largest_value"] = max(found.get("largest_value", 0.0), _json(emulated.largest))
        complaints += [emulated.complaint(), as_run.complaint(LIMITS["fp16"])]
        if (complaint := rounded.complaint(TRUE_HALVES)) is not None:
            complaints.append(f"where every half is rounded, {complaint}")
    return next((complaint for complaint in complaints if complaint), None)


def _int8_gate(
    model: ModelProto,
    typed: ModelProto,
    spec: GeneratorSpec,
    golden: Golden,
    found: dict[str, Any],
    *,
    judge: Judge | None,
) -> str | None:
    """What is wrong with ``typed``; its figures go into ``found``. On ``stretched`` it is only measured."""
    assert judge is not None
    make, reference = _maker(typed), _maker(model)
    near, far = probe(spec, examples_in(golden.inputs)), stretched(spec)
    distances = {
        "probe": Distance.between(make(near), reference(near)),
        "golden": Distance.between(make(golden.inputs), golden.images),
        "stretched": Distance.between(make(far), reference(far)),
    }
    found |= {name: asdict(distance) for name, distance in distances.items()}
    found |= {"kid": judge(spec, make), "kid_of_fp32": judge(spec, reference)}
    complaints = [distances[name].complaint(LIMITS["int8"]) for name in ("probe", "golden")]
    return next(filter(None, complaints), None) or kid_complaint(found["kid"], found["kid_of_fp32"])


def _maker(model: ModelProto) -> Make:
    """What ONNX Runtime makes of any number of rows, a few at a time."""
    session = open_session(model.SerializeToString())

    def make(inputs: Inputs) -> Images:
        return np.concatenate([run(session, batch) for batch in batches(inputs, _BATCH)])

    return make


def _json(value: float) -> float:
    """A figure that JSON can hold: beyond every half where it is infinite."""
    return round(value, 3) if np.isfinite(value) else 1e9
