"""What an ONNX file is and where it runs, whoever made it. Torch-free, and distrustful: nothing in it is run.

ONNX Runtime is asked whether it has a kernel for every node, of a graph without its weights.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from onnx import ModelProto, TensorProto, ValueInfoProto

from core.bundle import MANIFEST, read_manifest
from core.errors import BundleError, ExportError
from core.onnx.reading import parse_model
from export.checks.flops import flops
from export.foreign.source import weights_beside
from export.foreign.suggest_command import suggest_command
from export.onnx_graph import STANDARD, inputs_of
from export.targets.kernels import without_kernels
from export.targets.runtimes import PROTOBUF, TARGETS, is_ours, misfit, text

# What networks learn is of these types; whole numbers are shapes and axes.
_WEIGHTS = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.DOUBLE,
    TensorProto.INT8,
    TensorProto.UINT8,
)


@dataclass(frozen=True)
class Value:
    """An input or output: its name, its type, and its sides, numbers or names."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Inspection:
    """What one ONNX file is.

    ``operators`` has the most frequent first. ``flops_per_image`` counts two for each multiply-add of a convolution
    or matrix product at batch 1, and is None where a shape or a cost is not known. ``targets`` maps each target's
    name to what keeps the file from it, None where it fits. ``beside`` are the files, by name, that weights lie in, and
    their bytes; ``command`` is what most likely makes a bundle of it, None of what seems to be no generator, or is one
    of ours.
    """

    file: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    operators: dict[str, int]
    parameters: int
    flops_per_image: int | None
    bytes: int
    opset: int | None
    ir_version: int
    producer: str
    targets: dict[str, str | None]
    beside: dict[str, int] = field(default_factory=dict)
    command: str | None = None


def inspect(path: Path) -> list[Inspection]:
    """What the file at ``path`` is, or every ONNX file that the bundle at ``path`` lists.

    Raises BundleError if there is no ONNX model there, in one line that says what to do.
    """
    if not path.exists():
        raise BundleError(f"{path} does not exist: name an ONNX file or a bundle")
    if not path.is_dir():
        return [inspect_file(path, path.name)]
    names = [name for name in read_manifest(path).files if name.endswith(".onnx")]
    return [inspect_file(path / name, name) for name in sorted(names, key=lambda name: (name.count("/"), name))]


def inspect_file(path: Path, name: str) -> Inspection:
    """What the ONNX file at ``path`` is; it is called ``name``."""
    data = _read(path)
    model = _parsed(path, data)
    opsets = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    counts = Counter(_operator(node.domain, node.op_type) for node in model.graph.node)
    beside, missing = _beside(model, path)
    size = max(len(data), *beside.values()) if beside else len(data)

    return Inspection(
        file=name,
        inputs=_values(inputs_of(model.graph)),
        outputs=_values(model.graph.output),
        operators=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        parameters=_parameters(model),
        flops_per_image=flops(model),
        bytes=len(data),
        opset=opsets[0] if len(opsets) == 1 else None,
        ir_version=model.ir_version,
        producer=text(f"{text(model.producer_name)} {text(model.producer_version)}"),
        targets=dict.fromkeys(TARGETS, missing) if missing else _targets(model, size),
        beside=beside,
        command=None if is_ours(model) else suggest_command(path, model),
    )


def _beside(model: ModelProto, path: Path) -> tuple[dict[str, int], str | None]:
    """The files that weights lie in, and what is wrong with them."""
    try:
        return weights_beside(model, path), None
    except ExportError as error:
        return {}, str(error)
    except OSError as error:
        return {}, f"its weights cannot be read ({error.strerror or error})"


def _targets(model: ModelProto, size: int) -> dict[str, str | None]:
    """What keeps ``model`` from each target. Kernels are looked for once, for those that are ONNX Runtime."""
    found = {target.name: misfit(model, size, target) for target in TARGETS.values()}
    theirs = [name for name, complaint in found.items() if complaint is None and TARGETS[name].operators is None]
    return found | dict.fromkeys(theirs, without_kernels(model)) if theirs else found


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > PROTOBUF:
            raise BundleError(f"{path} has {size / 2**30:.1f} GiB, more than one ONNX file holds: save it smaller")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror or error}): name an ONNX file or a bundle") from None


def _parsed(path: Path, data: bytes) -> ModelProto:
    hint = "name an ONNX file or a bundle"
    if path.name == MANIFEST:
        hint = f"name its folder, {path.parent}"
    model = parse_model(data, path, hint)
    if not model.graph.output or not model.opset_import:
        raise BundleError(f"{path} is not an ONNX model: {hint}")
    return model


def _parameters(model: ModelProto) -> int:
    held = [attribute.t for node in model.graph.node if node.op_type == "Constant" for attribute in node.attribute]
    tensors = [tensor for tensor in (*model.graph.initializer, *held) if tensor.data_type in _WEIGHTS]
    tensors += [tensor.values for tensor in model.graph.sparse_initializer]
    return sum(math.prod(map(int, tensor.dims)) for tensor in tensors)


def _values(values: Iterable[ValueInfoProto]) -> tuple[Value, ...]:
    return tuple(_value(value) for value in values)


def _value(value: ValueInfoProto) -> Value:
    tensor = value.type.tensor_type
    sides = (side.dim_value if side.HasField("dim_value") else text(side.dim_param) or "?" for side in tensor.shape.dim)
    known = tensor.elem_type in TensorProto.DataType.values()
    return Value(text(value.name), TensorProto.DataType.Name(tensor.elem_type) if known else "?", tuple(sides))


def _operator(domain: str | bytes, name: str | bytes) -> str:
    return text(name) if domain in STANDARD else f"{text(domain)}.{text(name)}"


def describe(found: Inspection) -> list[tuple[str, str]]:
    """The rows of a table for people: what it is called, and what it is."""
    cost = "unknown: a shape in it is not fixed, or an operator's cost is not known"
    if found.flops_per_image is not None:
        cost = f"{_grouped(found.flops_per_image)} an image (convolutions and matrix products, 2 a multiply-add)"

    return [
        *(("input", _port(value)) for value in found.inputs),
        *(("output", _port(value)) for value in found.outputs),
        ("operators", ", ".join(f"{name} {count}" for name, count in found.operators.items())),
        ("parameters", _grouped(found.parameters)),
        ("FLOPs", cost),
        ("size", f"{found.bytes + sum(found.beside.values()):,} bytes{_where(found)}"),
        ("opset", f"{found.opset or 'none, or several'}, IR version {found.ir_version}"),
        ("producer", found.producer or "does not say"),
        *((f"fits {name}", "yes" if reason is None else f"no: {reason}") for name, reason in found.targets.items()),
        *([("to import", found.command)] if found.command else []),
    ]


def _where(found: Inspection) -> str:
    if not found.beside:
        return ""
    names = ", ".join(f"{text(name)} ({size:,})" for name, size in found.beside.items())
    return f", of which weights lie beside it, in {names}: copy them with it ('export --from-onnx' puts them inside)"


def _port(value: Value) -> str:
    return f"{value.name} {value.dtype} [{', '.join(map(str, value.shape))}]"


def _grouped(number: int) -> str:
    """With what people say: 1,234,567 is 1.2 million."""
    for power, word in ((9, "billion"), (6, "million")):
        if number >= 10**power:
            return f"{number:,} ({number / 10**power:.3g} {word})"
    return f"{number:,}"
