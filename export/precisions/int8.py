"""int8: an fp32 graph with QuantizeLinear and DequantizeLinear around what its convolutions take. Experimental.

Symmetric signed integers on both sides, which is the one scheme that TensorRT takes; weights have a scale for each
channel. Everything but the convolutions stays FP32, because that is where the time is and where rounding hurts least.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from core.contract import batches, sample_inputs
from core.errors import ExportError, first_line
from core.images import Images
from core.onnx.reading import read_model
from core.spec import GeneratorSpec
from export.precisions.limits import tidied

SEEDS = range(40_000, 40_256)  # none of the gate's
_BATCH = 16
_WARNINGS, _ERRORS = 2, 3  # ONNX Runtime's severities; the former is its default
_LAYERS = ["Conv", "ConvTranspose"]


class _Seeds(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """What ONNX Runtime's calibration asks for its batches."""

    def __init__(self, spec: GeneratorSpec, examples: Images | None) -> None:
        self.batches = iter(batches(sample_inputs(spec, SEEDS, examples=examples), spec.most_at_once(_BATCH)))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch, None after the last."""
        return next(self.batches, None)


def to_int8(model: ModelProto, spec: GeneratorSpec, examples: Images | None = None) -> ModelProto:
    """The QDQ graph of the fp32 ``model``, calibrated on ``SEEDS``, with its inputs, output and metadata.

    Those of a translator are its ``examples``, mirrored and moved.

    A tensor's scale is its largest magnitude over these seeds. Raises ExportError if ONNX Runtime cannot.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, path = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model.SerializeToString())  # given a model, the library moves its weights out of it

        try:
            quantize_static(
                source,
                path,
                _Seeds(spec, examples),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_LAYERS,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,
                    "OpTypesToExcludeOutputQuantization": _LAYERS,
                },
            )
            return tidied(read_model(path), model)
        except Exception as error:  # whatever the library meets
            raise ExportError(f"ONNX Runtime cannot quantise the graph ({first_line(error)})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's advice, which is given through the root logger, and that of the sessions it opens."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(_ERRORS)
    try:
        yield
    finally:
        logging.disable(before)
        onnxruntime.set_default_logger_severity(_WARNINGS)
