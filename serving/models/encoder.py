"""Images to PNG files inside Triton: the ``model.py`` of NAME_encoder, for clients that only want to save a file.

The files say what they are as those of ``sample`` do: ``facts.json`` beside this says how (serving/facts.py).

Runs in any Triton with a Python backend. It imports NumPy and nothing of ours, nor Pillow, which NVIDIA's container has
not: a PNG file is no more than its pixels, packed by zlib, in three chunks.
"""

import base64
import importlib.util
import json
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
SAID = ("seed", "truncation", "label", "codes")  # inputs that the files tell of

with suppress(OSError):  # what importing this file left beside it is no part of the version
    CACHE = Path(importlib.util.cache_from_source(__file__))
    CACHE.unlink()
    CACHE.parent.rmdir()


class TritonPythonModel:
    """``image`` UINT8 (n, h, w, c), straight alpha, to ``png`` BYTES (n, 1), and the same as ``base64`` (RFC 4648).

    ``seed``, ``truncation``, ``label`` and ``codes``, where they are given, are what the files say of themselves.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read what the files are to say. ``args`` is what Triton's Python backend passes."""
        known = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
        self.facts, self.classes = {**known["facts"], "Version": args["model_version"]}, known["classes"]

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
        given = {name: pb_utils.get_input_tensor_by_name(request, name) for name in SAID}
        told = {name: tensor.as_numpy() for name, tensor in given.items() if tensor is not None}
        files = [png(image, self._texts(told, row)) for row, image in enumerate(images)]
        made = {"png": files}
        if "base64" in request.requested_output_names():
            made["base64"] = [base64.b64encode(file) for file in files]
        tensors = [pb_utils.Tensor(name, np.array(rows, np.object_)[:, None]) for name, rows in made.items()]
        return pb_utils.InferenceResponse(tensors)

    def _texts(self, told: dict[str, NDArray[Any]], row: int) -> dict[str, str]:
        """What one file says: what all do, and what was told of its image."""
        own = {name: values[row] for name, values in told.items() if values.ndim == 2 and row < len(values)}
        texts = {}
        if "seed" in own:
            texts["Seed"] = str(own["seed"][0])
        if "truncation" in own:
            texts["Truncation"] = f"{own['truncation'][0]:g}"
        if "codes" in own:
            texts["Codes"] = ",".join(map(number, own["codes"]))
        if "label" in own and 0 <= own["label"][0] < len(self.classes):
            texts["Label"] = self.classes[own["label"][0]]
        every = {name: texts.get(name) if text is None else text for name, text in self.facts.items()}
        return {name: text for name, text in every.items() if text is not None}


def number(value: np.float32) -> str:
    """As serving/facts.py writes numbers: six digits, or as many as tell it from others."""
    short = f"{value:g}"
    return short if np.float32(short) == value else str(value)


def png(image: NDArray[np.uint8], texts: dict[str, str]) -> bytes:
    """The PNG file of an array ``(h, w, c)`` of 1, 3 or 4 channels (ISO/IEC 15948:2004, sections 5, 9 and 10).

    ``texts`` become iTXt chunks (section 11.3.4.5): neither compressed nor of a language, and not translated.
    """
    height, width, channels = image.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: 0, none
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR[channels], 0, 0, 0)
    said = [
        (b"iTXt", key.encode("latin-1") + bytes(5) + text.encode("utf-8", "replace")) for key, text in texts.items()
    ]
    chunks = ((b"IHDR", header), *said, (b"IDAT", zlib.compress(rows.tobytes(), LEVEL)), (b"IEND", b""))
    return SIGNATURE + b"".join(chunk(name, data) for name, data in chunks)


def chunk(name: bytes, data: bytes) -> bytes:
    """One chunk: its length, name, data and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
