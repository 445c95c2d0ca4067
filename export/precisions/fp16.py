"""fp16: an fp32 graph to one that is typed FLOAT16, and the same graph as a machine with real halves computes it.

Weights and arithmetic become FLOAT16; inputs stay FP32 (and are cast), pixels stay UINT8. Two small parts stay FP32:

* **norms**: squares, their sums, and what becomes of these up to the product with the reciprocal root (pixel norm,
  demodulation). A sum of squares leaves half precision's range (65,504, and 0.00006 below) where nothing else does,
  and a rounded root would be wrong for every channel alike. So do norms that are one operator, such as instance norm.
* **pixels**: everything behind the last weights, which is clamping, dividing by alpha and rounding to levels, and what
  is done to pixels that are given before the first weights: levels are whole numbers there, and rounded once.

onnxconverter-common (1.16) does this by a list of operators that stay FP32 everywhere: with its own list ONNX Runtime
refuses our translators, and with norms, Clip and Div added to it their resnet misses the gate (mean error 0.26 of 255
levels with every half rounded, ours 0.21) and other families are up to four times as far off.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from core.contract import ONE, Inputs, batches
from core.errors import ExportError, first_line
from core.images import Images
from core.onnx.session import open_session
from export.precisions.limits import batch_name, tidied

FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16
PIXELS = "image"
LARGEST = 65504.0  # of the finite halves
_BATCH = 16

_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_NORMS = {"Sqrt", "Reciprocal", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2"}
_WHOLE_NORMS = {"InstanceNormalization", "LayerNormalization", "GroupNormalization"}
_BEFORE_A_NORM = {"Add", "Clip", "Max", "Mul", "Gemm", "MatMul", "Pow"}
_FP32_INPUTS = {"Resize": (1, 2)}  # region of interest and scales are FP32 by the standard, whatever is resized


def to_half(model: ModelProto) -> ModelProto:
    """The typed FLOAT16 graph of the fp32 ``model``, with its inputs, output and metadata.

    Raises ExportError if a weight is beyond ``LARGEST``, or the graph has something whose type cannot be told.
    """
    floats = _float_tensors(model)
    full = _norms(model) | _pixels(model) | _given_pixels(model)

    half = onnx.ModelProto()
    half.CopyFrom(model)
    writer = _Writer(half, floats)
    del half.graph.node[:]
    for index, node in enumerate(model.graph.node):
        writer.add(node, TensorProto.FLOAT if index in full else TensorProto.FLOAT16)
    writer.finish()

    try:
        return tidied(half, model)
    except Exception as error:  # InferenceError and others
        raise ExportError(f"the fp16 graph is not sound ({first_line(error)})") from error


class _Writer:
    """Writes nodes one after the other, each in FP32 or FLOAT16, with a Cast wherever a tensor is of the other type.

    ``floats`` names every FP32 tensor of the graph before; ``types`` is what those that are computed are now.
    """

    def __init__(self, model: ModelProto, floats: set[str]) -> None:
        self.graph, self.floats = model.graph, floats
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.types: dict[str, int] = {}
        self.used: set[str] = set()

    def add(self, node: NodeProto, wanted: int) -> None:
        """Write ``node`` so that it computes in the type ``wanted``."""
        new = _retyped(node, wanted)
        kept = _FP32_INPUTS.get(node.op_type, ())
        new.input[:] = [self._in(n, FLOAT if place in kept else wanted) for place, n in enumerate(node.input)]
        self.graph.node.append(new)
        self.types.update({name: wanted for name in node.output if name in self.floats})

    def finish(self) -> None:
        """Leave out the weights that nothing takes any more."""
        del self.graph.initializer[:]
        self.graph.initializer.extend(tensor for name, tensor in self.weights.items() if name in self.used)

    def _in(self, name: str, wanted: int) -> str:
        """The name of the tensor ``name`` in the type ``wanted``, made if it is not there."""
        new = name
        if name in self.floats and self.types.get(name, FLOAT) != wanted:
            new = f"{name}_{'fp16' if wanted == FLOAT16 else 'fp32'}"
            if name in self.weights:
                self.weights.setdefault(new, _halved(self.weights[name], new))
            elif new not in self.types:
                self.types[new] = wanted
                self.graph.node.append(helper.make_node("Cast", [name], [new], name=f"cast_{new}", to=wanted))
        self.used.add(new)
        return new


def _retyped(node: NodeProto, wanted: int) -> NodeProto:
    """A copy of ``node`` whose attributes make ``wanted`` where they made FP32."""
    new = NodeProto()
    new.CopyFrom(node)
    for attribute in new.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
            attribute.i = wanted
        if node.op_type in ("Constant", "ConstantOfShape") and attribute.t.data_type == FLOAT != wanted:
            attribute.t.CopyFrom(_halved(attribute.t, attribute.t.name))
    return new


def _halved(tensor: TensorProto, name: str) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    if values.size and not np.abs(values).max() <= LARGEST:
        raise ExportError(
            f"the weight {tensor.name} reaches {np.abs(values).max():.3g}, and fp16 ends at {LARGEST:,.0f}"
        )
    return numpy_helper.from_array(values.astype(np.float16), name)


def _float_tensors(model: ModelProto) -> set[str]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    found = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT}
    return found | {tensor.name for tensor in graph.initializer if tensor.data_type == FLOAT}


def _norms(model: ModelProto) -> set[int]:
    """The nodes of norms, by their place in the graph: roots and reductions, what leads to these alone, the product."""
    nodes = model.graph.node
    takers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in node.input:
            takers.setdefault(name, []).append(index)

    # From the end: roots and sums, and what leads to nothing but these
    weights = {tensor.name for tensor in model.graph.initializer}
    norms: set[int] = set()
    for index in reversed(range(len(nodes))):
        after = [taker for name in nodes[index].output for taker in takers.get(name, [])]
        leads = _may_lead(nodes[index], weights) and bool(after) and norms.issuperset(after)
        if nodes[index].op_type in _NORMS or leads:
            norms.add(index)

    # What is multiplied with, or divided by, what they make
    roots = {name for index in norms for name in nodes[index].output}
    whole = {index for index, node in enumerate(nodes) if node.op_type in _WHOLE_NORMS}
    return (
        norms
        | whole
        | {i for i, node in enumerate(nodes) if node.op_type in ("Mul", "Div") and roots.intersection(node.input)}
    )


def _may_lead(node: NodeProto, weights: set[str]) -> bool:
    """Whether ``node`` can be part of a norm before its sum: a square, a sum with weights, a constant beside it."""
    if node.op_type == "Mul":
        return node.input[0] == node.input[1] or bool(weights.intersection(node.input))
    return node.op_type in _BEFORE_A_NORM


def _pixels(model: ModelProto) -> set[int]:
    """The nodes behind the last weights, by their place in the graph."""
    needed: set[str] = set()  # by a node with weights
    behind = set()
    for index in reversed(range(len(model.graph.node))):
        node = model.graph.node[index]
        if node.op_type in _WEIGHTED or needed.intersection(node.output):
            needed.update(node.input)
        else:
            behind.add(index)
    return behind


def _given_pixels(model: ModelProto) -> set[int]:
    """The nodes that are given pixels, or what was made of these without weights, by their place in the graph."""
    pixels = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8}
    found, constants = set(), {tensor.name for tensor in model.graph.initializer} | {""}
    for index, node in enumerate(model.graph.node):
        made_of = pixels.intersection(node.input)
        if made_of and node.op_type not in _WEIGHTED and (pixels | constants).issuperset(node.input):
            pixels.update(node.output)
            found.add(index)
    return found


@dataclass(frozen=True)
class Emulated:
    """What a machine makes that computes in halves, and the largest value on the way, with its tensor's name."""

    images: Images
    largest: float
    where: str

    def complaint(self) -> str | None:
        """That a value left the range of halves, if one did."""
        return None if np.isfinite(self.largest) else f"the tensor {self.where} overflows: fp16 ends at {LARGEST:,.0f}"


