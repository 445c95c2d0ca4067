"""The precisions a generator ships in beside fp32, and the gate each must pass to be written. Torch-free.

Every gate is against the fp32 graph, over the 256 rows of ``core.trials.probe``, and against the golden images. RGBA is
compared premultiplied, as it is seen: straight colour under nearly no alpha is a quotient of two small numbers, and
differs where nobody could tell.
"""

from dataclasses import dataclass

import onnx
from onnx import ModelProto, TensorProto

from core.bundle import FP16, INT8
from core.difference import VisibleDifference

FILES = {"fp16": FP16, "int8": INT8}
EXPERIMENTAL = {"int8"}

MOST_KID_CHANGE = 0.10  # of fp32's
LEAST_KID_CHANGE = 0.001  # what so few samples cannot tell apart, however small the KID


@dataclass(frozen=True)
class Limits:
    """How far a precision's images may be from fp32's; None is any distance. In levels of 255, and decibels."""

    mean: float | None = None
    most: int | None = None
    psnr: float | None = None

    def complaint(self, found: VisibleDifference) -> str | None:
        """What of ``found`` is out of these limits, and by how much; None if nothing is."""
        if self.mean is not None and found.mean > self.mean:
            return f"its mean error is {found.mean:.3f} of 255 levels, {self.mean:g} is allowed"
        if self.most is not None and found.most > self.most:
            return f"it is up to {found.most:.1f} of 255 levels off, {self.most} is allowed"
        if self.psnr is not None and found.psnr < self.psnr:
            return f"its PSNR is {found.psnr:.1f} dB, {self.psnr:g} is the least"
        return None


LIMITS = {"fp16": Limits(mean=0.25, most=4), "int8": Limits(psnr=35.0)}
# Where every half is rounded, which a CPU does not do, single pixels on steep edges are further off.
TRUE_HALVES = Limits(mean=0.25, most=8)
_WEIGHTS = {"fp16": TensorProto.FLOAT16, "int8": TensorProto.INT8}  # what a file of that precision must hold


def kid_complaint(kid: float, reference: float) -> str | None:
    """Whether a KID is within 10 % of fp32's (or 0.001, where that is more); else by how much it is not."""
    allowed = max(MOST_KID_CHANGE * abs(reference), LEAST_KID_CHANGE)
    if abs(kid - reference) <= allowed:
        return None
    return f"its KID is {kid:.4f}, fp32's {reference:.4f}: {allowed:.4f} apart is allowed"


def holds(model: ModelProto, precision: str) -> bool:
    """Whether ``model`` has weights of that precision at all: a file that only claims it is not one."""
    wanted = _WEIGHTS[precision]
    constants = [a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute]
    return any(t.data_type == wanted and len(t.dims) > 1 for t in (*model.graph.initializer, *constants))


def batch_name(model: ModelProto) -> str:
    """What ``model`` calls the first side of its first input."""
    sides = model.graph.input[0].type.tensor_type.shape.dim if model.graph.input else []
    return str(sides[0].dim_param) if sides else ""


def tidied(model: ModelProto, original: ModelProto) -> ModelProto:
    """``model``, derived from ``original``, with its metadata and operator sets only, and shapes inferred anew."""
    del model.graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    model.graph.ClearField("output")  # which inference may have made narrower than they are meant
    model.graph.output.extend(original.graph.output)

    # Nothing of the tool that derived it
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for name in ("opset_import", "metadata_props"):
        model.ClearField(name)
        getattr(model, name).extend(getattr(original, name))
    for name in ("producer_name", "producer_version", "ir_version"):
        setattr(model, name, getattr(original, name))
    return model
