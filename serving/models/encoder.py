"""Images to PNG files inside Triton: the ``model.py`` of NAME_encoder, for clients that only want to save a file.

Runs in any Triton with a Python backend. It imports NumPy and nothing of ours, nor Pillow, which NVIDIA's container has
not: a PNG file is no more than its pixels, packed by zlib, in three chunks.
"""

import base64
import importlib.util
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR = {1: 0, 3: 2, 4: 6}  # PNG's numbers for grey, RGB and RGBA, by channels
LEVEL = 6  # of zlib: its own default

with suppress(OSError):  # what importing this file left beside it is no part of the version
    CACHE = Path(importlib.util.cache_from_source(__file__))
    CACHE.unlink()
    CACHE.parent.rmdir()


class TritonPythonModel:
    """``image`` UINT8 (n, h, w, c), straight alpha, to ``png`` BYTES (n, 1), and the same as ``base64`` (RFC 4648)."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        images = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        if images.ndim != 4 or not len(
            images
        ):  # Triton counts a batch in 32 bits: one of 2**32 arrives without that axis
            fault = "'image' must have the shape [batch, height, width, channels], the batch at least 1"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(fault, pb_utils.TritonError.INVALID_ARG))
        files = [png(image) for image in images]
        given = {"png": files}
        if "base64" in request.requested_output_names():
            given["base64"] = [base64.b64encode(file) for file in files]
        tensors = [pb_utils.Tensor(name, np.array(rows, np.object_)[:, None]) for name, rows in given.items()]
        return pb_utils.InferenceResponse(tensors)


def png(image: NDArray[np.uint8]) -> bytes:
    """The PNG file of an array ``(h, w, c)`` of 1, 3 or 4 channels (ISO/IEC 15948:2004, sections 5, 9 and 10)."""
    height, width, channels = image.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: 0, none
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), LEVEL)), (b"IEND", b""))
    return SIGNATURE + b"".join(chunk(name, data) for name, data in chunks)


def chunk(name: bytes, data: bytes) -> bytes:
    """One chunk: its length, name, data and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
