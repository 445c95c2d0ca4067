"""The inputs and the output of a foreign generator: found in its graph, or named by hints."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto

from core.errors import ExportError
from core.spec import LARGEST_LATENT
from export.foreign.hints import ImportHints, LatentKind
from export.foreign.pictures import (
    PictureInput,
    described,
    dims_of,
    find_source,
    looks_like_a_picture,
    may_be_a_picture,
)

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
INTEGERS = (TensorProto.INT64, TensorProto.INT32, TensorProto.INT16, TensorProto.INT8, TensorProto.UINT8)

MOST_FIXED = 1 << 24  # numbers that another input is given


@dataclass(frozen=True)
class VectorInput:
    """An input that takes ``sides`` numbers for an image, after the batch if it is ``batched``."""

    name: str
    dtype: int
    sides: tuple[int, ...]
    batched: bool = True

    @property
    def length(self) -> int:
        """How many numbers an image takes."""
        return math.prod(self.sides)


@dataclass(frozen=True)
class LabelInput:
    """How the graph takes a class: one-hot ``(n, classes)``, or as a number ``(n,)``, ``(n, 1)`` or ``()``."""

    name: str
    dtype: int
    one_hot: bool
    rank: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class GraphInterface:
    """The graph's inputs and output by their names there: a ``latent``, or the ``source`` that it translates.

    ``batch`` is the one it runs at, None where any will do. ``fixed`` is each other input's value, and whether a row of
    it goes with every image. ``truncation`` is an input that takes it; else the latent is moved towards 0, unless
    ``truncates`` is False: then it does nothing.
    """

    latent: VectorInput | None
    batch: int | None
    image: str
    label: LabelInput | None
    fixed: dict[str, tuple[NDArray[Any], bool]]
    codes: VectorInput | None = None
    truncation: VectorInput | None = None
    latent_kind: LatentKind = "normal"
    truncates: bool = True
    source: PictureInput | None = None

    @property
    def latent_dim(self) -> int:
        """The latent's length; 0 without one."""
        return self.latent.length if self.latent else 0

    @property
    def rows(self) -> list[VectorInput | PictureInput]:
        """The inputs that take something of each image, but for a class."""
        return [port for port in (self.latent, self.source, self.codes, self.truncation) if port]

    def shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        """The shape of each input of the graph at that batch, by name."""
        found = {port.name: (batch, *port.sides) if port.batched else port.sides for port in self.rows}
        if self.label:
            found[self.label.name] = (
                batch,
                *(len(self.label.classes) if self.label.one_hot else 1,) * (self.label.rank - 1),
            )
        return found | {name: value.shape for name, (value, _) in self.fixed.items()}

    def alternatives(self) -> Iterator["GraphInterface"]:
        """The same graph with its fixed inputs repeated for each image in other ways, which is tried, not known."""
        yield self
        for least in (99, 2, 1):  # sides of those that are repeated
            one = {name: value for name, (value, _) in self.fixed.items() if value.shape[:1] in ((), (1,))}
            fixed = {name: (value, value.ndim >= least) for name, value in one.items()}
            yield replace(self, fixed=self.fixed | fixed)


