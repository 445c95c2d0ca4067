"""Images to PNG files inside Triton: the ``model.py`` of NAME_encoder, for clients that only want to save a file.

Runs in any Triton with a Python backend whose Python has Pillow; it imports NumPy and Pillow, nothing of ours.
"""

import io
from importlib.util import find_spec
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """``image`` UINT8 (n, h, w, c), straight alpha, to ``png`` BYTES (n, 1)."""

    def initialize(self, args: dict[str, str]) -> None:
        """Refuse to load without Pillow. ``args`` is what Triton's Python backend passes."""
        if find_spec("PIL") is None:
            name = args["model_name"]
            raise pb_utils.TritonModelException(f"'{name}' needs Pillow in Triton's Python: pip install pillow")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        images = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        files = np.array([[png(image)] for image in images], np.object_)
        return pb_utils.InferenceResponse([pb_utils.Tensor("png", files)])


def png(image: Any) -> bytes:
    """The PNG file of a uint8 array ``(h, w, c)`` of 1, 3 or 4 channels."""
    from PIL import Image  # here, so that a Python without it can say so when the model is loaded

    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return file.getvalue()
