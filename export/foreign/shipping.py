"""Which form of a foreign graph ships: the first that makes the same images."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, helper

from core.bundle import FORMAT_VERSION
from core.contract import SPEC_KEY, VERSION_KEY, Inputs, output_port, rows, sample_inputs
from core.difference import MOST_LEVELS, levels_apart
from core.errors import BundleError, ExportError
from core.images import Images
from core.onnx.session import Session, open_session, run
from core.spec import ONE_AT_A_TIME, GeneratorSpec
from core.trials import mixed_inputs
from export.bundles.contents import serialised
from export.bundles.provenance import Origin
from export.bundles.verify import check_graph
from export.checks.rules import Contract
from export.foreign.folding import folded
from export.foreign.hints import Layout
from export.foreign.interface import GraphInterface
from export.foreign.modulated import without_modulation
from export.foreign.opsets import converted
from export.foreign.original import Original, to_images
from export.foreign.wrap import wrapped
from export.onnx_graph import opset_of

TRIED_BATCHES = (1, 2, 3)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForeignGenerator:
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

    def one_at_a_time(self) -> "ForeignGenerator":
        """The same generator, asked for one image at a time, with a note that says so."""
        interface = self.original.interface
        made_for = f"its batch of {interface.batch}" if interface.batch else "the batch that it was made with"
        note = (
            f"the graph cannot be freed of {made_for}, so the bundle makes one image at a time: its batch is 1, on "
            "servers too"
        )
        spec = replace(self.spec, options=self.spec.options | {ONE_AT_A_TIME: True})
        original = replace(self.original, interface=replace(interface, batch=interface.batch or 1))
        return replace(self, spec=spec, original=original, notes=(*self.notes, note))


def choose_graph(foreign: ForeignGenerator, origin: Origin) -> tuple[ForeignGenerator, bytes, Session]:
    """What ships: the first way that makes the original's images at any batch, else one at a time, else what ran.

    Raises ExportError, or BundleError for a rule that is broken, where none runs.
    """
    found: tuple[ForeignGenerator, bytes, Session] | None = None
    complaint: Exception | None = None
    for candidate, inner, interface in _candidates(foreign):
        spec = candidate.spec
        model = wrapped(inner, interface, spec, foreign.layout, foreign.dtype, foreign.premultiplied, foreign.sides)
        _stamp(model, spec, origin)

        try:
            check_graph(model, Contract(spec, opset_of(model), facts=origin.metadata()))
            data = serialised(model)
            session = _session_for_any_batch(data, spec, interface)
        except (BundleError, ExportError) as error:
            logger.debug("one way to write the graph fails: %s", error)
            complaint = complaint or error
            continue

        found = found or (candidate, data, session)
        if _same(candidate, session):
            return candidate, data, session

    if found is None:
        assert complaint
        raise complaint
    return found


def _candidates(foreign: ForeignGenerator) -> Iterator[tuple[ForeignGenerator, ModelProto, GraphInterface]]:
    """The graph as it is and in the other forms that are known, with the ways in which its inputs may be meant."""
    inner, interface = converted(foreign.model), foreign.original.interface
    yield from ((foreign, inner, way) for way in _ways(interface))
    if interface.batch is not None:
        try:
            rewritten = without_modulation(folded(inner, interface.shapes(interface.batch)), interface.batch)
        except ExportError as error:  # then there is one form less
            logger.debug("the graph cannot be written without modulated convolutions: %s", error)
        else:
            yield from ((foreign, rewritten, way) for way in _ways(interface))
    alone = foreign.one_at_a_time()
    yield from ((alone, inner, way) for way in alone.original.interface.alternatives())


def _ways(interface: GraphInterface) -> Iterator[GraphInterface]:
    """Fixed inputs a row each or not, and one truncation for all as one for each image, before sides of 1."""
    truncation = interface.truncation
    if truncation is None or truncation.batched:
        yield from interface.alternatives()
        return
    for rank in (1, 2, 3):
        by_image = replace(truncation, sides=(1,) * rank)
        yield from replace(interface, truncation=by_image).alternatives()


def _same(foreign: ForeignGenerator, session: Session) -> bool:
    """Whether the graph makes the original's images, together and each alone."""
    inputs = mixed_inputs(foreign.spec, range(3))
    together, alone = run(session, inputs), np.concatenate([run(session, row) for row in rows(inputs)])
    expected = foreign.images(inputs)
    if foreign.spec.most_at_once(2) == 1 and (expected == expected[:1]).all():
        return False  # what an image shows is how it differs from those beside it, and alone it does not
    return levels_apart(together, expected) <= MOST_LEVELS and levels_apart(alone, expected) <= MOST_LEVELS


def _stamp(model: ModelProto, spec: GeneratorSpec, origin: Origin) -> None:
    model.producer_name, model.producer_version = "ganfoundry", origin.tools.get("ganfoundry", "")
    helper.set_model_props(model, {SPEC_KEY: spec.to_json(), VERSION_KEY: str(FORMAT_VERSION)})
    origin.stamp(model)


def _session_for_any_batch(data: bytes, spec: GeneratorSpec, interface: GraphInterface) -> Session:
    """A session with the graph that ships. Raises ExportError if it cannot do other batches than it was made for."""
    try:
        session: Session = open_session(data)
        for batch in TRIED_BATCHES:
            found = run(session, sample_inputs(spec, range(batch))).shape
            if found != (batch, *output_port(spec).shape):
                raise BundleError(f"images {found} at batch {batch}")
    except BundleError as error:
        made_for = f"batches of {interface.batch}" if interface.batch else "one batch, though it does not say so,"
        raise ExportError(f"the graph is made for {made_for} and cannot be run at others ({error})") from None
    return session
