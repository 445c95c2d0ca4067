"""A seed to an image or a PNG file inside Triton: the ``model.py`` of NAME_from_seed and of NAME_png.

    seed, class → latents → the same version of the generator NAME → image → png, base64

Runs in any Triton with a Python backend, NVIDIA's container included: it imports NumPy and nothing of ours, nor Pillow,
for a PNG file is no more than its pixels, packed by zlib, in three chunks. What it must know of its version, classes
above all, stands in the manifest beside this file, for the configuration is that of the newest. It asks the generator
within the server, by its version (business logic scripting, as Triton calls it), which an ensemble cannot.
"""

import base64
import importlib.util
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

Inputs = dict[str, NDArray[Any]]

LAST_SEED = 2**32 - 1
DEFAULTS = {"truncation": 1.0, "codes": 0.0}  # of inputs that a request may leave out
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR = {1: 0, 3: 2, 4: 6}  # PNG's numbers for grey, RGB and RGBA, by channels
TOO_MANY = "batch-size must be"  # in Triton's refusal of a batch
LEVEL = 6  # of zlib: its own default
POOL = ThreadPoolExecutor(2)  # zlib lets other threads run meanwhile

with suppress(OSError):  # what importing this file left beside it is no part of the version
    CACHE = Path(importlib.util.cache_from_source(__file__))
    CACHE.unlink()
    CACHE.parent.rmdir()


class Wrong(Exception):
    """A request that is wrong fails alone."""


class TritonPythonModel:
    """``seed`` INT64 (n, 1), and what else the generator takes, to ``image``, or to ``png`` and ``base64`` (n, 1).

    A class is asked for by its number, ``label``, or by its name, ``class``. What may be left out is as it usually is.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Read what the version is. ``args`` is what Triton's Python backend passes."""
        version = args["model_version"]
        manifest = Path(args["model_repository"], version, "manifest.json").read_text(encoding="utf-8")
        self.spec = json.loads(manifest)["spec"]
        said = Path(args["model_repository"], version, "facts.json")  # of NAME_png: what its files say of themselves
        self.facts = json.loads(said.read_text(encoding="utf-8"))["facts"] if said.exists() else {}
        self.sides = {"truncation": 1, "codes": self.spec["codes"]}
        parameters = json.loads(args["model_config"])["parameters"]
        self.generator = parameters["ganfoundry_part_of"]["string_value"]
        self.version = int(version)
        self.stream = np.random.RandomState(0)  # making one takes as long as the rest of a request; seeding it does not

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch, by one question to the generator, or one for each that wants to be alone."""
        answers: list[Any] = [None] * len(requests)
        together: dict[int, Inputs] = {}
        for index, request in enumerate(requests):
            try:
                inputs = self._inputs_of(request)
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
        ends = np.cumsum([len(inputs["z"]) for inputs in batch])
        return [
            answer_of(request, rows, self._texts(request, inputs))
            for request, inputs, rows in zip(requests, batch, np.split(images, ends[:-1]), strict=True)
        ]

    def _texts(self, request: Any, inputs: Inputs) -> list[dict[str, str]]:
        """What each file says, as those of ``sample`` do (serving/facts.py); nothing of images that are no files."""
        if "image" in request.requested_output_names():
            return []
        texts = []
        for row, (seed,) in enumerate(pb_utils.get_input_tensor_by_name(request, "seed").as_numpy()):
            own = {"Version": str(self.version), "Seed": str(seed), "Truncation": f"{inputs['truncation'][row, 0]:g}"}
            if "codes" in inputs:
                own["Codes"] = ",".join(map(number, inputs["codes"][row]))
            if "label" in inputs:
                own["Label"] = self.spec["classes"][inputs["label"][row, 0]]
            texts.append({name: own[name] if text is None else text for name, text in self.facts.items()})
        return texts

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

    def _inputs_of(self, request: Any) -> Inputs:
        """What the generator is asked with. Raises Wrong for what cannot be."""
        tensor = pb_utils.get_input_tensor_by_name(request, "seed")
        if tensor is None:  # where a model has inputs that may be left out, Triton lets all be left out
            raise Wrong("'seed' is missing: send one for each image, INT64 of the shape [batch, 1]")
        seeds = tensor.as_numpy()
        # Triton counts a batch in 32 bits: one of 0, or of a multiple of 2**32, arrives as an array without that axis.
        if seeds.ndim != 2 or not len(seeds):
            raise Wrong("'seed' must have the shape [batch, 1], the batch at least 1")
        if not 0 <= seeds.min() <= seeds.max() <= LAST_SEED:
            raise Wrong(f"a seed is outside 0 to {LAST_SEED}")
        dim, noise = self.spec["latent_dim"], self.spec["noise"]
        values = latents(self.stream, seeds[:, 0], dim + noise)
        inputs: Inputs = {"z": values[:, :dim]} | ({"noise": values[:, dim:]} if noise else {})
        inputs |= {name: self._given(request, name, len(seeds)) for name, side in self.sides.items() if side}
        if self.spec["classes"]:
            inputs["label"] = self._label(request, len(seeds))
        return inputs

    def _given(self, request: Any, name: str, count: int) -> NDArray[np.float32]:
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        if tensor is None:
            return np.full((count, self.sides[name]), DEFAULTS[name], np.float32)
        values: NDArray[np.float32] = tensor.as_numpy()
        if values.shape != (count, self.sides[name]):
            raise Wrong(f"'{name}' must have the shape [batch, {self.sides[name]}]")
        if not np.isfinite(values).all():
            raise Wrong(f"'{name}' holds a NaN or an infinity: send finite numbers, or leave it out")
        return values

    def _label(self, request: Any, count: int) -> NDArray[np.int64]:
        """The numbers of the classes, ``(count, 1)``."""
        classes = self.spec["classes"]
        label, named = (pb_utils.get_input_tensor_by_name(request, name) for name in ("label", "class"))
        if (label is None) == (named is None):
            raise Wrong(f"'{self.generator}' has classes: give either 'label', a number, or 'class', one of its names")
        if label is None:
            names = names_in(named)
            if unknown := [name for name in names if name not in classes]:
                some = ", ".join(classes[:12])
                raise Wrong(f"'{self.generator}' has no class '{unknown[0][:80]}': choose {some}")
            labels = np.array([[classes.index(name)] for name in names], np.int64)
        else:
            labels = label.as_numpy()
        if labels.shape != (count, 1):
            raise Wrong("'label' and 'class' must have the shape [batch, 1]")
        if not 0 <= labels.min() <= labels.max() < len(classes):
            raise Wrong(f"a label is outside 0 to {len(classes) - 1}, the classes of '{self.generator}'")
        return labels


def refusal(why: str, code: Any) -> Any:
    """The response that fails one request."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(why, code))


