"""One graph of a mapping and a synthesis network that came as two files; its truncation moves towards the mean w."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.inliner
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from core.contract import OPSET
from core.errors import ExportError
from core.latents import latents
from core.onnx.session import open_session
from export.bundles.contents import serialised
from export.foreign.hints import ImportHints
from export.foreign.interface import FLOATS, find_interface
from export.foreign.opsets import converted_to
from export.foreign.original import Original
from export.foreign.source import Source
from export.onnx_graph import inputs_of, opset_of

MEAN_OF = 4096  # styles; StyleGAN takes 10,000 where it is not kept while training
TRUNCATION = "joined.truncation"
_MAPPING, _SYNTHESIS = "mapping.", "synthesis."


def joined(mapping: Source, synthesis: Source, hints: ImportHints) -> tuple[Source, ImportHints]:
    """One source of the two, and the hints in the names of that.

    ``hints.latent``, ``label`` and the like are inputs of the mapping, ``hints.image`` is an output of the synthesis.
    Unless the mapping has a truncation of its own (``hints.truncation``), the distance of its styles to their mean is
    scaled, w' = w̄ + ψ(w - w̄) (Karras et al. 2019, section B), the mean being that of ``MEAN_OF`` latents of the first
    seeds.

    Raises ExportError where the one's output is nothing that the other takes.
    """
    first, second = _alike(mapping.model, synthesis.model)
    styles, taken = _between(first, second)
    mean = None if hints.truncation else _mean(first, styles.name, hints)
    parts = [onnx.compose.add_prefix(model, prefix) for model, prefix in ((first, _MAPPING), (second, _SYNTHESIS))]
    graph = _graph(parts, styles, taken, mean)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset_of(first))], ir_version=10)
    weights = {**mapping.weights, **synthesis.weights, "mapping": mapping.sha256, "synthesis": synthesis.sha256}
    digest = hashlib.sha256(f"{mapping.sha256}{synthesis.sha256}".encode()).hexdigest()
    image = None if hints.image is None else _SYNTHESIS + hints.image
    return Source(model, digest, weights), replace(hints, image=image, truncation=hints.truncation or TRUNCATION)


def _alike(*models: ModelProto) -> list[ModelProto]:
    """Both without functions and in one opset, that of the newer."""
    plain = [onnx.inliner.inline_local_functions(model) if model.functions else model for model in models]
    wanted = max(OPSET, *map(opset_of, plain))
    return [model if opset_of(model) == wanted else converted_to(model, wanted) for model in plain]


def _sides(value: ValueInfoProto) -> list[int]:
    """Its sides, 0 for what it does not say."""
    return [side.dim_value for side in value.type.tensor_type.shape.dim]


def _between(mapping: ModelProto, synthesis: ModelProto) -> tuple[ValueInfoProto, ValueInfoProto]:
    """The mapping's output that is an input of the synthesis, and that input: of one name, else the one that fits."""
    pairs = [
        (given, taken) for given in mapping.graph.output for taken in inputs_of(synthesis.graph) if _fits(given, taken)
    ]
    named = [pair for pair in pairs if pair[0].name == pair[1].name]
    found = named or pairs

    if len(found) != 1:
        gives = ", ".join(f"{value.name} {_sides(value)}" for value in mapping.graph.output)
        takes = ", ".join(f"{value.name} {_sides(value)}" for value in inputs_of(synthesis.graph))
        what = "no" if not found else "more than one"
        raise ExportError(
            f"{what} output of the mapping ({gives[:200]}) is an input of the synthesis ({takes[:200]}): give the "
            "mapping first, and export both with the same width of w"
        )
    return found[0]


def _fits(given: ValueInfoProto, taken: ValueInfoProto) -> bool:
    ends, kinds = (_sides(given), _sides(taken)), {v.type.tensor_type.elem_type for v in (given, taken)}
    if len(kinds) > 1 or not kinds <= set(FLOATS) or any(len(sides) not in (2, 3) for sides in ends):
        return False
    if ends[0][-1] and ends[1][-1] and ends[0][-1] != ends[1][-1]:
        return False
    layers = [sides[1] for sides in ends if len(sides) == 3]
    return len({count for count in layers if count}) <= 1


def _mean(mapping: ModelProto, styles: str, hints: ImportHints) -> NDArray[Any]:
    """The mean style ``(1, …)`` of the first seeds, of all classes in turn."""
    names = {value.name for value in mapping.graph.input}
    own = {name: value for name, value in hints.fixed.items() if name in names}
    interface = find_interface(mapping, replace(hints, image=styles, fixed=own))

    inputs: dict[str, NDArray[Any]] = {
        "z": latents(range(MEAN_OF), interface.latent_dim),
        "truncation": np.ones((MEAN_OF, 1), np.float32),
    }
    if interface.label:
        inputs["label"] = np.arange(MEAN_OF, dtype=np.int64)[:, None] % len(interface.label.classes)
    if interface.codes:
        inputs["codes"] = np.zeros((MEAN_OF, interface.codes.length), np.float32)

    values = Original(open_session(serialised(mapping)), interface).values(inputs)
    if not np.isfinite(values).all():
        raise ExportError("the mapping makes styles that are infinite or not numbers")
    return np.asarray(values.mean(axis=0, keepdims=True, dtype=np.float64).astype(values.dtype))


