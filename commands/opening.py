"""Who makes the pictures of ``sample`` and ``translate``: the graphs of a bundle or run here, or a server."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from commands.options import ServerOptions
from core.errors import BundleError, MissingDependency

if TYPE_CHECKING:
    from serving.client.local import Graphs
    from serving.client.session import Session

S = TypeVar("S", bound="Session")


def session(kind: "type[S]", model: str, server: ServerOptions, batch: int | None = None) -> "S":
    """A session of a ``kind``: with the bundle or run at the path ``model``, or with the served model of that name.

    Raises BundleError for a path of neither, MissingDependency where a server cannot be asked from here.
    """
    if (graphs := graphs_of(model)) is not None:
        from serving.client.local import LocalModel

        return kind.of(LocalModel(Path(model).absolute().name.removesuffix(".safetensors"), graphs), batch=batch)

    if find_spec("tritonclient") is None:
        raise MissingDependency(
            f"there is no bundle or run {model} here, and to ask a server for the model {model}, the Python package "
            "tritonclient is needed: 'doctor' says what brings it"
        )
    return kind(model, server.url, batch=batch, tls=server.tls())


def graphs_of(model: str) -> "Graphs | None":
    """The graphs of a bundle or run, by its path; None for a served model's name, which has no slashes."""
    from core.bundle import MANIFEST
    from core.run import GENERATOR

    path = Path(model)
    if (path / MANIFEST).is_file():
        from serving.client.local import BundleGraphs

        return BundleGraphs(path)

    checkpoint = path if path.is_file() else path / GENERATOR
    if checkpoint.is_file():
        from export.graphs.torch_graphs import TorchGraphs

        return TorchGraphs(checkpoint)

    if any(each in model for each in "/\\"):
        raise BundleError(f"{model} is neither a bundle, which 'export' makes, nor a run, which 'train' makes")
    return None
