"""A ``Graph`` to ONNX: PyTorch's dynamo exporter, quiet, checked and with nothing of this machine left in it."""

import importlib.metadata
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch

from core import latents
from core.bundle import FORMAT_VERSION
from core.contract import BATCH, OPSET, SEEDS_KEY, SPEC_KEY, VERSION_KEY
from core.errors import ExportError, first_line
from export.graphs.modules import Graph
from export.graphs.optimise import optimised
from export.onnx_graph import opset_of

# Any batch but 0 and 1, which torch.export takes for constants.
_TRACED_BATCH = 2


def to_onnx(graph: Graph, plain: bool = False) -> onnx.ModelProto:
    """The ONNX model of ``graph``: dynamic batch, opset ``OPSET``, weights inside, our metadata and no other.

    It is optimised, unless ``plain``: then it is what PyTorch's exporter writes by default, to compare with.
    Raises ExportError as ``traced`` does.
    """
    model = traced(graph, plain)
    return _finished(model if plain else optimised(model), graph)


def traced(graph: Graph, plain: bool = False) -> onnx.ModelProto:
    """The ONNX model that PyTorch's exporter makes of ``graph``, as ``optimised`` wants it or, ``plain``, as it is.

    Raises ExportError if PyTorch cannot convert the network, or converts it to another opset (which it does
    without a word: down-conversion that fails leaves the newer opset in place).
    """
    spec = graph.generator.spec
    inputs = {n: torch.from_numpy(v) for n, v in graph.samples(_TRACED_BATCH).items()}
    batch = torch.export.Dim(BATCH)

    try:
        with _quiet():
            program = torch.onnx.export(
                graph,
                kwargs=inputs,
                dynamo=True,
                dynamic_shapes={name: {0: batch} for name in inputs},
                input_names=[port.name for port in graph.takes],
                output_names=[graph.gives.name],
                opset_version=OPSET,
                verbose=False,
                optimize=plain,  # ours folds as much, but not the 1e-8 under a root, without which 0 becomes NaN
            )
    except Exception as error:  # the exporter raises many kinds, each pages long
        reason = f"{type(error).__name__}: {first_line(error)}" if str(error) else repr(error)
        raise ExportError(f"PyTorch cannot convert the family '{spec.family}' to ONNX ({reason})") from error

    assert program is not None
    model: onnx.ModelProto = program.model_proto
    opset = opset_of(model)
    if opset != OPSET:
        raise ExportError(
            f"PyTorch wrote opset {opset} where {OPSET} was asked: install the versions in constraints.txt"
        )
    return model


def _finished(model: onnx.ModelProto, graph: Graph) -> onnx.ModelProto:
    _strip(model)
    model.producer_name, model.producer_version = "ganfoundry", importlib.metadata.version("ganfoundry")
    facts = {
        SPEC_KEY: graph.generator.spec.to_json(),
        SEEDS_KEY: latents.ALGORITHM,
        VERSION_KEY: str(FORMAT_VERSION),
    }
    onnx.helper.set_model_props(model, facts)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter adds for debugging: stack traces, source paths, Python class names."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns about torchvision, deprecated trees and names it will not use."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
