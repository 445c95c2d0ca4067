"""What every graph that ships must be, as a table of small checks on the ONNX model. Torch-free.

A check returns nothing if the model keeps the rule, else what is wrong, for one line of an error. The model may come
from anywhere, so checks take nothing for granted (protobuf hands over text that is not UTF-8 as bytes); those that
need a sane model come later in the table.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import onnx
from onnx import ModelProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto

from core.contract import SPEC_KEY, Port, batch_of, input_ports, output_port
from core.errors import SpecError, first_line
from core.spec import TOLD_OPTIONS, GeneratorSpec
from export.onnx_graph import STANDARD

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")

# How many values a graph may make on its way to one image: some ten times what the widest of our networks do at their
# size, and 1 GiB of float32 for small ones.
VALUES_PER_PIXEL = 1 << 16
ALWAYS_ALLOWED = 1 << 28

# An absolute path of two parts or more, on Unix or Windows, or a Python source file. Web addresses pass.
_PATH = re.compile(r"""(?:^|[\s"'=(:,])/[\w.-]+/[\w.-]|\b[A-Za-z]:\\|\bFile "|[\w-]\.py\b""")


# Of a spec's provenance, what people wrote.
_SAID = ("data_name", "data_licence", "data_attribution", "source_licence", "source_attribution")


@dataclass(frozen=True)
class Contract:
    """What a model is checked against. What it takes and gives is the spec's, unless it is a part of a generator.

    ``facts`` is what its metadata must say of where it comes from.
    """

    spec: GeneratorSpec
    opset: int
    takes: tuple[Port, ...] | None = None
    gives: Port | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The inputs, in order."""
        return input_ports(self.spec) if self.takes is None else self.takes

    @property
    def output(self) -> Port:
        """The one output."""
        return self.gives or output_port(self.spec)


Rule = Callable[[ModelProto, Contract], str | None]


def broken_rules(model: ModelProto, contract: Contract) -> Iterator[str]:
    """What is wrong with ``model``, rule by rule, each in one line; nothing if it keeps them all."""
    for name, rule in RULES.items():
        if complaint := rule(model, contract):
            yield f"{name}: {complaint}"


def _weights_inside(model: ModelProto, _: Contract) -> str | None:
    for tensor in tensors_of(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "?")
            return f"{tensor.name!r} lies in another file, {where!r}"
    return None


def _standard_domain(model: ModelProto, _: Contract) -> str | None:
    for domain in [entry.domain for entry in model.opset_import] + [node.domain for node in model.graph.node]:
        if domain not in STANDARD:
            return f"it needs operators of the domain {domain!r}"
    return f"it defines the function {model.functions[0].name!r}" if model.functions else None


def _opset(model: ModelProto, contract: Contract) -> str | None:
    found = [entry.version for entry in model.opset_import]
    return None if found == [contract.opset] else f"{found} instead of {contract.opset}"


def _plain_nodes(model: ModelProto, _: Contract) -> str | None:
    for node in model.graph.node:
        if node.op_type in RANDOM:
            return f"{node.op_type} node {node.name!r} draws its own random numbers"
        subgraphs = any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute)
        if node.op_type in CONTROL_FLOW or subgraphs:
            return f"{node.op_type} node {node.name!r} is control flow"
    return None


def _no_scalar_input(model: ModelProto, _: Contract) -> str | None:
    for value in model.graph.input:
        if not value.type.tensor_type.shape.dim:
            return f"the input {value.name!r} has rank 0"
    return None


def _inputs(model: ModelProto, contract: Contract) -> str | None:
    return _ports_differ(model.graph.input, contract.inputs, batch_of(contract.spec))


def _output(model: ModelProto, contract: Contract) -> str | None:
    return _ports_differ(model.graph.output, (contract.output,), batch_of(contract.spec))


def _pixels_last(model: ModelProto, contract: Contract) -> str | None:
    """TensorRT builds Transpose then Cast to uint8, and refuses Cast then Transpose."""
    if contract.output != output_port(contract.spec):
        return None
    makers = {name: node for node in model.graph.node for name in node.output}
    cast = makers.get(output_port(contract.spec).name, NodeProto())
    transpose = makers.get(cast.input[0] if cast.input else "", NodeProto())
    ending = f"{transpose.op_type or '?'} then {cast.op_type or '?'}"
    return None if ending == "Transpose then Cast" else f"it ends with {ending}"


def _pixels_first(model: ModelProto, _: Contract) -> str | None:
    """TensorRT builds Cast from uint8 then Transpose, and refuses Transpose then Cast: it casts such inputs only."""
    given = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8}
    for node in model.graph.node:
        if (taken := sorted(given.intersection(node.input))) and _cast_to(node) not in FLOATS:
            return f"{taken[0]!r} goes into {node.op_type} node {node.name!r}, not into a Cast to floats"
    return None


def _cast_to(node: NodeProto) -> int | None:
    return next((a.i for a in node.attribute if a.name == "to"), None) if node.op_type == "Cast" else None


