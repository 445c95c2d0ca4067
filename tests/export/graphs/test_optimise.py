"""The optimised graph makes the images of the plain one, for every family; each rewrite by itself too."""

from functools import cache

import pytest

from core.contract import sample_inputs
from core.difference import levels_apart
from core.networks import GENERATORS, TRANSLATORS
from core.onnx.session import Session, open_session, run
from export.graphs.convert import to_onnx
from export.graphs.optimise import optimised
from tests.export.conftest import SIZES, ship

FAMILIES = [(family, size) for family in GENERATORS for size in SIZES]


@cache
def plain(family: str, size: str) -> Session:
    """The same generator by PyTorch's exporter alone."""
    return open_session(to_onnx(ship(family, size).graph, plain=True).SerializeToString())


@pytest.mark.parametrize(
    ("family", "size"), [(f, "tall RGB") for f in GENERATORS] + [(f, "RGBA to RGBA") for f in TRANSLATORS]
)
@pytest.mark.parametrize("batch", [1, 5])
def test_the_images_are_those_of_the_plain_export(family, size, batch):
    shipped = ship(family, size)
    inputs = sample_inputs(shipped.graph.generator.spec, range(batch), truncation=0.7)
    assert levels_apart(run(shipped.session, inputs), run(plain(family, size), inputs)) <= 1


def test_it_is_a_pure_function():
    model = ship("dcgan", "grey from 7").model
    before = model.SerializeToString(deterministic=True)
    first, second = optimised(model), optimised(model)
    assert model.SerializeToString(deterministic=True) == before
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


@pytest.mark.parametrize(("family", "size"), FAMILIES)
def test_no_shape_is_computed(family, size):
    kinds = {node.op_type for node in ship(family, size).model.graph.node}
    assert not kinds & {"Shape", "Size", "Expand", "ConstantOfShape", "Range", "Where"}


@pytest.mark.parametrize("family", ["style", "progressive"])
def test_a_latent_of_zeros_is_no_exception(family):
    shipped = ship(family, "grey from 7")
    inputs = sample_inputs(shipped.graph.generator.spec, range(2))
    inputs["z"][:] = 0
    assert levels_apart(run(shipped.session, inputs), shipped.graph.images(inputs)) <= 1
