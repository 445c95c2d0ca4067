"""ONNX files that nobody vouches for, read as data: nothing is run, and no file beside one is opened. Torch-free."""

from pathlib import Path

import onnx
from onnx import ModelProto

from core.errors import BundleError, GanfoundryError

LARGEST_GRAPH = 2**31 - 1  # bytes: what one protobuf message can hold


def read_model(path: Path, advice: str = "export again", refuse: type[GanfoundryError] = BundleError) -> ModelProto:
    """The model in the file at ``path``; weights that it keeps in other files stay there.

    Raises ``refuse`` with ``advice`` where the file cannot be read, is too large, or is no ONNX model.
    """
    try:
        if path.stat().st_size > LARGEST_GRAPH:
            raise refuse(f"{path} is larger than {LARGEST_GRAPH} bytes, which ONNX cannot hold: {advice}")
        data = path.read_bytes()
    except OSError as error:
        raise refuse(f"{path} cannot be read ({error.strerror or error}): {advice}") from None
    return parse_model(data, path, advice, refuse)


def parse_model(
    data: bytes, path: Path, advice: str = "export again", refuse: type[GanfoundryError] = BundleError
) -> ModelProto:
    """The model that ``data``, read at ``path``, is. Raises ``refuse`` as ``read_model`` does."""
    if other := _what_else(data):
        raise refuse(f"{path} is {other}")
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # protobuf's DecodeError, whose module moves between releases
        raise refuse(f"{path} is not an ONNX model, or was cut short: {advice}") from None
    if not model.graph.node:  # many a file that is none is an empty message all the same
        raise refuse(f"{path} is not an ONNX model (it computes nothing): {advice}")
    return model


def _what_else(data: bytes) -> str | None:
    """What a file that is no ONNX model is instead, and what to do, where its beginning says so."""
    start = data[:200].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself: run 'git lfs pull' where it came from"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, not an ONNX model: download the file itself (its 'raw' or 'resolve' address)"
    return None
