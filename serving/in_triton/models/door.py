"""What the doors of a generator in Triton share: NAME_from_seed and NAME_png, each a ``model.py`` beside this file.

    what a thin client sends → inputs → the same version of the generator NAME → image → png, base64

Runs in any Triton with a Python backend, NVIDIA's container included: it imports NumPy and nothing of ours that does
not lie beside it, nor Pillow (png.py). The texts in files are those of ``sample``'s and ``translate``'s, from
``facts.json`` beside this (serving/protocol/picture_texts.py). What it must know of its version stands in the manifest
beside this file, for the configuration is that of the newest. It asks the generator within the server, by its version
(business logic scripting, as Triton calls it), which an ensemble cannot.
"""

import base64
import importlib.util
import json
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .png import Wrong, write_png

Inputs = dict[str, NDArray[Any]]

TOO_MANY = "batch-size must be"  # in Triton's refusal of a batch
POOL = ThreadPoolExecutor(2)  # zlib lets other threads run meanwhile

for _file in ("model.py", "door.py", "png.py"):  # what importing them left beside them is no part of the version
    with suppress(OSError):
        _cache = Path(importlib.util.cache_from_source(str(Path(__file__).with_name(_file))))
        _cache.unlink()
        _cache.parent.rmdir()


class Door(ABC):
    """What Triton's Python backend runs, but for what a client sends: ``image``, or ``png`` and ``base64`` (n, 1).

    A request that is wrong fails alone, in whatever batch it is.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read what the version is. ``args`` is what Triton's Python backend passes."""
        version = args["model_version"]
        manifest = Path(args["model_repository"], version, "manifest.json").read_text(encoding="utf-8")
        self.spec = json.loads(manifest)["spec"]
        facts = Path(__file__).with_name("facts.json").read_text(encoding="utf-8")
        self.facts = {**json.loads(facts), "Version": version}
        parameters = json.loads(args["model_config"])["parameters"]
        self.generator = parameters["ganfoundry_part_of"]["string_value"]
        self.version = int(version)

    @abstractmethod
    def inputs_of(self, request: Any) -> Inputs:
        """What the generator is asked with, by name, as many rows each. Raises Wrong for what cannot be."""

    @abstractmethod
    def own_texts(self, row: int, request: Any, inputs: Inputs) -> dict[str, str]:
        """What one file says of itself, for the texts of ``facts.json`` that are open."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch, by one question to the generator, or one for each that wants to be alone."""
        answers: list[Any] = [None] * len(requests)
        together: dict[int, Inputs] = {}
        for index, request in enumerate(requests):
            try:
                inputs = self.inputs_of(request)
            except Wrong as fault:
                answers[index] = refusal(str(fault), pb_utils.TritonError.INVALID_ARG)
                continue
            if wants_to_be_alone(request):
                (answers[index],) = self._answers([request], [inputs], alone=True)
            else:
                together[index] = inputs
        asked = [requests[index] for index in together]
        for index, answer in zip(together, self._answers(asked, list(together.values())), strict=True):
            answers[index] = answer
        return answers

    def _answers(self, requests: list[Any], batch: list[Inputs], alone: bool = False) -> list[Any]:
        """One response per request, of its rows of the images that the generator makes of all of them."""
        if not batch:
            return []
        response = self._ask({name: np.concatenate([inputs[name] for inputs in batch]) for name in batch[0]}, alone)
        if response.has_error():
            said = str(response.error().message())
            if TOO_MANY in said and len(batch) > 1:  # it was just configured to take fewer
                return [self._answers([one], [inputs])[0] for one, inputs in zip(requests, batch, strict=True)]
            return [self._failure(said) for _ in requests]
        images = pb_utils.get_output_tensor_by_name(response, "image").as_numpy()
        ends = np.cumsum([count_of(inputs) for inputs in batch])
        rows = np.split(images, ends[:-1])
        return [
            self._answer(request, inputs, each) for request, inputs, each in zip(requests, batch, rows, strict=True)
        ]

    def _answer(self, request: Any, inputs: Inputs, images: NDArray[np.uint8]) -> Any:
        """The response of images ``(n, h, w, c)``, straight alpha: as they are, or as files, as text too (RFC 4648)."""
        wanted = request.requested_output_names()
        if "image" in wanted:
            return pb_utils.InferenceResponse([pb_utils.Tensor("image", images)])
        texts = [self._texts(row, request, inputs) for row in range(len(images))]
        files = mapped(write_png, images, texts)
        given = {"png": files}
        if "base64" in wanted:
            given["base64"] = [base64.b64encode(file) for file in files]
        tensors = [pb_utils.Tensor(name, np.array(rows, np.object_)[:, None]) for name, rows in given.items()]
        return pb_utils.InferenceResponse(tensors)

    def _texts(self, row: int, request: Any, inputs: Inputs) -> dict[str, str]:
        """What one file says: what all do, and what it says of itself."""
        own = self.own_texts(row, request, inputs)
        return {name: own[name] if text is None else text for name, text in self.facts.items()}

    def _ask(self, inputs: Inputs, alone: bool) -> Any:
        """What the generator answers: in memory that NumPy reads, whatever it runs on."""
        return pb_utils.InferenceRequest(
            model_name=self.generator,
            model_version=self.version,
            inputs=[pb_utils.Tensor(name, values) for name, values in inputs.items()],
            requested_output_names=["image"],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
            parameters={"alone": True} if alone else {},
        ).exec()

    def _failure(self, said: str) -> Any:
        """The response for a request that the generator failed at, made anew: what it came with lives no longer."""
        if "not ready" in said:
            said = f"version {self.version} of '{self.generator}' is not served: ask for the newest, or later"
            return refusal(said, pb_utils.TritonError.UNAVAILABLE)
        said = said.rpartition("Error when running inference: ")[2]
        if TOO_MANY in said:
            return refusal(said, pb_utils.TritonError.INVALID_ARG)
        busy = "maximum queue size" in said or "timeout expired" in said
        return refusal(said, pb_utils.TritonError.UNAVAILABLE if busy else pb_utils.TritonError.INTERNAL)


def mapped(function: Any, *rows: Any) -> list[Any]:
    """What ``function`` makes of each row, two at a time where there are several."""
    return list(POOL.map(function, *rows)) if len(rows[0]) > 1 else list(map(function, *rows))


def count_of(inputs: Inputs) -> int:
    """How many rows the inputs have."""
    return len(next(iter(inputs.values())))


def refusal(why: str, code: Any) -> Any:
    """The response that fails one request."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(why, code))


def wants_to_be_alone(request: Any) -> bool:
    """Whether the client asked for a run that no other request shares."""
    parameters = request.parameters()
    return bool(parameters) and bool(json.loads(parameters).get("alone"))
