"""A foreign ONNX generator in, a verified bundle out, or nothing at all."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, load_model_from_string

from core.bundle import (
    CARD,
    FORMAT_VERSION,
    GOLDEN,
    GRAPH,
    MOST_LEVELS,
    SHEET,
    Golden,
    Manifest,
    levels_apart,
    write_manifest,
)
from core.contract import SPEC_KEY, VERSION_KEY, Inputs, output_port, sample_inputs
from core.errors import BundleError, ExportError, SpecError
from core.files import new_directory
from core.images import Images, encode_png
from core.latents import latents
from core.places import shown
from core.spec import FOREIGN, IGNORES_TRUNCATION, GeneratorSpec, Provenance
from export.bundling import Progress, check_destination, golden_images, sample_sheet, serialised
from export.card import render_card
from export.extras import PLAIN, Extras
from export.foreign.opsets import converted, opset_of
from export.foreign.original import Original, to_images
from export.foreign.ports import Layout, Ports, Told, find_ports
from export.foreign.randoms import frozen
from export.foreign.seeing import check_range, image_sides
from export.foreign.source import Source, read_source
from export.foreign.wrap import check_nodes, needed_for, wrapped
from export.provenance import Origin, tool_versions
from export.rules import Contract
from export.runtime import Session, open_session, run
from export.trial import stand_trial
from export.verify import check_graph

TRIED_BATCHES = (1, 2, 3)
_UNUSED_TOOLS = ("torch", "onnxscript")


def export_foreign(
    path: Path,
    destination: Path,
    told: Told,
    *,
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
    extras: Extras = PLAIN,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Make a bundle at ``destination`` of the ONNX generator in the file ``path``, which is as ``told``.

    The graph becomes a part of one that keeps our contract; its images are held against those that the file itself
    makes in ONNX Runtime. ``name`` is for the model card, the destination's unless given; ``licence`` and
    ``attribution`` are those of what it was trained on; ``extras`` go into the bundle too, as ``export_run`` has them.
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
        foreign = _understood(source, told, Provenance(data_licence=licence, data_attribution=attribution))
        with new_directory(destination, overwrite, check) as bundle:
            return _fill(bundle, source, foreign, name or shown(destination.absolute().name), extras, tell)
    except (BundleError, SpecError) as error:
        raise ExportError(f"{error}; nothing was exported") from error
    except OSError as error:
        raise ExportError(f"cannot write {destination} ({error.strerror or error}): nothing was exported") from error


@dataclass(frozen=True)
class Foreign:
    """A foreign generator, understood: what it is, what must be known to wrap it, and the file itself, running."""

    spec: GeneratorSpec
    model: ModelProto
    original: Original
    layout: Layout
    dtype: int
    premultiplied: bool
    sides: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def images(self, inputs: Inputs) -> Images:
        """The images ``(n, h, w, c)`` that the file as it came makes of the contract's inputs."""
        values = self.original.values(inputs)
        return to_images(
            values.reshape(len(values), *self.sides), self.layout, self.spec.value_range, self.premultiplied
        )


