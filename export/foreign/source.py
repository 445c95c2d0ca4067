"""An ONNX file from elsewhere, read without trusting it, with the weights it keeps in other files of its folder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from onnx import ModelProto, TensorProto

from core.errors import ExportError
from core.files import sha256
from core.onnx.reading import LARGEST_GRAPH, read_model
from export.checks.rules import tensors_of
from export.onnx_graph import opset_of

LONGEST_NAME = 200  # characters; file systems stop at 255 bytes a part


@dataclass(frozen=True)
class Source:
    """The model, whole, and the sha256 of its file and of those that held its weights, by name."""

    model: ModelProto
    sha256: str
    weights: dict[str, str] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The version of the standard operators that it uses."""
        return opset_of(self.model)


def read_source(path: Path) -> Source:
    """The ONNX file at ``path``.

    Raises ExportError for what is no such file or too large, and for weights that lie outside its folder.
    """
    try:
        if not path.is_file():
            raise ExportError(f"there is no ONNX file at {path}: give one with --from-onnx")
        model, digest = _parsed(path), sha256(path)
        return Source(model, digest, _take_weights_inside(model, path))
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror or error})") from None


def _parsed(path: Path) -> ModelProto:
    model = read_model(path, "give another with --from-onnx", ExportError)
    if not model.graph.output:
        raise ExportError(f"{path} is not an ONNX model: it computes nothing")
    if not all(isinstance(name, str) for name in _names(model)):  # protobuf hands over what is not UTF-8 as bytes
        raise ExportError(f"{path} is not an ONNX model, or was damaged: a name in it is not text")
    return model


def _names(model: ModelProto) -> Iterator[Any]:
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    for part in (*model.opset_import, *graph.node):
        yield part.domain
    for node in graph.node:
        yield from (node.op_type, *node.input, *node.output, *(attribute.name for attribute in node.attribute))
    for part in (*values, *graph.node, *graph.initializer):
        yield part.name
    for value in values:
        yield from (side.dim_param for side in value.type.tensor_type.shape.dim)


def weights_beside(model: ModelProto, path: Path) -> dict[str, int]:
    """The files, by name, that ``model``, which lies at ``path``, keeps weights in, and their bytes.

    Raises ExportError for one that is not there, or lies outside its folder.
    """
    pieces = [_piece(tensor, path) for tensor in _outside(model)]
    return {piece.relative_to(path.parent).as_posix(): piece.stat().st_size for piece, _, _ in pieces}


def _outside(model: ModelProto) -> list[TensorProto]:
    return [tensor for tensor in tensors_of(model) if tensor.data_location == TensorProto.EXTERNAL]


def _take_weights_inside(model: ModelProto, graph: Path) -> dict[str, str]:
    """Read into ``model``, which lies at ``graph``, what it keeps in other files; their sha256 by name."""
    outside, folder = _outside(model), graph.parent
    pieces = [_piece(tensor, graph) for tensor in outside]
    if (size := sum(length for _, _, length in pieces)) > LARGEST_GRAPH:
        raise ExportError(f"its weights have {size / 2**30:.1f} GiB, and one ONNX file holds 2")
    for tensor, (path, offset, length) in zip(outside, pieces, strict=True):
        with path.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted({path for path, _, _ in pieces})}


def _piece(tensor: TensorProto, graph: Path) -> tuple[Path, int, int]:
    """The file, the offset and the length, in bytes, of weights that lie elsewhere (onnx.proto3, external_data).

    A link is followed, as in caches that keep all files in one folder and link to them, where it leads into the
    folder of the graph, or into the one that a link to the graph leads into.
    """
    said = {entry.key: entry.value for entry in tensor.external_data}
    name = str(said.get("location", ""))

    # Which file: one in the graph's folder
    parts = PurePosixPath(name).parts
    odd = not name.isprintable() or set(name) & set("\\:") or len(name) > LONGEST_NAME
    if not parts or ".." in parts or name.startswith("/") or odd:
        raise ExportError(f"the weights {tensor.name[:80]!r} lie outside the model's folder, in {name[:80]!r}")
    path, allowed = graph.parent / name, {graph.parent.resolve(), graph.resolve().parent}
    if not path.is_file() or not allowed & set(path.resolve().parents):
        raise ExportError(f"the weights {tensor.name[:80]!r} should be in {path}, which is not a file there")

    # Which part of it
    size = path.stat().st_size
    try:
        offset = int(said.get("offset") or 0)
        length = int(said.get("length") or size - offset)
    except ValueError:
        offset = length = -1
    if min(offset, length) < 0 or offset + length > size:
        raise ExportError(f"the weights {tensor.name[:80]!r} are not in {path}, which was cut short or is another file")
    return path, offset, length
