"""The input of a foreign translator that takes the picture: which one it is, the order of its sides, and its range."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from core.errors import ExportError
from core.images import Images
from core.spec import CHANNELS, SourceSpec
from export.foreign.hints import ImportHints, Layout
from export.onnx_graph import array_of, constant_tensors

PIXELS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8)
LATENTS = ("z", "latent", "latents", "noise")  # names of inputs that are no pictures, whatever their sides
LEAST_SIDE = 8  # of what is taken for a picture without being told
MOVES = ("Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Slice")
BYTES, UNIT = (0.0, 255.0), (0.0, 1.0)

Sides = list[int | None]


@dataclass(frozen=True)
class PictureInput:
    """An input that takes a picture of ``height``, ``width`` and ``channels``, as ``sides`` after the batch if it is
    ``batched``; ``value_range`` are the values that levels 0 and 255 become there."""

    name: str
    dtype: int
    layout: Layout
    spec: SourceSpec
    sides: tuple[int, ...]
    value_range: tuple[float, float]
    premultiplied: bool = False
    batched: bool = True

    def values(self, images: Images) -> NDArray[np.generic]:
        """What uint8 pictures ``(n, h, w, c)``, straight alpha, are there, in double precision until the end."""
        unit = images.astype(np.float64) / 255
        if self.premultiplied and unit.shape[-1] == 4:
            unit[..., :3] *= unit[..., 3:]
        low, high = self.value_range
        values = unit * (high - low) + low
        if self.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        values = values.reshape(len(images), *self.sides)
        values = np.rint(values) if self.dtype == TensorProto.UINT8 else values
        return np.asarray(values.astype(helper.tensor_dtype_to_np_dtype(self.dtype)))


def looks_like_a_picture(value: ValueInfoProto) -> bool:
    """Whether an input is batches of pictures beyond doubt: 1 or 3 channels, or bytes, and sides of several pixels."""
    is_bytes = value.type.tensor_type.elem_type == TensorProto.UINT8
    return _has_sides_of_pictures(value, CHANNELS if is_bytes else (1, 3))


def may_be_a_picture(value: ValueInfoProto) -> bool:
    """Whether it has four channels of floats: RGBA as others have it, or a latent that has places."""
    return _has_sides_of_pictures(value, (4,))


def _has_sides_of_pictures(value: ValueInfoProto, counts: Collection[int]) -> bool:
    """Whether there are channels in one of the ``counts``, first or last, and the other sides may be a picture's."""
    dims, kind = dims_of(value), value.type.tensor_type.elem_type
    if len(dims) != 4 or kind not in PIXELS or value.name.lower() in LATENTS:
        return False
    return any(
        channels in counts and all(side is None or side >= LEAST_SIDE for side in rest)
        for channels, rest in ((dims[1], dims[2:]), (dims[3], dims[1:3]))
    )


def find_source(model: ModelProto, value: ValueInfoProto, hints: ImportHints) -> PictureInput:
    """The picture that ``value`` takes. Raises ExportError for what is none, or could lie in several ways."""
    dims, kind = dims_of(value), value.type.tensor_type.elem_type
    if kind not in PIXELS:
        raise ExportError(f"the source {described(value)} is not of bytes or of floats of 16, 32 or 64 bits")
    batched = len(dims) == 4 or (len(dims) == 3 and not {dims[0], dims[2]} & set(CHANNELS))
    sides = dims[1:] if batched else dims
    if len(sides) not in (2, 3):
        raise ExportError(f"the source {described(value)} is no picture: it has not the sides of one")

    # Where the channels are, and the size, which a graph may leave open
    grey = len(sides) == 2
    what = f"the source {described(value)} has"
    layout: Layout = "NCHW" if grey else hints.source_layout or layout_of(sides, what, "say --source-layout")
    channels = 1 if grey else sides[0 if layout == "NCHW" else 2]
    size = sides if grey else sides[1:] if layout == "NCHW" else sides[:2]
    if channels not in CHANNELS:
        raise ExportError(f"{what} {channels or 'unknown'} channels, not 1, 3 or 4")
    height, width = _sized(value, size, hints)
    found = (height, width) if grey else (channels, height, width) if layout == "NCHW" else (height, width, channels)
    return PictureInput(
        value.name,
        kind,
        layout,
        SourceSpec(height, width, channels),
        found,
        hints.source_range or guessed_range(model, value) or hints.value_range,
        hints.premultiplied,
        batched,
    )