def _understood(source: Source, told: Told, provenance: Provenance) -> Foreign:
    """Raises ExportError or SpecError for what does not fit what was told, or could never ship."""
    ports = find_ports(source.model, told)
    model, drawn = frozen(needed_for(source.model, ports.image))
    check_nodes(model)
    original, values = _running(open_session(serialised(model if drawn else source.model)), ports)
    if not np.isfinite(values).all():
        raise ExportError("the graph makes values that are infinite or not numbers")
    layout, sides = image_sides(values.shape, told)
    height, width, channels = (sides[1], sides[2], sides[0]) if layout == "NCHW" else sides
    doubt = check_range(model, ports.image, values, told.value_range)
    promise = _truncation(original)
    if promise:
        original = replace(original, ports=replace(original.ports, truncates=False, truncation=None))
    options: dict[str, Any] = {
        "layout": layout,
        "opset": source.opset,
        "premultiplied": told.premultiplied,
        "fixed": {**told.fixed},
    }
    options |= {"latent_kind": told.latent_kind} if told.latent_kind != "normal" else {}
    options |= {IGNORES_TRUNCATION: True} if promise else {}
    spec = GeneratorSpec(
        FOREIGN,
        height,
        width,
        channels,
        ports.latent_dim,
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


def _running(session: Session, ports: Ports) -> tuple[Original, NDArray[Any]]:
    """The graph, as the first of its ways that runs, and the values it makes. Raises ExportError if none does."""
    complaint: ExportError | None = None
    alone = [replace(ports, batch=1)] if ports.batch is None and ports.fixed else []
    for way in (*ports.alternatives(), *alone):
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
    made = [original.values(probe | {"truncation": np.full((4, 1), at, np.float32)}) for at in (0, 0.5, 1)]
    if not all(np.isfinite(values).all() for values in made):
        wrong = "makes values that are not numbers at 0 or 0.5"
    elif np.allclose(made[1], made[2], atol=1e-3 * float(np.ptp(made[2]))):
        wrong = "changes nothing"
    else:
        return None
    return (
        f"truncation {wrong} with this generator (it scales its own latents), so it is ignored: all images are as at 1"
    )


def _probe(ports: Ports) -> dict[str, NDArray[Any]]:
    """A few rows of the contract's inputs, the first and the last class among them."""
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
    spec, origin = foreign.spec, Origin(source.sha256, _tools(), {})
    tell("wrapping the graph")
    data, session = _shipped(foreign, origin)
    opset = opset_of(load_model_from_string(data))
    tell("comparing with the file as it came")
    verification = stand_trial(spec, session, foreign.images, named="original")
    tell("making golden images and the sheet")
    golden = golden_images(spec, foreign.images)
    verification |= _told(source, foreign, golden) | {"notes": list(foreign.notes)}
    (bundle / GRAPH).write_bytes(data)
    (bundle / GOLDEN).write_bytes(golden.to_bytes())
    (bundle / SHEET).write_bytes(encode_png(sample_sheet(spec, partial(run, session))))
    verification |= extras.write(bundle, load_model_from_string(data), spec, golden, tell)
    (bundle / CARD).write_text(
        render_card(name, spec, verification, opset=opset), "utf-8", "backslashreplace", newline="\n"
    )
    return write_manifest(bundle, spec=spec, opset=opset, verification=verification, **asdict(origin))


def _shipped(foreign: Foreign, origin: Origin) -> tuple[bytes, Session]:
    """The graph that ships: the first of its ways that makes the original's images at any batch, else what ran at all.

    Raises ExportError, or BundleError for a rule that is broken, where none runs.
    """
    spec, inner = foreign.spec, converted(foreign.model)
    inputs = sample_inputs(spec, range(3)) | {"truncation": np.array([[1], [0.5], [0.25]], np.float32)}
    expected = foreign.images(inputs)
    found: tuple[bytes, Session] | None = None
    complaint: Exception | None = None
    for ports in _ways(foreign.original.ports):
        model = wrapped(inner, ports, spec, foreign.layout, foreign.dtype, foreign.premultiplied, foreign.sides)
        _stamp(model, spec, origin)
        try:
            check_graph(model, Contract(spec, opset_of(model), facts=origin.metadata()))
            data = serialised(model)
            session = _session_for_any_batch(data, spec, ports)
        except (BundleError, ExportError) as error:
            complaint = complaint or error
            continue
        found = found or (data, session)
        if levels_apart(run(session, inputs), expected) <= MOST_LEVELS:
            return data, session
    if found is None:
        assert complaint
        raise complaint
    return found


def _ways(ports: Ports) -> Iterator[Ports]:
    """Fixed inputs a row each or not, and one truncation for all as one for each image, before sides of 1."""
    ranks = [(1,) * rank for rank in (1, 2, 3)] if ports.truncation and not ports.truncation.batched else [None]
    for sides in ranks:
        truncation = replace(ports.truncation, sides=sides) if ports.truncation and sides else ports.truncation
        yield from replace(ports, truncation=truncation).alternatives()


def _tools() -> dict[str, str]:
    return {name: version for name, version in tool_versions().items() if name not in _UNUSED_TOOLS}


def _stamp(model: ModelProto, spec: GeneratorSpec, origin: Origin) -> None:
    model.producer_name, model.producer_version = "ganfoundry", origin.tools.get("ganfoundry", "")
    helper.set_model_props(model, {SPEC_KEY: spec.to_json(), VERSION_KEY: str(FORMAT_VERSION)})
    origin.stamp(model)


def _session_for_any_batch(data: bytes, spec: GeneratorSpec, ports: Ports) -> Session:
    """A session with the graph that ships. Raises ExportError if it cannot do other batches than it was made for."""
    try:
        session = open_session(data)
        for batch in TRIED_BATCHES:
            found = run(session, sample_inputs(spec, range(batch))).shape
            if found != (batch, *output_port(spec).shape):
                raise BundleError(f"images {found} at batch {batch}")
    except BundleError as error:
        made_for = f"batches of {ports.batch}" if ports.batch else "one batch, though it does not say so,"
        raise ExportError(
            f"the graph is made for {made_for} and cannot be freed of that ({error}): export it with a dynamic batch"
        ) from None
    return session  # type: ignore[no-any-return]


def _told(source: Source, foreign: Foreign, golden: Golden) -> dict[str, Any]:
    """What came from where, for the manifest, and what of it nobody could check."""
    values = foreign.original.values(golden.inputs)
    low, high = foreign.spec.value_range
    cut = float(((values < low) | (values > high)).mean())
    batch = foreign.original.ports.batch
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
        ],
    }
