"""A foreign graph in an opset that the targets take: its own where that is one, converted only where it must be."""

import onnx
import onnx.version_converter
from onnx import ModelProto, helper

from core.contract import OPSET
from core.errors import ExportError, first_line
from export.onnx_graph import array_of, constant_tensors, opset_of

LATEST_OPSET = 21  # what Triton's ONNX Runtime loads


def converted(model: ModelProto) -> ModelProto:
    """``model`` in an opset that ships, of ``OPSET`` to ``LATEST_OPSET``.

    Raises ExportError if ONNX cannot convert it, or says that it did and has not.
    """
    opset = opset_of(model)
    wanted = min(max(opset, OPSET), LATEST_OPSET)
    return model if wanted == opset else converted_to(model, wanted)


def converted_to(model: ModelProto, wanted: int) -> ModelProto:
    """``model`` in the opset ``wanted``, with resampling as it was. Raises ExportError as ``converted`` does."""
    opset, advice = opset_of(model), f"export it with opset {OPSET}"
    resampling = _resampling(model) if opset <= 10 else {}

    try:
        result = onnx.version_converter.convert_version(model, wanted)
    except Exception as error:  # ConvertError and RuntimeError, pages of it
        raise ExportError(
            f"the graph's opset {opset} cannot be converted to {wanted} ({first_line(error, 200)}): {advice}"
        ) from None
    if opset_of(result) != wanted:
        raise ExportError(f"the graph's opset {opset} could not be converted to {wanted}: {advice}")

    # Resampling as the old opset meant it
    for node in result.graph.node:
        if node.op_type == "Resize" and node.output[0] in resampling:
            said = {a.name: a for a in node.attribute}
            kept = [said["mode"]] if "mode" in said else []
            del node.attribute[:]
            node.attribute.extend([*kept, *_as_before(resampling[node.output[0]])])
    return result


def _as_before(nearest: str) -> list[onnx.AttributeProto]:
    """What Upsample and Resize meant until opset 10; since 11 another way is the default."""
    facts = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": nearest}
    return [helper.make_attribute(name, value) for name, value in facts.items()]


def _resampling(model: ModelProto) -> dict[str, str]:
    """How nearest pixels were chosen, by the output of each node that resamples: ONNX Runtime rounds up to shrink."""
    constants = constant_tensors(model.graph)
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Upsample", "Resize"):
            scales = array_of(constants.get(node.input[1])) if len(node.input) > 1 else None
            shrinks = scales is not None and bool((scales < 1).any())
            found[node.output[0]] = "ceil" if shrinks else "floor"
    return found