def layout_of(sides: Sequence[int | None], what: str, advice: str) -> Layout:
    """Where the channels are among three sides. Raises ExportError about ``what`` unless only one place is possible."""
    first, last = sides[0] in CHANNELS, sides[2] in CHANNELS
    if first == last:
        how = "both in the first and the last place" if first else "in neither the first nor the last place"
        raise ExportError(f"{what} 1, 3 or 4 channels {how}: {advice}")
    return "NCHW" if first else "NHWC"


def _sized(value: ValueInfoProto, size: Sides, hints: ImportHints) -> tuple[int, int]:
    """Height and width, as the graph has them, or as told where it leaves them open."""
    wanted = hints.source_size or (None, None)
    for known, asked in zip(size, wanted, strict=True):
        if known is not None and asked is not None and known != asked:
            raise ExportError(f"the source {described(value)} is not of --source-size {wanted[1]}x{wanted[0]}")
    height, width = (known or asked for known, asked in zip(size, wanted, strict=True))
    if height is None or width is None:
        raise ExportError(
            f"the source {described(value)} may be of any size, and what ships has one: say --source-size WIDTHxHEIGHT"
        )
    return height, width


def guessed_range(model: ModelProto, value: ValueInfoProto) -> tuple[float, float] | None:
    """What the picture's values go from and to, where the graph's first steps say so; None where they do not.

    Bytes are 0 to 255; so are values that are divided by 255 or from which half of that, or means as large, is taken.
    Means below 1 are taken of 0 to 1.
    """
    if value.type.tensor_type.elem_type == TensorProto.UINT8:
        return BYTES

    # Along the values that are only moved, up to the first step that computes with them
    constants = constant_tensors(model.graph)
    name = value.name
    for _ in range(32):
        takers = [node for node in model.graph.node if name in node.input]
        if len(takers) != 1:
            return None
        node = takers[0]
        if node.op_type not in (*MOVES, "Cast"):
            others = [given for given in node.input if given != name]
            binary = len(others) == len(node.input) - 1 == 1
            return _by_first_step(node, array_of(constants.get(others[0])) if binary else None)
        name = node.output[0]
    return None


def _by_first_step(node: NodeProto, constant: NDArray[np.generic] | None) -> tuple[float, float] | None:
    if constant is None or constant.size > max(CHANNELS) or not constant.size:
        return None
    size = float(np.abs(constant).max())
    if node.op_type in ("Div", "Mul"):
        factor = size if node.op_type == "Div" else 1 / size if size else 0.0
        if 50 <= factor <= 256:
            return BYTES
        return UNIT if node.op_type == "Mul" and math.isclose(size, 2) else None
    if node.op_type in ("Sub", "Add"):
        return BYTES if 50 <= size <= 256 else UNIT if 0.1 < size < 0.9 else None
    return None


def bytes_are_cast(nodes: Iterable[NodeProto], name: str) -> bool:
    """Whether the bytes ``name`` are only moved before they are cast: then floats, which are whole, do as well."""
    moved = {name}
    for node in nodes:
        if not moved.intersection(node.input) or node.op_type == "Cast":
            continue
        if node.op_type not in MOVES:
            return False
        moved.update(node.output)
    return True


def dims_of(value: ValueInfoProto) -> Sides:
    """Its sides; None for one that the graph does not fix."""
    sides = list(value.type.tensor_type.shape.dim)
    known = [side.HasField("dim_value") and side.dim_value >= (0 if place else 1) for place, side in enumerate(sides)]
    return [int(side.dim_value) if sure else None for side, sure in zip(sides, known, strict=True)]


def described(value: ValueInfoProto) -> str:
    """An input or output by its name, type and sides, for an error."""
    sides = ", ".join(str(d.dim_param or d.dim_value) for d in value.type.tensor_type.shape.dim)
    kind = value.type.tensor_type.elem_type
    known = kind in TensorProto.DataType.values()
    return f"{value.name!r} {TensorProto.DataType.Name(kind).lower() if known else f'type {kind}'} [{sides}]"[:200]
