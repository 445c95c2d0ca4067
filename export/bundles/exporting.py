"""A run in, a verified bundle out, or nothing at all."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from core.bundle import MAPPING, SYNTHESIS, Manifest
from core.checkpoint import load_generator, read_spec
from core.contract import OPSET, sample_inputs
from core.errors import BundleError, CheckpointError, ExportError
from core.files import new_directory
from core.networks.base import Generator, Maker
from core.networks.style_layers import settle
from core.onnx.session import Chain, open_session
from core.places import shown
from core.run import A_TO_B, B_TO_A, GENERATOR, LEVELS, back_of
from core.spec import IGNORES_TRUNCATION
from core.trials import examples_in
from export.bundles.contents import Progress, check_destination, golden_images, sample_sheet, serialised
from export.bundles.options import FP32_ONLY, ExportOptions
from export.bundles.provenance import Origin
from export.bundles.verify import check_graph
from export.bundles.writing import BundleContents
from export.checks.reference import TRIED_TRUNCATIONS, check_against_reference, truncation_note
from export.checks.rules import Contract
from export.checks.verification import Agreement, Verification
from export.graphs.convert import to_onnx
from export.graphs.modules import ExportGraph, Graph, WholeGraph, part_graphs, whole_graph

DIRECTIONS = {A_TO_B: GENERATOR, B_TO_A: back_of(Path(GENERATOR)).name}  # of a run that learns two, a file for each


def export_run(
    source: Path,
    destination: Path,
    *,
    name: str | None = None,
    level: str | None = None,
    direction: str | None = None,
    noise_input: bool = False,
    options: ExportOptions = FP32_ONLY,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Export the averaged generator of ``source``, a run or its ``generator.safetensors``, to ``destination``.

    The bundle appears whole and verified, or not at all.

    - ``name`` is for the model card; the destination's unless given.
    - ``level`` takes a level that the run finished on its way instead, such as 16x16.
    - ``direction`` is one of ``DIRECTIONS``, of a run that learned two; a2b unless given.
    - ``noise_input`` makes the noise of a family that has any an input of the graph; else it is fixed.
    - ``options`` say what the bundle holds besides. A precision that fails its gate is left out, and its figures are in
      the manifest's verification.
    - ``progress`` hears what is being done, a few words at a time.

    Raises CheckpointError if the source is not a generator, and ExportError if the destination exists (unless
    ``overwrite``), the run has no such level, direction or noise, or a check fails, with its figure.
    """
    tell = progress or (lambda _: None)
    check = partial(check_destination, destination, overwrite)
    check()
    options.check()

    # The generator
    checkpoint = source / GENERATOR if source.is_dir() else source
    tell("loading the generator")
    if direction is not None:
        checkpoint = _directed(checkpoint, direction)
    generator = load_generator(checkpoint)
    if level is not None:
        checkpoint = _level(checkpoint, generator, level)
        generator = load_generator(checkpoint)
    _check_exportable(generator)
    settle(generator)

    # What it promises of noise and truncation
    generator.spec = replace(generator.spec, noise=_noise(generator) if noise_input else 0)
    note = _truncation(generator)
    if note:
        generator.spec = replace(generator.spec, options=generator.spec.options | {IGNORES_TRUNCATION: True})

    # The bundle
    try:
        with new_directory(destination, overwrite, check) as bundle:
            origin = Origin.of(checkpoint, generator.spec)
            contents = _contents(bundle, generator, origin, (note,) if note else (), tell)
            return contents.write(bundle, name or shown(destination.absolute().name), options, tell)
    except BundleError as error:  # what verification calls the bundle's fault is, here, the export's
        raise ExportError(f"{error}; nothing was exported") from error
    except OSError as error:
        raise ExportError(f"cannot write {destination} ({error.strerror or error}): nothing was exported") from error


def _truncation(generator: Maker) -> str | None:
    """What truncation does not do for this generator; None where it does, or where there is none."""
    if not isinstance(generator, Generator):
        return None
    graph = ExportGraph(generator)
    tried = [sample_inputs(generator.spec, range(4), at) for at in TRIED_TRUNCATIONS]
    return truncation_note([graph.values(inputs) for inputs in tried])


