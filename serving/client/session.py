"""What ``Sampler`` and ``Translator`` share: one version of one model, through gRPC or straight from a bundle."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from numpy.typing import NDArray

from core.errors import RequestRefused
from serving.protocol.requests import OUTPUT, Request, Source

if TYPE_CHECKING:
    from serving.protocol.tls import ClientTls

Inputs = dict[str, NDArray[Any]]
T = TypeVar("T")

_MOST_BYTES = 32 << 20  # of images in one answer: what is in flight stays small, whatever the image size
# What is said to those who ask a model of a kind for what another kind does.
_INSTEAD = {
    "noise": "'{}' makes pictures of seeds, it does not translate any: use 'sample' (in Python, Sampler)",
    "image": "'{}' translates pictures, it makes none of seeds: use 'translate' (in Python, Translator)",
}


class Session:
    """Asks one version of one served model, or a bundle (``local``). A context manager, or ``close`` it.

    ``spec`` says what the generator is, ``version`` which version was the newest when this was made: all images
    come from that one, and ``bundle`` is the SHA-256 of the manifest of the bundle it was published from. The last
    bit of a pixel may depend on which images are run together: ``no_batching`` asks for a run for each request, so that
    the bytes are a function of what is in it, and with ``batch=1``, which is always alone, of each row. A request
    that meets an overloaded or restarting server is asked again, within ``seconds`` for each (serving/client/retry.py);
    images come in order all the same. ``tls`` encrypts.

    Raises ServerUnavailable, ModelNotFound, RequestRefused for a model of another kind, or ServingError for one that is
    not ours.
    """

    kind: ClassVar[str]  # of the models that it asks

    def __init__(
        self,
        model: str,
        url: str = "localhost:8001",
        *,
        batch: int | None = None,
        no_batching: bool = False,
        in_flight: int = 4,
        seconds: float = 60.0,
        tls: "ClientTls | None" = None,
    ) -> None:
        if in_flight < 1 or seconds <= 0:
            raise RequestRefused("the batch, the requests in flight and the deadline must be above 0")
        _check_batch(batch)
        from serving.client.served import ServedModel  # here, so that a bundle needs no client of Triton's

        self.url, self.in_flight = url, in_flight
        self._ask_of(ServedModel(model, url, in_flight, seconds, tls), batch, no_batching)

    @classmethod
    def local(cls, bundle: Path | str, *, batch: int | None = None, threads: int = 0) -> Self:
        """The same of the bundle in a folder, in ONNX Runtime on this machine's processor, without any server.

        The images are those that the bundle makes when it is served. ``model`` is the folder's name and ``version``
        the start of the manifest's SHA-256; ``threads`` 0 means all cores. Raises BundleError.
        """
        from serving.client.local import BundleGraphs, LocalModel

        return cls.of(LocalModel(Path(bundle).absolute().name, BundleGraphs(Path(bundle), threads)), batch=batch)

    @classmethod
    def of(cls, source: Source, *, batch: int | None = None) -> Self:
        """The same of whatever makes images in this process."""
        _check_batch(batch)
        session = cls.__new__(cls)
        session.url, session.in_flight = "", 1  # there is nobody to ask
        session._ask_of(source, batch, no_batching=True)
        return session

    def _ask_of(self, source: Source, batch: int | None, no_batching: bool) -> None:
        self._source = source
        self.model, self.version, self.spec, self.bundle = source.model, source.version, source.spec, source.bundle
        if self.spec.kind != self.kind:
            self.close()
            raise RequestRefused(_INSTEAD[self.spec.kind].format(self.model))
        spec, taken = self.spec, self.spec.source
        largest = spec.height * spec.width * spec.channels
        if taken is not None:
            largest = max(largest, taken.height * taken.width * taken.channels)
        self.batch = min(batch or source.max_batch, source.max_batch, max(_MOST_BYTES // largest, 1))
        self._no_batching = no_batching or batch == 1

    def close(self) -> None:
        """Close the connection, or let go of the bundle's graphs."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, chunks: Iterator[Inputs], model: str, output: str = OUTPUT) -> Iterator[NDArray[Any]]:
        """What ``model`` makes of every row of every chunk, in order."""
        requests = (Request(model, inputs, output) for inputs in chunks)
        return self._source.stream(requests, self._no_batching)


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, ``size`` at a time and fewer at the end."""
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


def _check_batch(batch: int | None) -> None:
    if batch is not None and batch < 1:
        raise RequestRefused("the batch, the requests in flight and the deadline must be above 0")
