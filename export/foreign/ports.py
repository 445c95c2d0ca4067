"""What a foreign generator takes and gives, and what it was told to mean: found by looking, else asked for."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto

from core.errors import ExportError
from core.spec import LARGEST_LATENT

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
INTEGERS = (TensorProto.INT64, TensorProto.INT32)

MOST_CLASSES = 100_000
MOST_FIXED = 1 << 24  # numbers that another input is given

Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True)
class Told:
    """What nobody can see in a graph: which ends its values have, and what its inputs mean.

    ``value_range`` becomes 0 and 255. ``fixed`` gives values to inputs that stay as they are; ``classes`` names the
    values of ``label``; ``premultiplied`` is whether colour was multiplied by alpha.
    """

    value_range: tuple[float, float]
    latent: str | None = None
    image: str | None = None
    layout: Layout | None = None
    latent_dim: int | None = None
    label: str | None = None
    classes: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    premultiplied: bool = False


@dataclass(frozen=True)
class Label:
    """How the graph takes a class: one-hot ``(n, classes)`` of floats, or as a number ``(n,)`` or ``(n, 1)``."""

    name: str
    dtype: int
    one_hot: bool
    rank: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Ports:
    """The graph's inputs and output by their names there.

    ``batch`` is the one it was made for, None where any will do. The latent is ``(n, latent_dim)`` with ``ones`` sides
    of 1 after it. ``fixed`` is each other input's value, and whether a row of it goes with every image.
    """

    latent: str
    latent_dtype: int
    latent_dim: int
    ones: int
    batch: int | None
    image: str
    label: Label | None
    fixed: dict[str, tuple[NDArray[Any], bool]]


def parse_range(text: str) -> tuple[float, float]:
    """``"-1,1"`` as two numbers, the lower first."""
    try:
        low, high = map(float, text.split(","))
        if low < high:
            return low, high
    except ValueError:
        pass
    raise ExportError(f"--range {text} is not two numbers, the lower first: write -1,1, 0,1 or 0,255")


def parse_classes(text: str) -> tuple[str, ...]:
    """``"cat,dog"`` as names; a number as that many, counted from 0; none of an empty text."""
    if text.strip().isdecimal() and 1 <= int(text) <= MOST_CLASSES:
        return tuple(map(str, range(int(text))))
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else ()
    if len(set(names)) != len(names) or "" in names or len(names) > MOST_CLASSES:
        raise ExportError(
            f"--classes {text[:80]}: each class needs a name of its own, and there are {MOST_CLASSES} at most"
        )
    return names


def parse_fixed(texts: Iterable[str]) -> dict[str, str]:
    """``["psi=0.7"]`` as values by name."""
    pairs = [text.partition("=") for text in texts]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise ExportError(f"--fix {name}{sign}{value} is not NAME=VALUE")
    return {name: value for name, _, value in pairs}


def find_ports(model: ModelProto, told: Told) -> Ports:
    """The inputs and the output of ``model``. Raises ExportError, which lists what there is, for what does not fit."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights or value.name in told.fixed}
    latent = _latent(inputs, told)
    dims = _dims(latent)
    if len(dims) < 2 or any(side not in (None, 1) for side in dims[2:]):
        raise ExportError(f"the latent {_described(latent)} is not (n, D), with or without sides of 1 after it")
    latent_dim = dims[1] or told.latent_dim
    if latent_dim is None:
        raise ExportError(f"the graph does not say how long its latent {latent.name!r} is: add --latent-dim")
    if told.latent_dim not in (None, latent_dim):
        raise ExportError(f"the latent {_described(latent)} is not {told.latent_dim} long: omit --latent-dim")
    if not 1 <= latent_dim <= LARGEST_LATENT:
        raise ExportError(f"the latent {_described(latent)} is not of 1 to {LARGEST_LATENT} numbers")
    return Ports(
        latent=latent.name,
        latent_dtype=latent.type.tensor_type.elem_type,
        latent_dim=latent_dim,
        ones=len(dims) - 2,
        batch=dims[0],
        image=_image(model, told),
        label=_label(inputs, told),
        fixed=_fixed(inputs, told, latent),
    )