def find_interface(model: ModelProto, hints: ImportHints) -> GraphInterface:
    """The inputs and the output of ``model``. Raises ExportError, which lists what there is, for what does not fit."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {
        value.name: value for value in model.graph.input if value.name not in weights or value.name in hints.fixed
    }

    # The latent, or the picture
    value = _main(inputs, hints)
    if hints.source is not None or (hints.latent is None and looks_like_a_picture(value)):
        return _translator(model, inputs, value, hints)
    if hints.latent is None and may_be_a_picture(value) and hints.latent_kind == "normal":
        name = value.name
        raise ExportError(
            f"is the input {described(value)} a picture or a latent? Say --source {name} or --latent {name}"
        )
    latent = _rows(value, hints.latent_dim, "latent", "--latent-dim")
    if hints.latent_dim not in (None, latent.length):
        raise ExportError(f"the latent {described(value)} is not {hints.latent_dim} long: omit --latent-dim")

    # The other inputs
    batch = dims_of(value)[0] if latent.batched else 1
    truncation, label = _truncation(inputs, hints, batch), _label(inputs, hints)
    alone = (truncation and not truncation.batched) or (label and not label.rank)
    return GraphInterface(
        latent=latent,
        batch=1 if alone else batch,
        image=_image(model, hints),
        label=label,
        fixed=_fixed(inputs, hints, value, batch),
        codes=_rows(_named(inputs, hints.codes, "--codes"), None, "codes", "its length") if hints.codes else None,
        truncation=truncation,
        latent_kind=hints.latent_kind,
    )


def _translator(
    model: ModelProto, inputs: dict[str, ValueInfoProto], value: ValueInfoProto, hints: ImportHints
) -> GraphInterface:
    """Those of a graph that makes an image of a picture."""
    for option, said in (("--label", hints.label), ("--codes", hints.codes), ("--truncation-input", hints.truncation)):
        if said is not None:
            raise ExportError(
                f"the graph translates {value.name!r}, and takes nothing beside: omit {option}, say --fix"
            )
    source = find_source(model, value, hints)
    batch = dims_of(value)[0] if source.batched else 1
    fixed = _fixed(inputs, hints, value, batch)
    return GraphInterface(None, batch, _image(model, hints), None, fixed, truncates=False, source=source)


def _rows(value: ValueInfoProto, length: int | None, what: str, option: str) -> VectorInput:
    """``(n, D)`` with sides of 1 before or after D, any sides that are known, or ``(D,)``."""
    dims, dtype = dims_of(value), value.type.tensor_type.elem_type
    if dtype not in FLOATS:
        raise ExportError(f"the {what} {described(value)} is not of floats of 16, 32 or 64 bits")

    batched = len(dims) > 1
    sides = dims[1:] if batched else dims
    if not sides:
        raise ExportError(f"the {what} {described(value)} is not (n, D), with or without sides of 1 beside it")
    if not any(side and side > 1 for side in sides) and None in sides:
        if length is None:
            raise ExportError(f"the graph does not say how long its {what} {value.name!r} is: add {option}")
        sides[sides.index(None)] = length

    known = tuple(1 if side is None else side for side in sides)
    if not 1 <= math.prod(known) <= LARGEST_LATENT:
        raise ExportError(f"the {what} {described(value)} is not of 1 to {LARGEST_LATENT} numbers")
    return VectorInput(value.name, dtype, known, batched)


def _truncation(inputs: dict[str, ValueInfoProto], hints: ImportHints, batch: int | None) -> VectorInput | None:
    if hints.truncation is None:
        return None
    value = _named(inputs, hints.truncation, "--truncation-input")
    dims, dtype = dims_of(value), value.type.tensor_type.elem_type
    by_row = bool(dims) and (dims[0] is None or dims[0] == batch != 1)
    if dtype not in FLOATS or any(side not in (None, 1) for side in dims[by_row:]):
        raise ExportError(f"the truncation {described(value)} is not one float, for each image or for all")
    return VectorInput(value.name, dtype, (1,) * max(len(dims) - 1, 0), by_row)


def _main(inputs: dict[str, ValueInfoProto], hints: ImportHints) -> ValueInfoProto:
    """The input that takes the latent, or the picture."""
    if hints.latent is not None and hints.source is not None:
        raise ExportError("a generator takes a latent or a picture: say --latent or --source, not both")
    if hints.latent is not None:
        return _named(inputs, hints.latent, "--latent")
    if hints.source is not None:
        return _named(inputs, hints.source, "--source")

    # Nobody said: there must be one that means nothing else
    meant = {hints.label, hints.codes, hints.truncation, *hints.fixed}
    free = [value for name, value in inputs.items() if name not in meant and not _empty(value)]
    if len(free) != 1:
        raise ExportError(
            f"which input is the latent, or the picture? Say --latent or --source, one of: {_listed(inputs.values())}"
        )
    return free[0]


def _image(model: ModelProto, hints: ImportHints) -> str:
    outputs = {value.name: value for value in model.graph.output}
    if hints.image is not None:
        return str(_named(outputs, hints.image, "--image").name)
    if len(outputs) != 1:
        raise ExportError(f"which output is the image? Say --image, one of: {_listed(outputs.values())}")
    return str(next(iter(outputs)))


def _label(inputs: dict[str, ValueInfoProto], hints: ImportHints) -> LabelInput | None:
    if hints.label is None:
        return None
    value = _named(inputs, hints.label, "--label")
    dtype, dims = value.type.tensor_type.elem_type, dims_of(value)

    # One-hot, or a number
    kinds = (*FLOATS, *INTEGERS, TensorProto.BOOL)
    one_hot = len(dims) == 2 and dims[1] != 1 and (dtype not in INTEGERS or dims[1] is not None)
    number = dtype not in (TensorProto.BOOL,) and len(dims) <= 2 and dims[1:] in ([], [1], [None])
    if dtype not in kinds or not (one_hot or number):
        raise ExportError(f"the label {described(value)} is neither one-hot (n, classes) nor a number (n,)")

    # Its classes
    count = dims[1] if one_hot else None
    classes = hints.classes or tuple(map(str, range(count or 0)))
    if not classes:
        raise ExportError(f"the graph does not say how many classes {value.name!r} has: name them with --classes a,b,c")
    if count not in (None, len(classes)):
        raise ExportError(f"the label {described(value)} has {count} classes, --classes names {len(classes)}")
    return LabelInput(value.name, dtype, one_hot, len(dims), classes)


def _fixed(
    inputs: dict[str, ValueInfoProto], hints: ImportHints, latent: ValueInfoProto, batch: int | None
) -> dict[str, tuple[NDArray[Any], bool]]:
    """The other inputs' values. One whose first side is open, whatever its name, takes a row of it for each image."""
    for name in hints.fixed:
        _named(inputs, name, "--fix")
    meant = (latent.name, hints.label, hints.codes, hints.truncation)
    others = {name: value for name, value in inputs.items() if name not in meant}
    if lacking := [value for name, value in others.items() if name not in hints.fixed and not _empty(value)]:
        raise ExportError(f"what is the input {described(lacking[0])}? Say --fix {lacking[0].name}=VALUE, or --label")

    fixed = {}
    for name, value in others.items():
        constant, dims = _constant(value, hints.fixed.get(name, "0")), dims_of(value)
        same = batch is not None and batch > 1 and dims[:1] == [batch] and bool((constant == constant[:1]).all())
        fixed[name] = (constant[:1] if same else constant, same or dims[:1] == [None])
    return fixed


