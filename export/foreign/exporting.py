"""A foreign ONNX generator in, a verified bundle out, or nothing at all."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, load_model_from_string

from core.bundle import CARD, GOLDEN, GRAPH, SHEET, Manifest, write_manifest
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
from export.bundles.card import render_card
from export.bundles.contents import Progress, check_destination, golden_images, sample_sheet, serialised
from export.bundles.extras import PLAIN, Extras
from export.bundles.provenance import Origin, tool_versions
from export.checks.trial import TRIED_TRUNCATIONS, UNKNOWN, stand_trial, truncation_note
from export.foreign.batches import made_for
from export.foreign.joined import TRUNCATION, joined
from export.foreign.opsets import opset_of
from export.foreign.original import Original
from export.foreign.pictures import Picture
from export.foreign.ports import Ports, find_ports
from export.foreign.randoms import frozen
from export.foreign.seeing import check_range, image_sides
from export.foreign.shipping import Foreign, shipped
from export.foreign.source import Source, read_source
from export.foreign.told import Told
from export.foreign.wrap import check_nodes, needed_for

CHANGED = ("AveragePool", "BatchNormalization", "Clip", "Dropout", "Pad", "Resize", "Softmax", "Upsample")
_UNUSED_TOOLS = ("torch", "onnxscript")


def export_foreign(
    path: Path,
    destination: Path,
    told: Told,
    *,
    synthesis: Path | None = None,
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
    extras: Extras = PLAIN,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Make a bundle at ``destination`` of the ONNX generator in the file ``path``, which is as ``told``.

    The graph becomes a part of one that keeps our contract; its images are held against those that the file itself
    makes in ONNX Runtime. With ``synthesis``, ``path`` is the mapping before it. ``name`` is for the model card, the
    destination's unless given; ``licence`` and ``attribution`` are those of what it was trained on; ``extras`` go into
    the bundle too, as ``export_run`` has them.
    Raises ExportError for a file that is none or does not fit what was told, for what cannot be kept, such as random
    numbers inside, and for a check that fails, with its figure.
    """
    tell = progress or (lambda _: None)
    check = partial(check_destination, destination, overwrite)
    check()
    extras.check()
    try:
        tell("reading the graph")
        source = read_source(path)
        if synthesis is not None:
            source, told = joined(source, read_source(synthesis), told)
        foreign = _understood(source, told, Provenance(data_licence=licence, data_attribution=attribution))
        with new_directory(destination, overwrite, check) as bundle:
            return _fill(bundle, source, foreign, name or shown(destination.absolute().name), extras, tell)
    except (BundleError, SpecError) as error:
        raise ExportError(f"{error}; nothing was exported") from error
    except OSError as error:
        raise ExportError(f"cannot write {destination} ({error.strerror or error}): nothing was exported") from error


def _understood(source: Source, told: Told, provenance: Provenance) -> Foreign:
    """Raises ExportError or SpecError for what does not fit what was told, or could never ship."""
    ports = find_ports(source.model, told)
    model, drawn = frozen(needed_for(source.model, ports.image))
    check_nodes(model)
    original, values = _running(open_session(serialised(model if drawn else source.model)), ports, made_for(model))
    if not np.isfinite(values).all():
        raise ExportError("the graph makes values that are infinite or not numbers")
    layout, sides = image_sides(values.shape, told)
    height, width, channels = (sides[1], sides[2], sides[0]) if layout == "NCHW" else sides
    doubt = check_range(model, ports.image, values, told.value_range)
    picture = original.ports.source
    promise = None if picture else _truncation(original)
    if promise:
        original = replace(original, ports=replace(original.ports, truncates=False, truncation=None))
    options: dict[str, Any] = {
        "layout": layout,
        "opset": source.opset,
        "premultiplied": told.premultiplied,
        "fixed": {**told.fixed},
    }
    options |= {"source_layout": picture.layout, "source_range": [*picture.value_range]} if picture else {}
    options |= {"latent_kind": told.latent_kind} if told.latent_kind != "normal" else {}
    options |= {IGNORES_TRUNCATION: True} if promise else {}
    spec = GeneratorSpec(
        FOREIGN,
        height,
        width,
        channels,
        ports.latent_dim,
        kind="image" if picture else "noise",
        source=picture.spec if picture else None,
        classes=ports.label.classes if ports.label else (),
        codes=ports.codes.length if ports.codes else 0,
        options=options,
        value_range=told.value_range,
        provenance=provenance,
    )
    dtype = helper.np_dtype_to_tensor_dtype(values.dtype)
    noise = f"random numbers inside, drawn at {', '.join(drawn)[:200]}, are frozen: the same in all images"
    notes = tuple(note for note in (promise, doubt, drawn and noise) if note)
    return Foreign(spec, model, original, layout, dtype, told.premultiplied, sides, notes)


