"""What a bundle becomes on a server: a model, and where the family has styles, its two parts as models beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from core.bundle import GOLDEN, GRAPH, MANIFEST, MAPPING, SYNTHESIS, Golden, Manifest, read_bundle
from core.contract import NOISE, Port, input_ports, mapping_ports, output_port, style_port, synthesis_ports
from core.errors import BundleError
from core.files import sha256
from serving.config import BUNDLE, PART, SPEC, WHOLE, ModelConfig, Tensors, part_name
from serving.golden import Reference
from serving.graph import tensors_from, tensors_of

PARTS = {"mapping": MAPPING, "synthesis": SYNTHESIS}
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Piece:
    """One model to publish: its configuration, its graph, and what it is held against."""

    config: ModelConfig
    graph: Path
    golden: Reference


def pieces_of(bundle: Path, name: str) -> list[Piece]:
    """The models that ``bundle`` becomes as ``name``: its parts first, the whole last.

    Raises BundleError for a bundle that is damaged, breaks the graph contract, or whose parts are not those of the
    whole.
    """
    manifest = read_bundle(bundle)
    spec = manifest.spec
    inputs, outputs = _checked(bundle / GRAPH, input_ports(spec), output_port(spec))
    golden = Golden.read(bundle / GOLDEN)
    shapes = {key: values.shape[1:] for key, values in golden.inputs.items()} | {"image": golden.images.shape[1:]}
    if shapes != {tensor.name: tensor.dims for tensor in (*inputs, *outputs)}:
        raise BundleError(f"{bundle / GOLDEN} does not fit the graph beside it: export again")
    parameters = {SPEC: spec.to_json(), BUNDLE: sha256(bundle / MANIFEST)}
    config = ModelConfig(name, inputs, outputs, parameters=parameters)
    whole = Piece(config, bundle / GRAPH, Reference(golden.inputs, "image", golden.images))
    return [*_parts(bundle, manifest, whole), whole]


def _parts(bundle: Path, manifest: Manifest, whole: Piece) -> Iterator[Piece]:
    held = set(PARTS.values()) & set(manifest.files)
    if not held:
        return
    if missing := sorted(set(PARTS.values()) - held):
        raise BundleError(f"{bundle} lacks {missing[0]}, the other half of what it holds: export again")
    spec, styles = manifest.spec, _styles(bundle / MAPPING)
    sides = {
        "mapping": _checked(bundle / MAPPING, mapping_ports(spec), styles),
        "synthesis": _checked(bundle / SYNTHESIS, synthesis_ports(spec, styles), output_port(spec)),
    }
    goldens = _references(bundle, whole.golden)
    for part, (inputs, outputs) in sides.items():
        parameters = whole.config.parameters | {PART: part, WHOLE: whole.config.name}
        config = ModelConfig(part_name(whole.config.name, part), inputs, outputs, parameters=parameters)
        yield Piece(config, bundle / PARTS[part], goldens[part])


def _references(bundle: Path, golden: Reference) -> dict[str, Reference]:
    """What each part is held against.

    A bundle holds no styles that PyTorch made, only images. So both graphs run here, one after the other: where
    they make the images that PyTorch made of the whole, the styles in between are right too. Those become what the
    mapping must give and the synthesis takes; what the synthesis must give stays PyTorch's own images.
    """
    latents = {name: values for name, values in golden.inputs.items() if name != NOISE}
    w = _run(bundle / MAPPING, "w", latents)
    styles = {"w": w} | {name: values for name, values in golden.inputs.items() if name == NOISE}
    images = _run(bundle / SYNTHESIS, "image", styles)
    if how := golden.difference(images):
        raise BundleError(f"{bundle / MAPPING} and {SYNTHESIS} do not make the golden images ({how}): export again")
    return {"mapping": Reference(latents, "w", w), "synthesis": Reference(styles, "image", golden.values)}


def _run(graph: Path, output: str, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"])
        (values,) = session.run([output], inputs)
    except Exception as error:  # ONNX Runtime has a kind for each of its status codes
        first_line = (str(error).strip() or repr(error)).splitlines()[0]
        raise BundleError(f"{graph} cannot be run ({first_line}): export again") from None
    return values  # type: ignore[no-any-return]


def _styles(graph: Path) -> Port:
    """What lies between the two parts, as the mapping has it: other than name and type, only its sides."""
    _, outputs = tensors_of(graph)
    if len(outputs) != 1 or len(outputs[0].dims) != 2:
        raise BundleError(f"{graph} does not give a style for each layer: export again")
    return style_port(*outputs[0].dims)


def _checked(graph: Path, takes: tuple[Port, ...], gives: Port) -> tuple[Tensors, Tensors]:
    """The inputs and outputs of ``graph``. Raises BundleError unless they are those."""
    tensors = tensors_of(graph)
    for kind, found, ports in zip(("inputs", "outputs"), tensors, (takes, (gives,)), strict=True):
        expected = tensors_from(ports)
        if set(found) != set(expected):
            raise BundleError(
                f"the {kind} of {graph} are {listed(found)}, its spec wants {listed(expected)}: export again"
            )
    return tensors


def listed(tensors: Tensors) -> str:
    """Names, types and shapes, in one line."""
    return ", ".join(
        f"{each.name} {each.data_type} {list(each.dims)}" for each in sorted(tensors, key=lambda t: t.name)
    )
