"""A foreign ONNX generator in, a verified bundle out, or nothing at all."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, load_model_from_string

from core.bundle import Manifest
from core.contract import OPSET, SOURCE
from core.errors import BundleError, ExportError, SpecError
from core.examples import pictures
from core.files import new_directory
from core.golden import Golden
from core.latents import latents
from core.onnx.session import Session, open_session, run
from core.places import shown
from core.spec import FOREIGN, IGNORES_TRUNCATION, GeneratorSpec, Provenance
from core.trials import examples_in
from export.bundles.contents import Progress, check_destination, golden_images, sample_sheet, serialised
from export.bundles.options import FP32_ONLY, ExportOptions
from export.bundles.provenance import Origin, tool_versions
from export.bundles.writing import BundleContents
from export.checks.reference import TRIED_TRUNCATIONS, UNKNOWN, check_against_reference, truncation_note
from export.checks.verification import ORIGINAL, OriginalFile, Verification
from export.foreign.batches import likely_batches
from export.foreign.hints import ImportHints
from export.foreign.interface import GraphInterface, find_interface
from export.foreign.joined import TRUNCATION, joined
from export.foreign.original import Original
from export.foreign.output import check_range, image_sides
from export.foreign.pictures import PictureInput
from export.foreign.prepare import check_nodes, reduced_to
from export.foreign.randoms import freeze_randoms
from export.foreign.shipping import ForeignGenerator, choose_graph
from export.foreign.source import Source, read_source
from export.onnx_graph import opset_of

CHANGED = ("AveragePool", "BatchNormalization", "Clip", "Dropout", "Pad", "Resize", "Softmax", "Upsample")
_UNUSED_TOOLS = ("torch", "onnxscript")

logger = logging.getLogger(__name__)


def export_foreign(
    path: Path,
    destination: Path,
    hints: ImportHints,
    *,
    synthesis: Path | None = None,
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
    options: ExportOptions = FP32_ONLY,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Make a bundle at ``destination`` of the ONNX generator in the file ``path``, with ``hints`` on what it is.

    The graph becomes a part of one that keeps our contract; its images are held against those that the file itself
    makes in ONNX Runtime. With ``synthesis``, ``path`` is the mapping before it. ``name`` is for the model card, the
    destination's unless given; ``licence`` and ``attribution`` are those of what it was trained on; ``options`` say
    what the bundle holds besides, as ``export_run`` has them.

    Raises ExportError for a file that is none or does not fit the hints, for what cannot be kept, such as random
    numbers inside, and for a check that fails, with its figure.
    """
    tell = progress or (lambda _: None)
    check = partial(check_destination, destination, overwrite)
    check()
    options.check()

    try:
        tell("reading the graph")
        source = read_source(path)
        if synthesis is not None:
            source, hints = joined(source, read_source(synthesis), hints)
        foreign = _understood(source, hints, Provenance(data_licence=licence, data_attribution=attribution))
        with new_directory(destination, overwrite, check) as bundle:
            contents = _contents(source, foreign, tell)
            return contents.write(bundle, name or shown(destination.absolute().name), options, tell)
    except (BundleError, SpecError) as error:
        raise ExportError(f"{error}; nothing was exported") from error
    except OSError as error:
        raise ExportError(f"cannot write {destination} ({error.strerror or error}): nothing was exported") from error


def _understood(source: Source, hints: ImportHints, provenance: Provenance) -> ForeignGenerator:
    """What the file is, once it is known to run. Raises ExportError or SpecError for what does not fit the hints, or
    could never ship."""
    interface = find_interface(source.model, hints)
    model, drawn = freeze_randoms(reduced_to(source.model, interface.image))
    check_nodes(model)
    session = open_session(serialised(model if drawn else source.model))
    original, values = _running(session, interface, likely_batches(model))

    # What its images are
    if not np.isfinite(values).all():
        raise ExportError("the graph makes values that are infinite or not numbers")
    layout, sides = image_sides(values.shape, hints)
    height, width, channels = (sides[1], sides[2], sides[0]) if layout == "NCHW" else sides
    doubt = check_range(model, interface.image, values, hints.value_range)

    # What truncation does to it, of one that takes latents
    picture = original.interface.source
    promise = None if picture else _truncation(original)
    if promise:
        original = replace(original, interface=replace(original.interface, truncates=False, truncation=None))

    # What a spec and the notes say of it
    options = {"layout": layout, "opset": source.opset, **_options(hints, picture)}
    spec = GeneratorSpec(
        FOREIGN,
        height,
        width,
        channels,
        interface.latent_dim,
        kind="image" if picture else "noise",
        source=picture.spec if picture else None,
        classes=interface.label.classes if interface.label else (),
        codes=interface.codes.length if interface.codes else 0,
        options=options | ({IGNORES_TRUNCATION: True} if promise else {}),
        value_range=hints.value_range,
        provenance=provenance,
    )
    noise = f"random numbers inside, drawn at {', '.join(drawn)[:200]}, are frozen: the same in all images"
    notes = tuple(note for note in (promise, doubt, drawn and noise) if note)
    dtype = helper.np_dtype_to_tensor_dtype(values.dtype)
    return ForeignGenerator(spec, model, original, layout, dtype, hints.premultiplied, sides, notes)


