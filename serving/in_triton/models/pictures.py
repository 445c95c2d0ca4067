"""A PNG file to a PNG file inside Triton: the ``model.py`` of a translator's NAME_png.

png or base64 → picture → the same version of the translator NAME → image → png, base64
"""

import base64
import binascii
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from .door import Door, Inputs, mapped
from .png import Pixels, Wrong, most_text, read_png


class TritonPythonModel(Door):
    """``png`` BYTES (n, 1), files of exactly the size that the translator takes, or ``base64``, the same as text."""

    def inputs_of(self, request: Any) -> Inputs:
        """The pictures in the files, straight alpha, in the channels that the translator takes."""
        files = self._files_in(request)
        return {
            "source": np.stack(mapped(self._picture_in, range(1, len(files) + 1), files, [len(files)] * len(files)))
        }

    def own_texts(self, row: int, request: Any, inputs: Inputs) -> dict[str, str]:
        """There is nothing that differs from file to file."""
        return {}

    def _picture_in(self, number: int, file: bytes, count: int) -> Pixels:
        source = self.spec["source"]
        try:
            return read_png(file, source["height"], source["width"], source["channels"])
        except Wrong as fault:
            which = f" {number} of {count}" if count > 1 else ""
            raise Wrong(f"the file{which} for '{self.generator}' cannot be translated: {fault}") from None

    def _files_in(self, request: Any) -> list[bytes]:
        """What either input holds, as files."""
        png, text = (pb_utils.get_input_tensor_by_name(request, name) for name in ("png", "base64"))
        if (png is None) == (text is None):
            raise Wrong("give either 'png', the bytes of PNG files, or 'base64', the same as text: BYTES [batch, 1]")
        try:
            rows = (text if png is None else png).as_numpy()
            # Triton counts a batch in 32 bits: one of 0, or of a multiple of 2**32, arrives without that axis.
            files = [bytes(row[0]) for row in rows] if rows.ndim == 2 else []
        except Exception:  # Triton's own kinds, for bytes that are no texts
            raise Wrong("'png' and 'base64' must hold as many files as their shape says") from None
        if not files:
            raise Wrong("'png' and 'base64' must have the shape [batch, 1], the batch at least 1")
        return files if text is None else [self._decoded(file) for file in files]

    def _decoded(self, text: bytes) -> bytes:
        """The bytes that base64 stands for (RFC 4648, section 4)."""
        source = self.spec["source"]
        if len(text) > most_text(source["height"], source["width"]):
            raise Wrong(f"'base64' of {len(text)} bytes is more than a picture that '{self.generator}' takes needs")
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Wrong("'base64' is not base64: encode the file's bytes, without line breaks") from None
