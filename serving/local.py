"""A bundle as what a ``Sampler`` draws from: its graphs in ONNX Runtime, in this process, without a server."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.bundle import GRAPH, MANIFEST, MAPPING, SYNTHESIS, read_bundle
from core.errors import BundleError, ServingError
from core.files import sha256
from serving.source import Parts, Request

MOST_AT_ONCE = 64  # images a run, as many as a served model takes unless it is told otherwise
_ERRORS_ONLY = 3


class LocalModel:
    """The generator in the folder ``bundle``, named as the folder: a serving.source.Source.

    Its version is the start of the manifest's SHA-256, for a bundle has no number before it is published. Raises
    BundleError for what is no whole, unchanged bundle.
    """

    def __init__(self, bundle: Path, threads: int = 0) -> None:
        self._root, self._threads = bundle, threads
        self._manifest = read_bundle(bundle)
        self.model, self.spec = bundle.absolute().name, self._manifest.spec
        if self.spec.kind != "noise":
            raise ServingError(f"{bundle} makes images from images, not from seeds")
        self.bundle = sha256(bundle / MANIFEST)
        self.version = self.bundle[:12]
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self.max_batch = self._most(GRAPH)

    def parts(self) -> Parts | None:
        """Its mapping and synthesis graphs; None where the bundle has none."""
        if not {MAPPING, SYNTHESIS} <= set(self._manifest.files):
            return None
        layers, style_dim = self._session(MAPPING).get_outputs()[0].shape[1:]
        most = min(self._most(MAPPING), self._most(SYNTHESIS))
        return Parts(MAPPING, SYNTHESIS, (int(layers), int(style_dim)), most)

    def stream(self, requests: Iterable[Request], alone: bool) -> Iterator[NDArray[Any]]:
        """What the graphs make of every row of every request, in order, a run for each request."""
        for request in requests:
            graph = GRAPH if request.model == self.model else request.model
            try:
                (values,) = self._session(graph).run([request.output], dict(request.inputs))
            except Exception as error:  # ONNX Runtime has a kind for each of its status codes
                raise BundleError(f"{self._root / graph} cannot be run ({_first_line(error)})") from None
            yield from np.asarray(values)

    def close(self) -> None:
        """Let go of the graphs."""
        self._sessions.clear()

    def _session(self, graph: str) -> onnxruntime.InferenceSession:
        if graph not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = _ERRORS_ONLY
            options.intra_op_num_threads = self._threads
            model = (self._root / graph).read_bytes()  # given bytes, ONNX Runtime opens no other file
            try:
                session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise BundleError(f"{self._root / graph}: ONNX Runtime refuses it ({_first_line(error)})") from None
            self._sessions[graph] = session
        return self._sessions[graph]

    def _most(self, graph: str) -> int:
        """How many rows the graph takes at once; some take one batch only."""
        first = self._session(graph).get_inputs()[0].shape[0]
        return first if isinstance(first, int) else self.spec.most_at_once(MOST_AT_ONCE)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]