def _empty(value: ValueInfoProto) -> bool:
    """Whether it holds no number at all: the classes ``(n, 0)`` of a StyleGAN that has none."""
    return 0 in dims_of(value)[1:]


def _constant(value: ValueInfoProto, text: str) -> NDArray[Any]:
    """``text``, one number for all elements or one for each, as the input takes it; sides nobody knows are 1."""
    try:
        numbers = np.asarray([_number(word.strip().lower()) for word in text.split(",")])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        found = numbers.astype(dtype)
        if dtype.kind not in "biuf" or (dtype.kind != "f" and not np.array_equal(found, numbers)):
            raise ValueError
        shape = [1 if side is None else side for side in dims_of(value)]
        if math.prod(shape) > MOST_FIXED:
            raise ValueError
        return np.full(shape, found[0]) if len(found) == 1 else found.reshape(shape)
    except (ValueError, KeyError, OverflowError):
        raise ExportError(f"--fix {value.name}={text} is no value of the input {described(value)}") from None


def _number(word: str) -> float:
    number = {"true": 1.0, "false": 0.0}.get(word)
    return float(word) if number is None else number


def _named(values: Mapping[str, ValueInfoProto], name: str, option: str) -> ValueInfoProto:
    if name not in values:
        raise ExportError(f"{option} {name}: the graph has no such, only {_listed(values.values())}")
    return values[name]


def _listed(values: Iterable[ValueInfoProto]) -> str:
    return ", ".join(map(described, values))[:400] or "none"
