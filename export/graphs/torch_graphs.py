"""The graphs of a trained generator in PyTorch, as they would be exported: a run can be sampled without a bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from core.bundle import GRAPH, MAPPING, SYNTHESIS
from core.checkpoint import load_generator
from core.files import sha256
from export.graphs.modules import Graph, part_graphs, whole_graph

MOST_AT_ONCE = 64  # images a run, as many as a bundle takes


class TorchGraphs:
    """The graphs of the generator file ``path`` on ``device``, by the names that a bundle's files would have.

    ``style_shape`` is ``(layers, style_dim)`` for a generator with styles, else None; ``sha256`` is the file's. Raises
    CheckpointError.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        generator = load_generator(path, device)
        self.spec, self.sha256 = generator.spec, sha256(path)
        self._graphs: dict[str, Graph] = {GRAPH: whole_graph(generator)}
        self.style_shape = None
        if parts := part_graphs(generator):
            self._graphs |= dict(zip((MAPPING, SYNTHESIS), parts, strict=True))
            layers, style_dim = parts[0].gives.shape
            self.style_shape = layers, style_dim

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The output of ``graph`` for rows of its inputs, by name."""
        return self._graphs[graph].made_of(inputs)

    def most(self, graph: str) -> int:
        """How many rows a graph takes at once."""
        return MOST_AT_ONCE
