"""One version of a generator: its graphs and what each is held against, as a bundle or a repository has them.

``Release.of`` looks at everything once. What comes later, on the way of a bundle to its version, takes it from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from core.bundle import GOLDEN, GRAPH, MANIFEST, SYNTHESIS, Manifest, read_bundle, read_manifest
from core.contract import NOISE, Port, input_ports, mapping_ports, output_port, style_port, synthesis_ports
from core.errors import BundleError
from core.files import sha256
from core.golden import Golden
from core.spec import GeneratorSpec
from serving.protocol.graph import tensors_from, tensors_of
from serving.protocol.model_config import Tensors, listed, part_name
from serving.repository.golden import Reference
from serving.repository.layout import MODEL, PARTS


@dataclass(frozen=True)
class Graph:
    """An ONNX file, what it takes and gives, and what it is held against."""

    path: Path
    inputs: Tensors
    outputs: Tensors
    golden: Reference


@dataclass(frozen=True)
class Release:
    """One version of a generator. ``parts`` are the mapping and the synthesis of one that has styles, else none.

    ``identity`` is the sha256 of the bundle's ``manifest``, and so of everything in the bundle.
    """

    spec: GeneratorSpec
    manifest: Path
    identity: str
    whole: Graph
    parts: Mapping[str, Graph]

    @classmethod
    def of(cls, bundle: Path) -> Self:
        """The generator in ``bundle``.

        Raises BundleError for a bundle that is damaged, breaks the graph contract, or whose parts are not those of the
        whole.
        """
        manifest = read_bundle(bundle)
        whole = _whole(manifest.spec, bundle / GRAPH, bundle / GOLDEN)

        # A generator with styles has both halves of it, or none.
        held = set(PARTS.values()) & set(manifest.files)
        if held and (missing := sorted(set(PARTS.values()) - held)):
            raise BundleError(f"{bundle} lacks {missing[0]}, the other half of what it holds: export again")
        parts = _parts_of_bundle(bundle, manifest, whole.golden) if held else {}

        return cls(manifest.spec, bundle / MANIFEST, sha256(bundle / MANIFEST), whole, parts)

    @classmethod
    def of_version(cls, model: Path, version: int) -> Self:
        """The generator that is that version of the model in the directory ``model`` of a repository.

        Raises BundleError for files that are not those of the bundle it came from.
        """
        place = model / str(version)
        manifest = read_manifest(place)
        _check_graph(place / MODEL, manifest.files.get(GRAPH))
        whole = _whole(manifest.spec, place / MODEL, place / GOLDEN)

        parts = _parts_of_version(model, version, manifest)
        return cls(manifest.spec, place / MANIFEST, sha256(place / MANIFEST), whole, parts)


def _whole(spec: GeneratorSpec, graph: Path, golden_images: Path) -> Graph:
    inputs, outputs = _checked(graph, input_ports(spec), output_port(spec))
    golden = Golden.read(golden_images)
    shapes = {key: values.shape[1:] for key, values in golden.inputs.items()} | {"image": golden.images.shape[1:]}
    if shapes != {tensor.name: tensor.dims for tensor in (*inputs, *outputs)}:
        raise BundleError(f"{golden_images} does not fit the graph beside it: export again")
    return Graph(graph, inputs, outputs, Reference(golden.inputs, "image", golden.images))


def _parts_of_bundle(bundle: Path, manifest: Manifest, golden: Reference) -> dict[str, Graph]:
    paths = {part: bundle / file for part, file in PARTS.items()}
    tensors = part_tensors(manifest.spec, paths)
    goldens = _references(paths, golden)
    return {part: Graph(paths[part], *tensors[part], goldens[part]) for part in PARTS}


def _parts_of_version(model: Path, version: int, manifest: Manifest) -> dict[str, Graph]:
    """The parts of a version that was published, which has what they are held against beside them."""
    held = {part: file for part, file in PARTS.items() if file in manifest.files}
    paths = {part: model.parent / part_name(model.name, part) / str(version) / MODEL for part in held}
    for part, file in held.items():
        _check_graph(paths[part], manifest.files[file])

    tensors = part_tensors(manifest.spec, paths) if held else {}
    return {
        part: Graph(path, *tensors[part], Reference.read(path.with_name(GOLDEN), tensors[part][1][0].name))
        for part, path in paths.items()
    }


def part_tensors(spec: GeneratorSpec, paths: Mapping[str, Path]) -> dict[str, tuple[Tensors, Tensors]]:
    """What the two parts take and give. Raises BundleError unless that is what the contract says."""
    styles = _styles(paths["mapping"])
    return {
        "mapping": _checked(paths["mapping"], mapping_ports(spec), styles),
        "synthesis": _checked(paths["synthesis"], synthesis_ports(spec, styles), output_port(spec)),
    }


def _references(paths: Mapping[str, Path], golden: Reference) -> dict[str, Reference]:
    """What each part is held against.

    A bundle holds no styles that PyTorch made, only images. So both graphs run here, one after the other: where
    they make the images that PyTorch made of the whole, the styles in between are right too. Those become what the
    mapping must give and the synthesis takes; what the synthesis must give stays PyTorch's own images.
    """
    latents = {name: values for name, values in golden.inputs.items() if name != NOISE}
    w = _run(paths["mapping"], "w", latents)

    styles = {"w": w} | {name: values for name, values in golden.inputs.items() if name == NOISE}
    images = _run(paths["synthesis"], "image", styles)
    if how := golden.difference(images):
        raise BundleError(f"{paths['mapping']} and {SYNTHESIS} do not make the golden images ({how}): export again")
    return {"mapping": Reference(latents, "w", w), "synthesis": Reference(styles, "image", golden.values)}


def _run(graph: Path, output: str, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    from core.onnx.session import open_session, run  # here, for only parts need ONNX Runtime, which is slow to load

    try:
        return run(open_session(graph.read_bytes()), inputs, output)
    except BundleError as error:
        raise BundleError(f"{graph}: {error}: export again") from None


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


def _check_graph(path: Path, digest: str | None) -> None:
    if not path.is_file() or sha256(path) != digest:
        raise BundleError(f"{path} is missing or was changed: publish the bundle again")
