"""What a ``Session`` asks, a served model or a bundle: the few things that the two have in common."""

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from core.spec import GeneratorSpec

Answer = Future[NDArray[Any]]
OUTPUT = "image"


@dataclass
class Request:
    """What one request asks for, so that it can be asked again: rows of inputs, by name, and how often it was."""

    model: str
    inputs: Mapping[str, NDArray[Any]]
    output: str
    since: float = field(default_factory=time.monotonic)
    tries: int = 0
    answer: Answer = field(default_factory=Future)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Parts:
    """The models that are the two parts of another.

    ``shape`` is the ``(layers, style_dim)`` of what goes between them, ``max_batch`` what both take at once.
    """

    mapping: str
    synthesis: str
    shape: tuple[int, int]
    max_batch: int


class Source(Protocol):
    """One version of one generator, wherever it runs; ``bundle`` is the SHA-256 of its bundle's manifest."""

    model: str
    version: str
    spec: GeneratorSpec
    bundle: str
    max_batch: int

    def parts(self) -> Parts | None:
        """Its two parts; None where it has none."""

    def stream(self, requests: Iterable[Request], no_batching: bool) -> Iterator[NDArray[Any]]:
        """What is made of every row of every request, in order; with ``no_batching`` no two requests share a run."""

    def close(self) -> None:
        """Let go of what it holds."""