def _latent(inputs: dict[str, ValueInfoProto], told: Told) -> ValueInfoProto:
    if told.latent is not None:
        value = _named(inputs, told.latent, "--latent")
    else:
        free = [value for name, value in inputs.items() if name != told.label and name not in told.fixed]
        if len(free) != 1:
            raise ExportError(f"which input is the latent? Say --latent, one of: {_listed(inputs.values())}")
        value = free[0]
    if value.type.tensor_type.elem_type not in FLOATS:
        raise ExportError(f"the latent {_described(value)} is not of floats of 16, 32 or 64 bits")
    return value


def _image(model: ModelProto, told: Told) -> str:
    outputs = {value.name: value for value in model.graph.output}
    if told.image is not None:
        return str(_named(outputs, told.image, "--image").name)
    if len(outputs) != 1:
        raise ExportError(f"which output is the image? Say --image, one of: {_listed(outputs.values())}")
    return str(next(iter(outputs)))


def _label(inputs: dict[str, ValueInfoProto], told: Told) -> Label | None:
    if told.label is None:
        return None
    value = _named(inputs, told.label, "--label")
    dtype, dims = value.type.tensor_type.elem_type, _dims(value)
    one_hot = dtype in FLOATS and len(dims) == 2
    if not one_hot and not (dtype in INTEGERS and len(dims) in (1, 2) and dims[1:] in ([], [1], [None])):
        raise ExportError(f"the label {_described(value)} is neither one-hot floats (n, classes) nor a number (n,)")
    count = dims[1] if one_hot else None
    classes = told.classes or tuple(map(str, range(count or 0)))
    if not classes:
        raise ExportError(f"the graph does not say how many classes {value.name!r} has: name them with --classes a,b,c")
    if count not in (None, len(classes)):
        raise ExportError(f"the label {_described(value)} has {count} classes, --classes names {len(classes)}")
    return Label(value.name, dtype, one_hot, len(dims), classes)


def _fixed(
    inputs: dict[str, ValueInfoProto], told: Told, latent: ValueInfoProto
) -> dict[str, tuple[NDArray[Any], bool]]:
    for name in told.fixed:
        _named(inputs, name, "--fix")
    others = {name: value for name, value in inputs.items() if name not in (latent.name, told.label)}
    if lacking := [value for name, value in others.items() if name not in told.fixed]:
        raise ExportError(f"what is the input {_described(lacking[0])}? Say --fix {lacking[0].name}=VALUE, or --label")
    batch = latent.type.tensor_type.shape.dim[0].dim_param
    return {
        name: (_constant(value, told.fixed[name]), bool(batch) and _first_name(value) == batch)
        for name, value in others.items()
    }


def _constant(value: ValueInfoProto, text: str) -> NDArray[Any]:
    """``text``, one number for all elements or one for each, as the input takes it; sides nobody knows are 1."""
    try:
        numbers = np.asarray([_number(word.strip().lower()) for word in text.split(",")])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        found = numbers.astype(dtype)
        if dtype.kind not in "biuf" or (dtype.kind != "f" and not np.array_equal(found, numbers)):
            raise ValueError
        shape = [side or 1 for side in _dims(value)]
        if math.prod(shape) > MOST_FIXED:
            raise ValueError
        return np.full(shape, found[0]) if len(found) == 1 else found.reshape(shape)
    except (ValueError, KeyError, OverflowError):
        raise ExportError(f"--fix {value.name}={text} is no value of the input {_described(value)}") from None


def _number(word: str) -> float:
    number = {"true": 1.0, "false": 0.0}.get(word)
    return float(word) if number is None else number


def _named(values: Mapping[str, ValueInfoProto], name: str, option: str) -> ValueInfoProto:
    if name not in values:
        raise ExportError(f"{option} {name}: the graph has no such, only {_listed(values.values())}")
    return values[name]


def _dims(value: ValueInfoProto) -> list[int | None]:
    """Its sides; None for one that the graph does not fix."""
    return [d.dim_value if d.dim_value > 0 else None for d in value.type.tensor_type.shape.dim]


def _first_name(value: ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return str(dims[0].dim_param) if dims else ""


def _described(value: ValueInfoProto) -> str:
    sides = ", ".join(str(d.dim_param or d.dim_value) for d in value.type.tensor_type.shape.dim)
    kind = value.type.tensor_type.elem_type
    known = kind in TensorProto.DataType.values()
    return f"{value.name!r} {TensorProto.DataType.Name(kind).lower() if known else f'type {kind}'} [{sides}]"[:200]


def _listed(values: Iterable[ValueInfoProto]) -> str:
    return ", ".join(map(_described, values))[:400] or "none"