def _graph(
    parts: list[ModelProto], styles: ValueInfoProto, taken: ValueInfoProto, mean: NDArray[Any] | None
) -> onnx.GraphProto:
    """The two behind each other. Inputs keep their names; one that both have is shared."""
    mapping, synthesis = (part.graph for part in parts)
    batch = _batch([*inputs_of(mapping), *inputs_of(synthesis)])
    ports: dict[str, ValueInfoProto] = {}
    nodes: list[NodeProto] = []
    for prefix, part in zip((_MAPPING, _SYNTHESIS), parts, strict=True):
        for value in inputs_of(part.graph):
            name = value.name.removeprefix(prefix)
            if (prefix, name) != (_SYNTHESIS, taken.name):
                ports.setdefault(name, _named(name, value, batch))
                nodes.append(helper.make_node("Identity", [name], [value.name]))

    between, weights = _style_nodes(_MAPPING + styles.name, _SYNTHESIS + taken.name, styles, taken, mean)
    weights += [*mapping.initializer, *synthesis.initializer]
    given = list(ports.values())
    if mean is not None:
        given.append(helper.make_tensor_value_info(TRUNCATION, TensorProto.FLOAT, [batch or None, 1]))
    return helper.make_graph(
        [*nodes, *mapping.node, *between, *synthesis.node], "joined", given, list(synthesis.output), weights
    )


def _batch(inputs: list[ValueInfoProto]) -> int:
    """The batch that either is made for; 0 where both take any."""
    fixed = {sides[0] for value in inputs if len(sides := _sides(value)) > 1 and sides[0]}
    if len(fixed) > 1:
        raise ExportError(
            f"mapping and synthesis are made for batches of {' and '.join(map(str, sorted(fixed)))}: export both alike"
        )
    return next(iter(fixed), 0)


def _named(name: str, value: ValueInfoProto, batch: int) -> ValueInfoProto:
    """An input of the two, made for the batch of both."""
    port = ValueInfoProto()
    port.CopyFrom(value)
    port.name = name
    sides = port.type.tensor_type.shape.dim
    if batch and len(sides) > 1 and not sides[0].dim_value:
        sides[0].dim_value = batch
    return port


def _style_nodes(
    given: str, taken_as: str, styles: ValueInfoProto, taken: ValueInfoProto, mean: NDArray[Any] | None
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Truncation, and a style for each layer where the synthesis wants them and the mapping gives one for all."""
    ranks = len(_sides(styles)), len(_sides(taken))
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    last = given

    # Truncation: the distance to the mean, scaled
    if mean is not None:
        weights.append(numpy_helper.from_array(mean, "joined.mean_style"))
        weights.append(numpy_helper.from_array(np.array([-1, *[1] * (ranks[0] - 1)], np.int64), "joined.beside_styles"))
        nodes += [
            helper.make_node("Reshape", [TRUNCATION, "joined.beside_styles"], ["joined.truncation_beside"]),
            helper.make_node(
                "Cast", ["joined.truncation_beside"], ["joined.truncation_cast"], to=styles.type.tensor_type.elem_type
            ),
            helper.make_node("Sub", [last, "joined.mean_style"], ["joined.distance"]),
            helper.make_node("Mul", ["joined.distance", "joined.truncation_cast"], ["joined.nearer"]),
            helper.make_node("Add", ["joined.nearer", "joined.mean_style"], ["joined.truncated"]),
        ]
        last = "joined.truncated"

    # One style for all layers becomes one for each, or the other way round
    if ranks == (2, 3):
        if not (layers := _sides(taken)[1]):
            raise ExportError(f"the synthesis does not say how many styles {taken.name!r} takes: export it with that")
        weights.append(numpy_helper.from_array(np.array([1], np.int64), "joined.layer_axis"))
        weights.append(numpy_helper.from_array(np.array([1, layers, 1], np.int64), "joined.layers"))
        nodes.append(helper.make_node("Unsqueeze", [last, "joined.layer_axis"], ["joined.one_layer"]))
        nodes.append(helper.make_node("Expand", ["joined.one_layer", "joined.layers"], ["joined.each_layer"]))
        last = "joined.each_layer"
    if ranks == (3, 2):
        weights.append(numpy_helper.from_array(np.array(0, np.int64), "joined.first_layer"))
        nodes.append(helper.make_node("Gather", [last, "joined.first_layer"], ["joined.one_style"], axis=1))
        last = "joined.one_style"
    return [*nodes, helper.make_node("Identity", [last], [taken_as])], weights