def _running(session: Session, ports: Ports, batches: list[int]) -> tuple[Original, NDArray[Any]]:
    """The graph, as the first of its ways that runs, and the values it makes: where it says that any batch will do and
    that is not so, at one of ``batches``. Raises ExportError if none does."""
    complaint: ExportError | None = None
    others = [replace(ports, batch=batch) for batch in batches] if ports.batch is None else []
    for way in (*ports.alternatives(), *others):
        try:
            original = Original(session, way)
            return original, original.values(_probe(way))
        except ExportError as error:
            complaint = complaint or error
    assert complaint
    raise complaint


def _truncation(original: Original) -> str | None:
    """What truncation does not do for this generator, though every one of ours does; None where it does."""
    probe = _probe(original.ports)
    made = [original.values(probe | {"truncation": np.full((4, 1), at, np.float32)}) for at in TRIED_TRUNCATIONS]
    return truncation_note(made)


def _probe(ports: Ports) -> dict[str, NDArray[Any]]:
    """A few rows of the contract's inputs, the first and the last class among them."""
    if ports.source:
        return {SOURCE: pictures(ports.source.spec, range(4))}
    inputs: dict[str, NDArray[Any]] = {
        "z": latents(range(4), ports.latent_dim),
        "truncation": np.ones((4, 1), np.float32),
    }
    if ports.codes:
        inputs["codes"] = latents(range(4, 8), ports.codes.length)
    last = len(ports.label.classes) - 1 if ports.label else 0
    return inputs | {"label": np.array([[0], [last], [0], [last]], np.int64)}


def _fill(bundle: Path, source: Source, foreign: Foreign, name: str, extras: Extras, tell: Progress) -> Manifest:
    """Write every file of the bundle, the manifest last."""
    origin = Origin(source.sha256, _tools(), {})
    tell("wrapping the graph")
    foreign, data, session = shipped(foreign, origin)
    spec = foreign.spec
    opset = opset_of(load_model_from_string(data))
    tell("comparing with the file as it came")
    verification = stand_trial(spec, session, foreign.images, "original", _advice(source, opset, foreign.model))
    tell("making golden images and the sheet")
    golden = golden_images(spec, foreign.images)
    verification |= _told(source, foreign, golden) | {"notes": list(foreign.notes)}
    (bundle / GRAPH).write_bytes(data)
    (bundle / GOLDEN).write_bytes(golden.to_bytes())
    (bundle / SHEET).write_bytes(sample_sheet(spec, partial(run, session), examples_in(golden.inputs)))
    verification |= extras.write(bundle, load_model_from_string(data), spec, golden, tell)
    (bundle / CARD).write_text(
        render_card(name, spec, verification, opset=opset), "utf-8", "backslashreplace", newline="\n"
    )
    return write_manifest(bundle, spec=spec, opset=opset, verification=verification, **asdict(origin))


def _of_source(picture: Picture) -> str:
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


def _told(source: Source, foreign: Foreign, golden: Golden) -> dict[str, Any]:
    """What came from where, for the manifest, and what of it nobody could check."""
    values = foreign.original.values(golden.inputs)
    low, high = foreign.spec.value_range
    cut = float(((values < low) | (values > high)).mean())
    batch = foreign.original.ports.batch
    picture = foreign.original.ports.source
    joint = foreign.original.ports.truncation is not None and foreign.original.ports.truncation.name == TRUNCATION
    return {
        "original": {
            "sha256": source.sha256,
            "weights_sha256": source.weights,
            "opset": source.opset,
            "batch": batch or "any",
            "least_value": round(float(values.min()), 4),
            "largest_value": round(float(values.max()), 4),
            "values_outside_the_range": round(cut, 6),
        },
        "not_checked": [
            "against PyTorch: there is only the ONNX file, and the images are held against those it makes by itself",
            "what it was trained on, by whom, and under which licence: that is as it was told, or not known",
            f"the value range {low:g} to {high:g} and what the inputs mean: as told (values seen: {values.min():.3g} "
            f"to {values.max():.3g}, {cut:.2%} of them cut off)",
            *([_of_source(picture)] if picture else []),
            *(
                ["truncation, which came with neither file: it moves towards the mean w of 4096 latents"]
                if joint
                else []
            ),
        ],
    }
