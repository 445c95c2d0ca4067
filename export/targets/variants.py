"""What a target is given: the bundle's own graph where that fits, else a variant of it. Torch-free.

Unity has no bytes and wants channels first: its variants end where the levels are still floats, and give them as
0 to 1, straight alpha, channels before rows, as Unity's TextureConverter takes them; pictures that they translate they
take as it gives them, the same.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from core.bundle import GRAPH
from core.contract import Port, batch_of, input_ports, output_port
from core.difference import MOST_LEVELS, levels_apart
from core.errors import BundleError, ExportError, first_line
from core.golden import Golden
from core.images import Images
from core.onnx.reading import parse_model
from core.onnx.session import CPU, Session, open_session
from core.spec import GeneratorSpec
from export.checks.verification import TargetReport
from export.targets.lowering import lowered
from export.targets.runtimes import TARGETS, Target, misfit

LEGACY_OPSET, LEGACY_IR = 15, 8  # as ONNX 1.10 paired them
_VALUES = "FP32 [N, C, H, W], 0 to 1, straight alpha"

Variant = Callable[[ModelProto, GeneratorSpec], ModelProto]


def float_variant(model: ModelProto, spec: GeneratorSpec) -> ModelProto:
    """``model`` with the output FP32 ``(n, c, h, w)``, whole levels divided by 255, instead of UINT8 ``(n, h, w, c)``,
    and a source likewise.

    Raises BundleError unless it ends as every graph of ours does, with Transpose then Cast, and begins with Cast.
    """
    variant = ModelProto()
    variant.CopyFrom(model)
    for port in pixel_ports(spec):
        _take_floats(variant.graph, port, batch_of(spec))

    # The ending: levels times 1/255 in the place of Transpose and Cast
    graph, image = variant.graph, output_port(spec).name
    transpose, cast = _ending(variant, image)
    levels = transpose.input[0]
    graph.node.remove(cast)
    graph.node.remove(transpose)
    scale = f"{image}_scale"
    graph.initializer.append(numpy_helper.from_array(np.array(1 / 255, np.float32), scale))
    graph.node.append(helper.make_node("Mul", [levels, scale], [image], name="to_unit"))

    del graph.output[:], graph.value_info[:]
    sides = [batch_of(spec), spec.channels, spec.height, spec.width]
    graph.output.append(helper.make_tensor_value_info(image, TensorProto.FLOAT, sides))
    return variant


def pixel_ports(spec: GeneratorSpec) -> list[Port]:
    """The inputs that take pictures."""
    return [port for port in input_ports(spec) if port.dtype == "uint8"]


def _take_floats(graph: GraphProto, port: Port, batch: str) -> None:
    """The input ``port`` becomes FP32 ``(n, c, h, w)`` of 0 to 1; what took its levels takes the same as before."""
    height, width, channels = port.shape
    sides = [batch, channels, height, width]
    value = next(value for value in graph.input if value.name == port.name)
    value.CopyFrom(helper.make_tensor_value_info(port.name, TensorProto.FLOAT, sides))
    takers = [node for node in graph.node if port.name in node.input]
    if [node.op_type for node in takers] != ["Cast"]:
        raise BundleError(f"it does not begin with a Cast of {port.name!r}: export again")
    cast, full = takers[0], f"{port.name}_full"
    graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), full))

    # As a rule the levels are transposed next, which is done already
    after = [node for node in graph.node if cast.output[0] in node.input]
    made = helper.make_node("Mul", [port.name, full], [f"{port.name}_levels"], name="to_levels")
    new = [made, helper.make_node("Transpose", made.output, cast.output, name="to_rows", perm=[0, 2, 3, 1])]
    if len(after) == 1 and _channels_first(after[0]):
        new = [helper.make_node("Mul", [port.name, full], after[0].output, name="to_levels")]
        graph.node.remove(after[0])
    place = list(graph.node).index(cast)
    graph.node.remove(cast)
    for step, node in enumerate(new):
        graph.node.insert(place + step, node)


def _channels_first(node: NodeProto) -> bool:
    return node.op_type == "Transpose" and any(list(a.ints) == [0, 3, 1, 2] for a in node.attribute)


def legacy_variant(model: ModelProto, spec: GeneratorSpec) -> ModelProto:
    """The float variant in opset 15. Raises BundleError, naming the node, where something has no form there."""
    older = lowered(float_variant(model, spec), LEGACY_OPSET)
    older.ir_version = LEGACY_IR
    try:
        onnx.checker.check_model(older, full_check=True)
    except Exception as error:  # ValidationError, InferenceError
        raise BundleError(f"it cannot be written in opset {LEGACY_OPSET} ({first_line(error)})") from None
    return older


VARIANTS: dict[str, tuple[str, Variant]] = {
    "unity": ("targets/unity/generator.onnx", float_variant),
    "unity-legacy": ("targets/unity-legacy/generator.onnx", legacy_variant),
}


def write_targets(
    bundle: Path, model: ModelProto, spec: GeneratorSpec, golden: Golden, names: Sequence[str]
) -> dict[str, TargetReport]:
    """Check ``model`` for every target of ``names`` and write what it needs; what each is given, by target.

    Raises ExportError at the first target that cannot have it, naming the target and what is in the way.
    """
    reports = {}
    for target in (TARGETS[name] for name in TARGETS if name in names):
        try:
            reports[target.name] = _write(bundle, model, spec, golden, target)
        except BundleError as error:
            raise ExportError(f"target {target.name}: {error}; nothing was exported") from None
    return reports


def _write(bundle: Path, model: ModelProto, spec: GeneratorSpec, golden: Golden, target: Target) -> TargetReport:
    if target.name not in VARIANTS:
        _check(model, bundle / GRAPH, target)
        return TargetReport(GRAPH, target.runtime, target.source)

    # A variant, in a file of its own
    name, variant = VARIANTS[target.name]
    made = variant(model, spec)
    path = bundle / name
    path.parent.mkdir(parents=True)
    path.write_bytes(made.SerializeToString(deterministic=True))
    _check(made, path, target)
    levels = _replayed(path.read_bytes(), golden)
    takes = ", ".join(f"{port.name} {_VALUES}" for port in pixel_ports(spec))
    return TargetReport(name, target.runtime, target.source, f"image {_VALUES}", levels, takes or None)


def verify_targets(
    path: Path, recorded: Any, files: Mapping[str, str], golden: Golden, provider: str = CPU
) -> dict[str, str]:
    """Re-check the targets that the bundle at ``path`` says it fits, and those whose files it lists; figures by target.

    Raises BundleError, naming the file.
    """
    if not isinstance(recorded, dict):
        raise BundleError(f"{path} does not say which targets it was checked for: export again")
    named = set(recorded) | {name for name, (file, _) in VARIANTS.items() if file in files}
    if unknown := sorted(named - set(TARGETS)):
        raise BundleError(
            f"{path} says it was checked for {unknown[0]!r}, which this version does not know: export again"
        )
    return {name: _verified(path, name, files, golden, provider) for name in TARGETS if name in named}


def _verified(path: Path, name: str, files: Mapping[str, str], golden: Golden, provider: str) -> str:
    target, file = TARGETS[name], VARIANTS[name][0] if name in VARIANTS else GRAPH
    if file not in files:
        raise BundleError(f"{path} lacks {file}, which the target {name} needs: export again")

    try:
        data = (path / file).read_bytes()
        _check(parse_model(data, path / file), path / file, target)
        if name not in VARIANTS:
            return f"{file} fits {target.runtime}"
        return f"{file} fits {target.runtime}, golden images within {_replayed(data, golden, provider)} of 255 levels"
    except BundleError as error:
        raise BundleError(f"{path / file}: target {name}: {error}") from None
    except Exception:  # protobuf's DecodeError, whose module moves between releases
        raise BundleError(f"{path / file} is not an ONNX model: export again") from None


def _check(model: ModelProto, path: Path, target: Target) -> None:
    if complaint := misfit(model, path.stat().st_size, target):
        raise BundleError(complaint)


def _replayed(data: bytes, golden: Golden, provider: str = CPU) -> int:
    """How far, in levels, a float variant is from the golden images."""
    levels = levels_apart(pixels(open_session(data, provider), golden.inputs), golden.images)
    if levels > MOST_LEVELS:
        raise BundleError(f"its images are up to {levels} of 255 levels from the golden ones, {MOST_LEVELS} is allowed")
    return levels


def pixels(session: Session, inputs: Mapping[str, NDArray[Any]]) -> Images:
    """The uint8 images ``(n, h, w, c)`` of a float variant: what a texture of 8 bits holds of it."""
    try:
        (values,) = session.run(["image"], {name: _as_floats(value) for name, value in inputs.items()})
    except Exception as error:  # ONNX Runtime has a kind for each of its status codes
        raise BundleError(f"ONNX Runtime cannot run it ({first_line(error)})") from None
    levels = np.rint(np.nan_to_num(np.asarray(values, np.float32)) * 255).clip(0, 255)
    return np.asarray(levels.transpose(0, 2, 3, 1), np.uint8)


def _as_floats(value: NDArray[Any]) -> NDArray[Any]:
    """Pictures as a float variant takes them; other inputs as they are."""
    return value.transpose(0, 3, 1, 2).astype(np.float32) / 255 if value.dtype == np.uint8 else value


def _ending(model: ModelProto, image: str) -> tuple[NodeProto, NodeProto]:
    makers = {name: node for node in model.graph.node for name in node.output}
    cast = makers.get(image, NodeProto())
    transpose = makers.get(cast.input[0] if cast.input else "", NodeProto())
    if (transpose.op_type, cast.op_type) != ("Transpose", "Cast"):
        raise BundleError(f"it ends with {transpose.op_type or '?'} then {cast.op_type or '?'}: export again")
    return transpose, cast