def emulate(model: ModelProto, inputs: Inputs) -> Emulated:
    """Run the typed ``model`` with every FLOAT16 tensor truly rounded to one, which ONNX Runtime's CPU does not do.

    Where that has no half kernel it computes in FP32 *and drops the casts between*, so that neither rounding nor
    overflow shows (onnxruntime issue 8787). Two nodes in a row that have one, such as Identity, keep them; a single one
    it would run in FP32 too.
    """
    rounding, halves = _rounding(model)
    session = open_session(rounding.SerializeToString(), optimise=False)
    images, peaks = [], np.zeros(len(halves))
    size = 1 if batch_name(model) == ONE else _BATCH  # of each run there is a peak
    for batch in batches(inputs, size):
        image, *found = session.run([PIXELS, *(f"{name}_peak" for name in halves)], batch)
        images.append(image)
        peaks = np.maximum(peaks, np.nan_to_num(np.array(found), nan=np.inf, posinf=np.inf))
    worst = int(peaks.argmax()) if halves else 0
    return Emulated(np.concatenate(images), float(peaks.max(initial=0.0)), halves[worst] if halves else "")


def _rounding(model: ModelProto) -> tuple[ModelProto, list[str]]:
    """``model`` with two Identities behind every FLOAT16 tensor and its largest magnitude as an output; their names."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    new = ModelProto()
    new.CopyFrom(model)
    del new.graph.node[:]
    halves = []

    for node in model.graph.node:
        copy = new.graph.node.add()
        copy.CopyFrom(node)
        for place, name in enumerate(node.output):
            if kinds.get(name) != FLOAT16:
                continue
            halves.append(name)
            copy.output[place] = raw = f"{name}_raw"
            new.graph.node.extend(_watched(raw, name))
            new.graph.output.append(helper.make_tensor_value_info(f"{name}_peak", FLOAT, []))

    del new.graph.value_info[:]
    return new, halves


def _watched(raw: str, name: str) -> list[NodeProto]:
    return [
        helper.make_node("Identity", [raw], [f"{name}_held"]),
        helper.make_node("Identity", [f"{name}_held"], [name]),
        helper.make_node("Cast", [name], [f"{name}_wide"], to=FLOAT),
        helper.make_node("Abs", [f"{name}_wide"], [f"{name}_abs"]),
        helper.make_node("ReduceMax", [f"{name}_abs"], [f"{name}_peak"], keepdims=0),
    ]