def wants_to_be_alone(request: Any) -> bool:
    """Whether the client asked for a run that no other request shares."""
    parameters = request.parameters()
    return bool(parameters) and bool(json.loads(parameters).get("alone"))


def names_in(tensor: Any) -> list[str]:
    """The texts of a BYTES tensor ``(n, 1)``; a ``?`` for one that is no text."""
    try:
        return [row[0].decode("utf-8", "replace") for row in tensor.as_numpy()]
    except Exception:  # Triton's own kinds, for bytes that are no texts
        return ["?"]


def latents(stream: np.random.RandomState, seeds: NDArray[np.int64], dim: int) -> NDArray[np.float32]:
    """One row a seed, float32 ``(len(seeds), dim)``, as core/latents.py draws it: NumPy has frozen it (NEP 19).

    ``stream`` is seeded anew for each.
    """
    rows = np.empty((len(seeds), dim), np.float32)
    for row, seed in zip(rows, seeds, strict=True):
        stream.seed(seed)
        row[:] = stream.standard_normal(dim)
    return rows


def number(value: np.float32) -> str:
    """As serving/facts.py writes numbers: six digits, or as many as tell it from others."""
    short = f"{value:g}"
    return short if np.float32(short) == value else str(value)


def answer_of(request: Any, images: NDArray[np.uint8], texts: list[dict[str, str]]) -> Any:
    """The response of images ``(n, h, w, c)``, straight alpha: as they are, or as files, as text too (RFC 4648).

    ``texts`` are what each file says of itself.
    """
    wanted = request.requested_output_names()
    if "image" in wanted:
        return pb_utils.InferenceResponse([pb_utils.Tensor("image", images)])
    files = list(POOL.map(png, images, texts)) if len(images) > 1 else [png(images[0], texts[0])]
    given = {"png": files}
    if "base64" in wanted:
        given["base64"] = [base64.b64encode(file) for file in files]
    tensors = [pb_utils.Tensor(name, np.array(rows, np.object_)[:, None]) for name, rows in given.items()]
    return pb_utils.InferenceResponse(tensors)


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
