"""A foreign graph reduced to what its images need, and refused where it holds what no graph that ships can hold."""

import onnx.inliner
from onnx import ModelProto, NodeProto

from core.errors import ExportError
from export.checks.rules import CONTROL_FLOW, RANDOM, in_training, values_for_one_image
from export.onnx_graph import STANDARD, array_of, constant_tensors, leave_out_unused

MOST_VALUES = 1 << 31  # on the way to one image, in graphs that are run before their image's size is known


def reduced_to(model: ModelProto, image: str) -> ModelProto:
    """A copy of ``model`` without functions of its own, with ``image`` its one output and only what this needs."""
    copy = ModelProto()
    copy.CopyFrom(model)
    if copy.functions:
        copy = onnx.inliner.inline_local_functions(copy)
    _without_dropout(copy)
    outputs = [value for value in model.graph.output if value.name == image]
    del copy.graph.output[:]
    copy.graph.output.extend(outputs)
    leave_out_unused(copy.graph)
    return copy


def _without_dropout(model: ModelProto) -> None:
    """Dropout that drops nothing is what it is given; any other stays, to be refused."""
    taken = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    for node in model.graph.node:
        if node.op_type == "Dropout" and not _trains(node, model) and not taken.intersection(node.output[1:]):
            node.op_type = "Identity"
            del node.attribute[:], node.input[1:], node.output[1:]


def check_nodes(model: ModelProto) -> None:
    """Raise ExportError, naming the node, for what a graph that ships cannot hold, or too much to run here."""
    for node in model.graph.node:
        what = f"the {node.op_type[:80]} node {node.name[:80]!r}"
        if node.op_type in RANDOM:
            raise ExportError(
                f"{what} draws random numbers, so a seed would give other images: export it with fixed noise"
            )
        if _trains(node, model):
            raise ExportError(
                f"{what} is in training mode, so an image depends on chance or on its batch: export after .eval()"
            )
        if node.op_type in CONTROL_FLOW or any(a.g.node or a.graphs for a in node.attribute):
            raise ExportError(f"{what} is control flow, which not every runtime has: export a graph without")
        if node.domain not in STANDARD:
            raise ExportError(f"{what} is of the domain {node.domain[:80]!r}, not of standard ONNX: export without it")

    if values_for_one_image(model) > MOST_VALUES:
        raise ExportError(f"one image takes more than {MOST_VALUES:,} values on the way")


def _trains(node: NodeProto, model: ModelProto) -> bool:
    """BatchNormalization that looks at its batch, or Dropout that drops: what .eval() turns off."""
    if node.op_type == "BatchNormalization":
        return in_training(node)
    if node.op_type != "Dropout" or not node.input[2:] or not node.input[2]:
        return False
    trains = array_of(constant_tensors(model.graph).get(node.input[2]))
    return trains is None or bool(trains.any())