def _contents(bundle: Path, generator: Maker, origin: Origin, notes: tuple[str, ...], tell: Progress) -> BundleContents:
    """What goes into the folder ``bundle``; the two parts of a generator that has styles are written there already."""
    spec, graph, examples = generator.spec, whole_graph(generator), generator.examples
    data = _converted(graph, "the generator", origin, tell)
    tell("comparing with PyTorch")
    agreement = check_against_reference(spec, open_session(data), graph.images, examples=examples)
    verification = Verification(agreement, notes=notes)

    parts = part_graphs(generator)
    if parts:
        verification = replace(verification, in_two_parts=_write_parts(bundle, graph, parts, origin, tell))

    tell("making golden images and the sheet")
    golden = golden_images(spec, graph.images, examples)
    sheet = sample_sheet(spec, graph.images, examples_in(golden.inputs))
    return BundleContents(data, spec, OPSET, origin, golden, sheet, verification, parts[0].gives if parts else None)


def _converted(graph: Graph, what: str, origin: Origin, tell: Progress) -> bytes:
    """The ONNX file of ``graph``, once it is known to keep the rules."""
    tell(f"converting {what} to ONNX")
    model = to_onnx(graph)
    origin.stamp(model)
    tell("checking the graph")
    data = serialised(model)
    check_graph(model, Contract(graph.generator.spec, OPSET, graph.takes, graph.gives, origin.metadata()))
    return data


def _write_parts(
    bundle: Path, whole: WholeGraph, parts: tuple[Graph, Graph], origin: Origin, tell: Progress
) -> Agreement:
    """Write the mapping and the synthesis graph; how the two, one after the other, agree with PyTorch's whole."""
    mapping, synthesis = (
        _converted(part, what, origin, tell) for part, what in zip(parts, ("the mapping", "the synthesis"), strict=True)
    )
    tell("comparing both with PyTorch")
    chain = Chain(open_session(mapping), open_session(synthesis))
    agreement = check_against_reference(whole.generator.spec, chain, whole.images)

    (bundle / MAPPING).write_bytes(mapping)
    (bundle / SYNTHESIS).write_bytes(synthesis)
    return agreement


def _check_exportable(generator: Maker) -> None:
    for name, value in generator.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ExportError(f"the weight {name} is infinite or not a number: export an earlier checkpoint")


def _directed(checkpoint: Path, wanted: str) -> Path:
    """The file of the direction ``wanted`` of the run that ``checkpoint`` lies in."""
    if wanted not in DIRECTIONS:
        raise ExportError(f"there is no direction '{wanted}': choose from {', '.join(DIRECTIONS)}")
    if checkpoint.name != GENERATOR:
        raise ExportError(f"{checkpoint} is one generator, of one direction: name its run, or omit --direction")
    if read_spec(checkpoint).source is None:
        raise ExportError(f"{checkpoint.parent} makes images of latents, in no direction: omit --direction")
    if not (path := checkpoint.with_name(DIRECTIONS[wanted])).is_file():
        raise ExportError(f"{checkpoint.parent} learned one direction, a2b, from sources to images: omit --direction")
    return path


def _level(checkpoint: Path, generator: Maker, wanted: str) -> Path:
    """The file of the level ``wanted``, 16x16 or 16, of the run that ``checkpoint`` lies in."""
    size = generator.spec.size
    if generator.grown_to is None:
        raise ExportError(f"the family '{generator.spec.family}' does not grow level by level: omit --level")
    finished = {_level_name(path): path for path in sorted((checkpoint.parent / LEVELS).glob("*.safetensors"))}
    if generator.grown_to == (size.height, size.width):
        finished[str(size)] = checkpoint

    name = wanted.lower() if "x" in wanted.lower() else f"{wanted}x{wanted}"
    if name in finished:
        return finished[name]

    # What there is instead
    there = ", ".join(sorted(finished, key=lambda name: (len(name), name))) or "none yet"
    if name == f"{size.base_width}x{size.base_height}":
        raise ExportError(
            f"level {name} is the base that levels double, and no generator of its own: choose from {there}"
        )
    raise ExportError(f"{checkpoint.parent} has not finished a level {name}: choose from {there}")


def _level_name(path: Path) -> str:
    """The size of the generator in ``path``, WIDTHxHEIGHT. Names of older files were the other way round."""
    try:
        return str(read_spec(path).size)
    except CheckpointError:
        return path.stem


def _noise(generator: Maker) -> int:
    if not generator.noise_dim:
        raise ExportError(f"the family '{generator.spec.family}' has no noise to make an input of: omit --noise input")
    return generator.noise_dim
