"""What a ``Session`` asks in this process, without a server: a generator's graphs, a bundle's in ONNX Runtime."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.bundle import GRAPH, MANIFEST, MAPPING, SYNTHESIS, read_bundle
from core.errors import BundleError, first_line
from core.files import sha256
from core.onnx.session import open_session
from core.spec import GeneratorSpec
from serving.protocol.requests import Parts, Request

MOST_AT_ONCE = 64  # images a run, as many as a served model takes unless it is told otherwise
_ERRORS_ONLY = 3


class Graphs(Protocol):
    """What a generator is run by: its graphs, by the names of a bundle's files; ``sha256`` says which weights it has.

    ``style_shape`` is the ``(layers, style_dim)`` of what goes from its mapping to its synthesis; None without the two.
    """

    spec: GeneratorSpec
    sha256: str
    style_shape: tuple[int, int] | None

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The output of ``graph`` for rows of its inputs, by name."""

    def most(self, graph: str) -> int:
        """How many rows ``graph`` takes at once."""


class LocalModel:
    """The generator of ``graphs`` under the name ``model``: a serving.protocol.requests.Source.

    Its version is the start of the SHA-256, for it has no number before it is published.
    """

    def __init__(self, model: str, graphs: Graphs) -> None:
        self._graphs = graphs
        self.model, self.spec, self.bundle = model, graphs.spec, graphs.sha256
        self.version, self.max_batch = self.bundle[:12], graphs.most(GRAPH)

    def parts(self) -> Parts | None:
        """Its mapping and synthesis graphs; None where it has none."""
        if self._graphs.style_shape is None:
            return None
        most = min(self._graphs.most(MAPPING), self._graphs.most(SYNTHESIS))
        return Parts(MAPPING, SYNTHESIS, self._graphs.style_shape, most)

    def stream(self, requests: Iterable[Request], no_batching: bool) -> Iterator[NDArray[Any]]:
        """What the graphs make of every row of every request, in order, a run for each request."""
        for request in requests:
            graph = GRAPH if request.model == self.model else request.model
            yield from self._graphs.run(graph, request.inputs)

    def close(self) -> None:
        """Nothing to do: there is no connection."""


class BundleGraphs:
    """The graphs of the bundle in the folder ``root``, in ONNX Runtime. Raises BundleError if it is not whole."""

    def __init__(self, root: Path, threads: int = 0) -> None:
        self._root, self._threads = root, threads
        manifest = read_bundle(root)
        self.spec, self.sha256 = manifest.spec, sha256(root / MANIFEST)
        self._sessions: dict[str, Any] = {}
        self.style_shape = None
        if {MAPPING, SYNTHESIS} <= set(manifest.files):
            layers, style_dim = self._session(MAPPING).get_outputs()[0].shape[1:]
            self.style_shape = int(layers), int(style_dim)

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The output of ``graph``. Raises BundleError where ONNX Runtime cannot run it."""
        try:
            return np.asarray(self._session(graph).run(None, dict(inputs))[0])
        except Exception as error:  # ONNX Runtime has a kind for each of its status codes
            raise BundleError(f"{self._root / graph} cannot be run ({first_line(error)})") from None

    def most(self, graph: str) -> int:
        """How many rows the graph takes at once; some take one batch only."""
        first = self._session(graph).get_inputs()[0].shape[0]
        return first if isinstance(first, int) else self.spec.most_at_once(MOST_AT_ONCE)

    def _session(self, graph: str) -> Any:
        if graph not in self._sessions:
            try:
                self._sessions[graph] = open_session((self._root / graph).read_bytes(), threads=self._threads)
            except BundleError as error:
                raise BundleError(f"{self._root / graph}: {error}") from None
        return self._sessions[graph]
