"""Where a graph runs: what each runtime's documentation asks of a model, checked on the model. Torch-free.

A check returns nothing if the model keeps it, else what is in the way and what to do. The model may come from anywhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto, TensorProto

from core.contract import SPEC_KEY
from export.onnx_graph import STANDARD, attribute_of, constant_names, inputs_of
from export.targets.operators import INFERENCE_2_3, SENTIS_2_1, TENSORRT_10_15

EXTRA = ("com.microsoft", "ai.onnx.ml")  # that ONNX Runtime has besides
PROTOBUF = 2**31 - 1  # bytes that one protobuf message can hold
STATIC_HOST = 100 * 2**20  # the largest file that GitHub, and so GitHub Pages, takes; a player waits for every byte
LATEST_IR = 10  # what ONNX Runtime 1.19 to 1.22 read

Complaint = str | None
Check = Callable[[ModelProto, "Target"], Complaint]


@dataclass(frozen=True)
class Target:
    """A runtime and what it takes: opsets, first and last; operators, None for all that ONNX Runtime has; bytes of one
    file; whether ``functions`` that a model defines itself.

    ``source`` is where its documentation says so, ``remedy`` what brings a generator of ours there.
    """

    name: str
    runtime: str
    opsets: tuple[int, int]
    source: str
    operators: frozenset[str] | None = None
    largest: int = PROTOBUF
    size_reason: str = "one protobuf file holds 2 GiB"
    checks: tuple[Check, ...] = ()
    remedy: str = "convert it to one of those"
    functions: bool = True


def misfit(model: ModelProto, size: int, target: Target) -> Complaint:
    """The first thing that keeps ``model`` from running on ``target``; None if it fits.

    ``size`` is that of its largest file, in bytes: weights may lie beside it, which every target takes.
    """
    if size > target.largest:
        remedy = "train a narrower network" if is_ours(model) else "save it in smaller types"
        return f"it has {size / 2**20:.1f} MiB where {target.size_reason}: {remedy}"
    return next((found for check in (*COMMON, *target.checks) if (found := check(model, target))), None)


def is_ours(model: ModelProto) -> bool:
    """Whether ``export`` made it."""
    return any(entry.key == SPEC_KEY for entry in model.metadata_props)


def _remedy(model: ModelProto, target: Target) -> str:
    """What brings ``model`` to ``target``: advice for a generator of ours is none for others."""
    if is_ours(model) or target.remedy == Target.remedy:
        return target.remedy
    return f"if it is a generator, 'export --from-onnx' with '--target {target.name}' writes one that may fit"


def _opset(model: ModelProto, target: Target) -> Complaint:
    first, last = target.opsets
    found = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    if len(found) == 1 and first <= found[0] <= last:
        return None
    written = ", ".join(map(str, found)) or "none"
    return f"its opset is {written} and {target.runtime} takes {first} to {last}: {_remedy(model, target)}"


def _operators(model: ModelProto, target: Target) -> Complaint:
    defined = {(function.domain, function.name) for function in model.functions}
    if defined and not target.functions:
        return f"it defines the function {text(model.functions[0].name)!r}: inline it (onnx.inliner)"

    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        if (node.domain, node.op_type) in defined:
            continue
        domains = STANDARD if target.operators is not None else (*STANDARD, *EXTRA)
        if node.domain not in domains:
            return f"{_name(node)} is of the domain {text(node.domain)!r}, which {target.runtime} has not"
        operator, known = text(node.op_type), node.domain not in STANDARD or onnx.defs.has(text(node.op_type))
        if not known or not (target.operators is None or operator in target.operators):
            return f"{_name(node)} is not among the operators of {target.runtime}: export it without"
    return None


def _input_ranks(model: ModelProto, _: Target) -> Complaint:
    for value in inputs_of(model.graph):
        if not value.type.tensor_type.shape.dim:
            return f"the input {value.name!r} has no dimensions, so no batch: give it the shape [N, 1]"
    return None


def _ir_version(model: ModelProto, target: Target) -> Complaint:
    if model.ir_version <= LATEST_IR:
        return None
    return f"its IR version is {model.ir_version} and {target.runtime} reads up to {LATEST_IR}: save it with that"


def _constant_weights(model: ModelProto, target: Target) -> Complaint:
    """Style networks that modulate weights, instead of activations, cannot be batched there."""
    remedy = "scale activations" if is_ours(model) else "'export --from-onnx' rewrites modulated convolutions"
    constant = constant_names(model.graph)
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1:2] and node.input[1] not in constant:
            return f"{_name(node)} computes its weights, which {target.runtime} takes constant only: {remedy}"
    return None


def _unity_types(model: ModelProto, target: Target) -> Complaint:
    """Tensors are float, int or short, and int64 and bool are read as int; there is no byte."""
    outputs = {value.name for value in model.graph.output}
    for node in _of(model, "Cast"):
        if (kind := attribute_of(node, "to", 0)) not in _UNITY_TYPES:
            made = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else kind
            remedy = _remedy(model, target) if set(node.output) <= outputs else "let the network compute in FP32"
            return f"{_name(node)} makes {made}, which {target.runtime} has no tensors of: {remedy}"
    for value in (*model.graph.input, *model.graph.output):
        if (kind := value.type.tensor_type.elem_type) not in _UNITY_TYPES:
            what = f"{value.name!r} is of ONNX type {kind}, which {target.runtime} has no tensors of"
            return f"{what}: {_remedy(model, target)}"
    return None


def _unity_resize(model: ModelProto, target: Target) -> Complaint:
    for node in _of(model, "Resize"):
        where = attribute_of(node, "coordinate_transformation_mode", b"half_pixel")
        odd = attribute_of(node, "exclude_outside", 0) or where in (b"tf_crop_and_resize", b"half_pixel_symmetric")
        if odd or attribute_of(node, "antialias", 0):
            return f"{_name(node)} resamples in a way that {target.runtime} does not: use half_pixel, not antialiased"
    return None


def _unity_transposed(model: ModelProto, target: Target) -> Complaint:
    """Since 2.3 groups and dilations are taken too."""
    for node in _of(model, "ConvTranspose"):
        grouped = attribute_of(node, "group", 1) != 1 or set(attribute_of(node, "dilations", [1])) != {1}
        if grouped or attribute_of(node, "output_shape", []):
            return f"{_name(node)} has groups, dilations or an output shape, which {target.runtime} does not take"
    return None


def _unity_output_shape(model: ModelProto, target: Target) -> Complaint:
    odd = next((node for node in _of(model, "ConvTranspose") if attribute_of(node, "output_shape", [])), None)
    return odd and f"{_name(odd)} has an output shape, which {target.runtime} does not take: give it paddings"


def _tensorrt_bytes(model: ModelProto, target: Target) -> Complaint:
    """UINT8 is for inputs and outputs of the network, so Cast from it comes first and Cast to it last."""
    taken = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8}
    for node in model.graph.node:
        if node.op_type != "Cast" and (names := sorted(taken.intersection(node.input))):
            return (
                f"{_name(node)} takes the UINT8 input {names[0]!r}, of which {target.runtime} takes casts: cast first"
            )
    outputs = {value.name for value in model.graph.output}
    for node in _of(model, "Cast"):
        if attribute_of(node, "to", 0) == TensorProto.UINT8 and not set(node.output) <= outputs:
            return f"{_name(node)} makes UINT8 inside the graph, which {target.runtime} has at its ends only: cast last"
    return None


def _tensorrt_resize(model: ModelProto, target: Target) -> Complaint:
    for node in _of(model, "Resize"):
        if attribute_of(node, "antialias", 0) or attribute_of(node, "mode", b"nearest") not in (b"nearest", b"linear"):
            return f"{_name(node)} is cubic or antialiased, which {target.runtime} has not: use nearest or linear"
    return None


COMMON: tuple[Check, ...] = (_opset, _operators, _input_ranks)
_UNITY_TYPES = (TensorProto.FLOAT, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)
_UNITY: tuple[Check, ...] = (_constant_weights, _unity_types, _unity_resize)
_TENSORRT: tuple[Check, ...] = (_tensorrt_bytes, _tensorrt_resize)

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "ort",
            "ONNX Runtime 1.22",
            (7, 22),
            "tried with 1.22.1, which loads opsets up to 22 and IR versions up to 10; every operator of ai.onnx",
            checks=(_ir_version,),
        ),
        Target(
            "triton",
            "Triton's ONNX Runtime backend since 24.10",
            (7, 21),
            "its ONNX Runtime is 1.19; tried with 1.19.2, which loads opsets up to 21 and IR versions up to 10",
            checks=(_ir_version,),
        ),
        Target(
            "trt10",
            "TensorRT 10.15",
            (9, 24),
            "github.com/onnx/onnx-tensorrt docs/operators.md, TensorRT 10.15",
            TENSORRT_10_15,
            checks=_TENSORRT,
        ),
        Target(
            "trt11",
            "TensorRT 11",
            (9, 25),
            "docs.nvidia.com/deeplearning/tensorrt, ONNX Opset Guide, 11.x; operators as of 10.15",
            TENSORRT_10_15,
            checks=_TENSORRT,
        ),
        Target(
            "unity",
            "Unity Sentis 2.6",
            (7, 25),
            "docs.unity3d.com com.unity.ai.inference@2.6 whats-new; operators as of 2.3 supported-operators",
            INFERENCE_2_3,
            functions=False,
            checks=(*_UNITY, _unity_output_shape),
            remedy="'export --target unity' writes a variant that fits",
        ),
        Target(
            "unity-legacy",
            "Unity Sentis 2.1",
            (7, 15),
            "docs.unity3d.com com.unity.sentis@2.1 supported-operators",
            SENTIS_2_1,
            functions=False,
            checks=(*_UNITY, _unity_transposed),
            remedy="'export --target unity-legacy' writes a variant that fits",
        ),
        Target(
            "web",
            "ONNX Runtime Web 1.30 (WASM)",
            (7, 22),
            "npmjs.com/package/onnxruntime-web 1.30.0: the WebAssembly backend has every operator of ai.onnx",
            largest=STATIC_HOST,
            size_reason="100 MiB is the largest file that GitHub Pages takes",
            checks=(_ir_version,),
        ),
    )
}


def text(found: str | bytes) -> str:
    """One short line of text that may be anything: protobuf hands over what is not UTF-8 as bytes."""
    whole = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
    return "".join(sign if sign.isprintable() else "?" for sign in whole).strip()[:200]


def _of(model: ModelProto, operator: str) -> Iterator[NodeProto]:
    return (node for node in model.graph.node if node.op_type == operator)


def _name(node: NodeProto) -> str:
    called = text(node.name) or ", ".join(map(text, node.output))
    return f"the node {called!r} ({text(node.op_type)})"
