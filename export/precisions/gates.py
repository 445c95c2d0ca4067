"""A generator in other precisions: made from its fp32 graph, judged by the gate of each, written if it passes.

==== ===================================================================================================================
fp16 Mean error at most 0.25 and largest at most 4 of 255 levels, as ONNX Runtime runs it; at most 8 and no overflow
     with every half rounded (``fp16.emulate``); on ``probe``, on ``stretched`` and on the golden images.
int8 PSNR at least 35 dB on ``probe`` and the golden images; KID within 10 % of fp32's, by a measure from outside
     (of a translator, of what it makes of the held-out sources of a pack).
==== ===================================================================================================================

A precision that fails is not written; its figures say by how much. The rest of the bundle does not suffer from it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import ModelProto

from core.contract import Inputs, batches
from core.difference import VisibleDifference
from core.errors import BundleError, ExportError
from core.golden import Golden
from core.images import Images
from core.onnx.session import open_session, run
from core.spec import GeneratorSpec
from core.trials import examples_in, probe, stretched
from export.checks.reference import ImageFunction
from export.checks.verification import PrecisionReport
from export.precisions.fp16 import emulate, to_half
from export.precisions.int8 import to_int8
from export.precisions.limits import EXPERIMENTAL, FILES, LIMITS, TRUE_HALVES, holds, kid_complaint

MeasureKid = Callable[[GeneratorSpec, ImageFunction], float]  # the KID of what a graph makes

_BATCH = 16

logger = logging.getLogger(__name__)


def write_precisions(
    bundle: Path,
    model: ModelProto,
    spec: GeneratorSpec,
    golden: Golden,
    wanted: Sequence[str],
    measure_kid: MeasureKid | None,
) -> dict[str, PrecisionReport]:
    """Write ``model`` into ``bundle`` in each precision of ``wanted`` that passes; the reports of all, by name."""
    reports = {}
    for precision in wanted:
        report = PrecisionReport(precision in EXPERIMENTAL)
        try:
            typed = to_half(model) if precision == "fp16" else to_int8(model, spec, examples_in(golden.inputs))
            report = replace(report, limits=LIMITS[precision])
            if not holds(typed, precision):
                raise ExportError(f"the graph has no weights that {precision} is for")
            if precision == "fp16":
                report = _fp16_gate(report, model, typed, spec, golden)
            else:
                assert measure_kid is not None
                report = _int8_gate(report, model, typed, spec, golden, measure_kid)
        except (ExportError, BundleError) as error:
            report = replace(report, failed=str(error))

        if report.failed is None:
            data = typed.SerializeToString(deterministic=True)
            (bundle / FILES[precision]).write_bytes(data)
            report = replace(report, bytes=len(data))
        logger.info("%s: %s", precision, report.failed or "passes its gate")
        reports[precision] = report
    return reports


def _fp16_gate(
    report: PrecisionReport, model: ModelProto, half: ModelProto, spec: GeneratorSpec, golden: Golden
) -> PrecisionReport:
    """The ``report`` with the figures of ``half``, and the first of them that is out of bounds."""
    make, reference = _images_of(half), _images_of(model)
    sets = {"probe": probe(spec, examples_in(golden.inputs)), "stretched": stretched(spec)}
    expected = {name: reference(inputs) for name, inputs in sets.items()} | {"golden": golden.images}
    sets["golden"] = golden.inputs

    as_run, in_true_halves, largest = {}, {}, 0.0
    complaints: list[str | None] = []
    for name, inputs in sets.items():
        emulated = emulate(half, inputs)
        as_run[name] = VisibleDifference.between(make(inputs), expected[name])
        in_true_halves[name] = VisibleDifference.between(emulated.images, expected[name])
        largest = max(largest, _as_json_number(emulated.largest))
        complaints += [emulated.complaint(), LIMITS["fp16"].complaint(as_run[name])]
        if (complaint := TRUE_HALVES.complaint(in_true_halves[name])) is not None:
            complaints.append(f"where every half is rounded, {complaint}")

    failed = next((complaint for complaint in complaints if complaint), None)
    return replace(report, failed=failed, differences=as_run, in_true_halves=in_true_halves, largest_value=largest)


def _int8_gate(
    report: PrecisionReport,
    model: ModelProto,
    typed: ModelProto,
    spec: GeneratorSpec,
    golden: Golden,
    measure_kid: MeasureKid,
) -> PrecisionReport:
    """The ``report`` with the figures of ``typed``, and the first of them that is out of bounds.

    On ``stretched`` it is only measured.
    """
    make, reference = _images_of(typed), _images_of(model)
    near, far = probe(spec, examples_in(golden.inputs)), stretched(spec)
    differences = {
        "probe": VisibleDifference.between(make(near), reference(near)),
        "golden": VisibleDifference.between(make(golden.inputs), golden.images),
        "stretched": VisibleDifference.between(make(far), reference(far)),
    }
    kid = measure_kid(spec, make)
    kid_of_fp32 = measure_kid(spec, reference)

    complaints = [LIMITS["int8"].complaint(differences[name]) for name in ("probe", "golden")]
    failed = next(filter(None, complaints), None) or kid_complaint(kid, kid_of_fp32)
    return replace(report, failed=failed, differences=differences, kid=kid, kid_of_fp32=kid_of_fp32)


def _images_of(model: ModelProto) -> ImageFunction:
    """What ONNX Runtime makes of any number of rows, a few at a time."""
    session = open_session(model.SerializeToString())

    def make(inputs: Inputs) -> Images:
        return np.concatenate([run(session, batch) for batch in batches(inputs, _BATCH)])

    return make


def _as_json_number(value: float) -> float:
    """A figure that JSON can hold: beyond every half where it is infinite."""
    return round(value, 3) if np.isfinite(value) else 1e9
