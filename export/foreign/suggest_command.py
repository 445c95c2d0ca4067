"""The command that most likely makes a bundle of a file from elsewhere, guessed from its graph. Nothing is run."""

import math
import shlex
from pathlib import Path

from onnx import ModelProto, TensorProto, ValueInfoProto

from core.spec import CHANNELS
from export.checks.flops import Shape, Shapes, known_shapes
from export.foreign.interface import FLOATS, INTEGERS
from export.foreign.output import last_range
from export.foreign.pictures import LATENTS, PIXELS, guessed_range, looks_like_a_picture, may_be_a_picture
from export.onnx_graph import inputs_of, sides_of

_SOME_SIZE = 256  # pixels, which halves well
_TRUNCATIONS = ("psi", "trunc")
_LABELS = ("label", "class", "cond")
_EXACT_LABELS = ("y", "c")


def suggest_command(path: Path, model: ModelProto) -> str | None:
    """``export --from-onnx`` with the options that ``model`` seems to need; None where it seems to be no generator.

    Capitals stand for what nobody can see in the graph.
    """
    inputs = [value for value in inputs_of(model.graph) if 0 not in sides_of(value)[1:]]
    if source := next((value for value in inputs if looks_like_a_picture(value)), None) or _ambiguous(inputs):
        return _translator(path, model, inputs, source)

    shapes = known_shapes(model)
    image = next((value for value in model.graph.output if _is_image(value, shapes)), None)
    latent = _latent(inputs)
    if image is None or latent is None:
        return None

    options = [*_range(model, image), *_size(_shape(image, shapes))]
    options += ["--latent", latent.name] if len(inputs) > 1 else []
    options += ["--image", image.name] if len(model.graph.output) > 1 else []
    for value in inputs:
        if value is not latent:
            options += _other(value, model, shapes)
    if all(side is None for side in sides_of(latent)[1:]) and len(sides_of(latent)) > 1:
        options += ["--latent-dim", "LENGTH"]

    return _command(path, options)


def _command(path: Path, options: list[str]) -> str:
    return shlex.join(["ganfoundry", "export", "--from-onnx", str(path), *options, "--out", f"exports/{path.stem}"])


def _ambiguous(inputs: list[ValueInfoProto]) -> ValueInfoProto | None:
    """A single input of four channels: a picture rather than a latent, if what comes out has four too."""
    return inputs[0] if len(inputs) == 1 and may_be_a_picture(inputs[0]) else None


def _translator(path: Path, model: ModelProto, inputs: list[ValueInfoProto], source: ValueInfoProto) -> str | None:
    """The command for what makes an image of a picture; None where nothing that it gives is one."""
    sides = sides_of(source)
    first = sides[1] in CHANNELS
    both = first and sides[3] in CHANNELS
    channels, size = (sides[1], sides[2:]) if first else (sides[3], sides[1:3])

    shapes = known_shapes(_at_some_size(model, source))
    image = next((value for value in model.graph.output if _is_image(value, shapes) or _may_be_image(value)), None)
    if image is None or (not looks_like_a_picture(source) and _channels(image, shapes) != channels):
        return None

    given = _range(model, image)
    options = [*given]
    options += ["--source", source.name] if len(inputs) > 1 or not looks_like_a_picture(source) else []
    taken = guessed_range(model, source)
    options += (
        ["--source-range", f"{taken[0]:g},{taken[1]:g}"] if taken and f"{taken[0]:g},{taken[1]:g}" != given[1] else []
    )

    # What the graph leaves open
    options += ["--source-layout", "LAYOUT"] if both else []
    options += ["--source-size", "WIDTHxHEIGHT"] if None in size else []
    options += ["--image", image.name] if len(model.graph.output) > 1 else []
    for value in inputs:
        if value is not source:
            options += ["--fix", f"{value.name}=VALUE"]

    return _command(path, options)