def _evaluation_mode(model: ModelProto, _: Contract) -> str | None:
    """A picture becomes the same alone and in any batch: nothing drops by chance, no norm looks at its batch."""
    for node in model.graph.node:
        if node.op_type == "Dropout":
            return f"it holds the Dropout node {node.name!r}"
        if node.op_type == "BatchNormalization" and in_training(node):
            return f"BatchNormalization node {node.name!r} is in training mode"
    return None


def in_training(norm: NodeProto) -> bool:
    """Whether a BatchNormalization takes mean and variance of its batch, or gives them away, as only training does."""
    told = any(a.name == "training_mode" and a.i for a in norm.attribute)
    return told or len(list(filter(None, norm.output))) > 1


def _nothing_of_the_machine(model: ModelProto, _: Contract) -> str | None:
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        if part.doc_string or part.metadata_props:
            return f"{getattr(part, 'name', '')!r} carries notes of the exporter"
    for key, value in [("doc_string", model.doc_string), *((p.key, p.value) for p in model.metadata_props)]:
        text = _not_of_the_user(str(value)) if key == SPEC_KEY else str(value)
        if found := _PATH.search(text):
            return f"{key} holds a path, {text[found.start() :][:60].strip()!r}"
    return None


def _not_of_the_user(spec: str) -> str:
    """A spec's JSON without what people wrote: a licence may look like a path, a class like a source file."""
    try:
        said = GeneratorSpec.from_json(spec)
    except SpecError:
        return spec  # none, as the next rule says
    options = {key: value for key, value in said.options.items() if key not in TOLD_OPTIONS}
    facts = said.with_provenance(**dict.fromkeys(_SAID, ""))
    return replace(facts, classes=(), options=options).to_json()


def _spec_inside(model: ModelProto, contract: Contract) -> str | None:
    inside = {entry.key: entry.value for entry in model.metadata_props}.get(SPEC_KEY)
    if inside is None:
        return f"its metadata lacks {SPEC_KEY}"
    try:
        same = GeneratorSpec.from_json(inside) == contract.spec
    except SpecError as error:
        return str(error)
    return None if same else "the one in the graph is not the one in the manifest"


def _provenance(model: ModelProto, contract: Contract) -> str | None:
    inside = {entry.key: entry.value for entry in model.metadata_props}
    for key, value in contract.facts.items():
        if inside.get(key) != value:
            return f"{key} in the graph is not what the manifest says"
    return None


def _onnx_checker(model: ModelProto, _: Contract) -> str | None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # ValidationError, InferenceError, and ValueError for what is too large
        return first_line(error)
    return None


def _bounded(model: ModelProto, contract: Contract) -> str | None:
    """A few bytes can ask for more than memory: a constant of a given shape, a sparse weight.

    Sizes that only running the graph would tell count as nothing. A graph is a program: one that was made to harm
    belongs into a container, whoever checked it.
    """
    most = max(ALWAYS_ALLOWED, VALUES_PER_PIXEL * contract.spec.height * contract.spec.width)
    too_many = values_for_one_image(model) > most
    return f"one image takes more than {most:,} values on the way" if too_many else None


def values_for_one_image(model: ModelProto) -> int:
    """How many values ``model`` makes on its way to one image, as far as its shapes can be known beforehand."""
    try:
        found = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # what is wrong with it, the checker says
        return 0
    shapes = [[max(d.dim_value, 1) for d in value.type.tensor_type.shape.dim] for value in found.value_info]
    shapes += [[max(side, 1) for side in sparse.dims] for sparse in _sparse_tensors(model)]
    return sum(map(math.prod, shapes))


RULES: dict[str, Rule] = {
    "weights inside": _weights_inside,
    "standard operators only": _standard_domain,
    "opset": _opset,
    "plain nodes": _plain_nodes,
    "no scalar input": _no_scalar_input,
    "inputs": _inputs,
    "output": _output,
    "pixels first": _pixels_first,
    "pixels last": _pixels_last,
    "evaluation mode": _evaluation_mode,
    "nothing of the machine": _nothing_of_the_machine,
    "spec": _spec_inside,
    "provenance": _provenance,
    "onnx checker": _onnx_checker,
    "bounded": _bounded,
}


def tensors_of(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that ``model`` holds, those inside control flow left out."""
    yield from model.graph.initializer
    for sparse in _sparse_tensors(model):
        yield from (sparse.values, sparse.indices)
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _sparse_tensors(model: ModelProto) -> Iterator[SparseTensorProto]:
    yield from model.graph.sparse_initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from (attribute.sparse_tensor, *attribute.sparse_tensors)


def _ports_differ(values: Iterable[ValueInfoProto], ports: tuple[Port, ...], batch: str) -> str | None:
    found, wanted = [_described(value) for value in values], [_written(port, batch) for port in ports]
    return None if found == wanted else f"{', '.join(found) or 'none'} instead of {', '.join(wanted)}"


def _described(value: ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    dimensions = [str(d.dim_param or d.dim_value) for d in tensor.shape.dim]
    return f"{value.name} {_dtype_name(tensor.elem_type)} [{', '.join(dimensions)}]"


def _written(port: Port, batch: str) -> str:
    return f"{port.name} {port.dtype} [{', '.join([batch, *map(str, port.shape)])}]"


def _dtype_name(code: int) -> str:
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(code))
    except (KeyError, ValueError, TypeError):
        return f"type {code}"