def _options(hints: ImportHints, picture: PictureInput | None) -> dict[str, Any]:
    """The hints that a spec keeps, and how a translator takes its ``picture``."""
    options: dict[str, Any] = {"premultiplied": hints.premultiplied, "fixed": {**hints.fixed}}
    if picture:
        options |= {"source_layout": picture.layout, "source_range": [*picture.value_range]}
    if hints.latent_kind != "normal":
        options["latent_kind"] = hints.latent_kind
    return options


def _running(session: Session, interface: GraphInterface, batches: list[int]) -> tuple[Original, NDArray[Any]]:
    """The graph, as the first of its ways that runs, and the values it makes: where it says that any batch will do and
    that is not so, at one of ``batches``. Raises ExportError if none does."""
    complaint: ExportError | None = None
    others = [replace(interface, batch=batch) for batch in batches] if interface.batch is None else []
    for way in (*interface.alternatives(), *others):
        try:
            original = Original(session, way)
            return original, original.values(_probe(way))
        except ExportError as error:
            logger.debug("one way to run the graph fails: %s", error)
            complaint = complaint or error
    assert complaint
    raise complaint


def _truncation(original: Original) -> str | None:
    """What truncation does not do for this generator, though every one of ours does; None where it does."""
    probe = _probe(original.interface)
    made = [original.values(probe | {"truncation": np.full((4, 1), at, np.float32)}) for at in TRIED_TRUNCATIONS]
    return truncation_note(made)


def _probe(interface: GraphInterface) -> dict[str, NDArray[Any]]:
    """A few rows of the contract's inputs, the first and the last class among them."""
    if interface.source:
        return {SOURCE: pictures(interface.source.spec, range(4))}
    inputs: dict[str, NDArray[Any]] = {
        "z": latents(range(4), interface.latent_dim),
        "truncation": np.ones((4, 1), np.float32),
    }
    if interface.codes:
        inputs["codes"] = latents(range(4, 8), interface.codes.length)
    last = len(interface.label.classes) - 1 if interface.label else 0
    return inputs | {"label": np.array([[0], [last], [0], [last]], np.int64)}


def _contents(source: Source, foreign: ForeignGenerator, tell: Progress) -> BundleContents:
    """What goes into the bundle."""
    origin = Origin(source.sha256, _tools(), {})
    tell("wrapping the graph")
    foreign, data, session = choose_graph(foreign, origin)
    spec = foreign.spec
    opset = opset_of(load_model_from_string(data))

    tell("comparing with the file as it came")
    advice = _advice(source, opset, foreign.model)
    agreement = check_against_reference(spec, session, foreign.images, ORIGINAL, advice)

    tell("making golden images and the sheet")
    golden = golden_images(spec, foreign.images)
    sheet = sample_sheet(spec, partial(run, session), examples_in(golden.inputs))
    original, not_checked = _of_original(source, foreign, golden)
    verification = Verification(agreement, original, not_checked, foreign.notes)
    return BundleContents(data, spec, opset, origin, golden, sheet, verification)


def _of_source(picture: PictureInput) -> str:
    low, high = picture.value_range
    return (
        f"what it takes: that {low:g} to {high:g} are levels 0 to 255 of a source, as told or guessed; it came with no "
        "pictures, so it was tried with drawn ones"
    )


def _advice(source: Source, opset: int, model: ModelProto) -> str:
    """What to do about images that differ: the conversion is the cause that is known."""
    if source.opset == opset:
        return UNKNOWN
    names = sorted({node.op_type for node in model.graph.node if node.op_type in CHANGED})
    what = f"its {' and '.join(names)} nodes compute" if names else "it computes"
    return f"converting its opset {source.opset} to {opset} changed what {what}: export it with opset {OPSET} or newer"


def _tools() -> dict[str, str]:
    return {name: version for name, version in tool_versions().items() if name not in _UNUSED_TOOLS}


def _of_original(source: Source, foreign: ForeignGenerator, golden: Golden) -> tuple[OriginalFile, tuple[str, ...]]:
    """What came from where, for the manifest, and what of it nobody could check."""
    values = foreign.original.values(golden.inputs)
    least, largest = float(values.min()), float(values.max())
    low, high = foreign.spec.value_range
    cut = float(((values < low) | (values > high)).mean())
    interface = foreign.original.interface
    original = OriginalFile(
        source.sha256,
        source.weights,
        source.opset,
        interface.batch or "any",
        round(least, 4),
        round(largest, 4),
        round(cut, 6),
    )

    not_checked = [
        "against PyTorch: there is only the ONNX file, and the images are held against those it makes by itself",
        "what it was trained on, by whom, and under which licence: that is as it was told, or not known",
        f"the value range {low:g} to {high:g} and what the inputs mean: as told (values seen: {least:.3g} "
        f"to {largest:.3g}, {cut:.2%} of them cut off)",
    ]
    if interface.source:
        not_checked.append(_of_source(interface.source))
    if interface.truncation is not None and interface.truncation.name == TRUNCATION:
        not_checked.append("truncation, which came with neither file: it moves towards the mean w of 4096 latents")
    return original, tuple(not_checked)