def _at_some_size(model: ModelProto, source: ValueInfoProto) -> ModelProto:
    """A copy that takes pictures of one size, where ``model`` leaves that open."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.input:
        for place, side in enumerate(value.type.tensor_type.shape.dim):
            if value.name == source.name and place and not side.HasField("dim_value"):
                side.dim_value = _SOME_SIZE
    return copy


def _may_be_image(value: ValueInfoProto) -> bool:
    """Whether what comes out has the sides of pictures, as far as the graph says them."""
    sides = sides_of(value)
    if len(sides) != 4 or value.type.tensor_type.elem_type not in PIXELS:
        return False
    return any(
        channels in CHANNELS and all(side is None or side >= 4 for side in rest)
        for channels, rest in ((sides[1], sides[2:]), (sides[3], sides[1:3]))
    )


def _channels(image: ValueInfoProto, shapes: Shapes) -> int | None:
    sides = _shape(image, shapes)[1:]
    return next((sides[place] for place in (0, 2) if len(sides) == 3 and sides[place] in CHANNELS), None)


def _latent(inputs: list[ValueInfoProto]) -> ValueInfoProto | None:
    """A row of numbers, the longest of those that mean nothing else; None for what takes pictures."""
    rows = [value for value in inputs if value.type.tensor_type.elem_type in FLOATS and not _meant(value)]
    rows = [value for value in rows if sides_of(value) and (len(sides_of(value)) == 1 or _length(value) != 1)]
    if any(sum(side is None or side > 1 for side in sides_of(value)[1:]) > 2 for value in rows):
        return None
    named = [value for value in rows if value.name.lower() in LATENTS]
    return max(named or rows, key=_length, default=None)


def _meant(value: ValueInfoProto) -> bool:
    name = value.name.lower()
    return any(word in name for word in (*_TRUNCATIONS, *_LABELS, "code")) or name in _EXACT_LABELS


def _other(value: ValueInfoProto, model: ModelProto, shapes: Shapes) -> list[str]:
    name, kind, sides = value.name.lower(), value.type.tensor_type.elem_type, sides_of(value)
    if kind in FLOATS and any(word in name for word in _TRUNCATIONS) and _length(value) == 1:
        return ["--truncation-input", value.name]
    if kind in FLOATS and "code" in name:
        return ["--codes", value.name]
    one_hot = len(sides) == 2 and (sides[1] or 0) > 1
    if _meant(value) and one_hot:
        return ["--label", value.name, "--classes", str(sides[1])]
    if (_meant(value) or kind in INTEGERS) and kind in (*INTEGERS, *FLOATS):
        return ["--label", value.name, "--classes", _classes(value.name, model, shapes)]
    return ["--fix", f"{value.name}=VALUE"]


def _classes(name: str, model: ModelProto, shapes: Shapes) -> str:
    """How many rows the table has that a class is looked up in."""
    moved = {name}
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[1] in moved and shapes.get(node.input[0]):
            return str(shapes[node.input[0]][0])
        if node.op_type in ("Cast", "Reshape", "Squeeze", "Flatten", "Identity") and node.input[0] in moved:
            moved |= set(node.output)
    return "COUNT"


def _range(model: ModelProto, image: ValueInfoProto) -> list[str]:
    found = last_range(model, image.name)
    if found is None and image.type.tensor_type.elem_type == TensorProto.UINT8:
        found = 0.0, 255.0
    low, high = found or (-1.0, 1.0)  # what most networks are trained to give
    return ["--range", f"{low:g},{high:g}"]


def _size(shape: Shape) -> list[str]:
    """Of images that come as rows of numbers, if they are square."""
    if len(shape) != 2:
        return []
    side = next(math.isqrt(shape[1] // c) for c in CHANNELS if _square(shape[1], c))
    return ["--size", f"{side}x{side}"]


def _square(length: int, channels: int) -> bool:
    side, rest = math.isqrt(length // channels), length % channels
    return not rest and side * side * channels == length and side >= 16


def _is_image(value: ValueInfoProto, shapes: Shapes) -> bool:
    shape = _shape(value, shapes)
    if value.type.tensor_type.elem_type not in PIXELS:
        return False
    if len(shape) == 2:
        return any(_square(shape[1], channels) for channels in CHANNELS)
    sides = shape[1:] if len(shape) == 4 else shape
    if len(sides) != 3 or min(sides) < 1:
        return False
    return (sides[0] in CHANNELS and min(sides[1:]) >= 4) or (sides[2] in CHANNELS and min(sides[:2]) >= 4)


def _shape(value: ValueInfoProto, shapes: Shapes) -> Shape:
    """What was inferred, else what is written there."""
    return shapes.get(value.name) or tuple(1 if side is None else side for side in sides_of(value))


def _length(value: ValueInfoProto) -> int:
    """How many numbers it takes an image; -1 where it does not say."""
    sides = sides_of(value)
    rest = sides[1:] if len(sides) > 1 else [1] if sides[:1] == [None] else sides
    return -1 if None in rest else math.prod(side or 0 for side in rest)
